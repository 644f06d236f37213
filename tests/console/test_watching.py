"""Who watches sees the end, whatever becomes of the terminal and of Redis meanwhile."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.program import COMMAND, Program
from tests.support.redis.own_redis import OwnRedis
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.children import child_environment

IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that it is told of a new size
os.execv(sys.argv[1], sys.argv[1:])
"""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

ROWS = [{"user": "ada@contoso.com", "event": f"e{n}", "action": "decline"} for n in range(3)]


class Terminal:
    """A terminal that a command is watched in; it can be made wider and narrower."""

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = os.openpty()
        self._shown = ""
        os.set_blocking(self._ours, False)
        self.resize(columns)

    def resize(self, columns: int) -> None:
        """Give it another width, as who drags a window does; forget what was shown."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self._shown = ""

    def lines(self) -> list[str]:
        """Return what was drawn so far, line by line, the last one perhaps in part."""
        try:
            while chunk := os.read(self._ours, 65_536):
                self._shown += chunk.decode()
        except (BlockingIOError, OSError):
            pass
        return re.split(r"[\r\n]+", _CONTROL.sub("", self._shown))

    def wait_for(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what is shown meets a condition; return it."""

        def met() -> list[str] | None:
            return seen if condition(seen := self.lines()) else None

        return wait_until(met, "nothing like that is shown")

    def close(self) -> None:
        """Close both ends."""
        os.close(self._ours)
        os.close(self.theirs)


@contextmanager
def watching(
    program: Program, terminal: Terminal, batch: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Watch a batch in a terminal for the length of a block."""
    command = [sys.executable, "-c", IN_A_TERMINAL, str(COMMAND), "status", batch, "--watch"]
    environment = child_environment({**program.environment, "TERM": "xterm"})
    environment.pop("COLUMNS", None)  # it would stand for the width, whatever that is
    end = terminal.theirs
    with running(
        command, env=environment, start_new_session=True, stdin=end, stdout=end, stderr=end
    ) as process:
        yield process


def frames(lines: list[str], batch: str) -> int:
    """Count the frames that were drawn whole."""
    return sum(line.startswith(f"{batch}: ") for line in lines[:-1])


def test_a_terminal_that_changes_its_size(program: Program) -> None:
    """Made narrower and wider, the bar is drawn as wide as the terminal is, and to the end."""
    batch = program.submit(ROWS)
    terminal = Terminal(100)
    with watching(program, terminal, batch) as process:
        widths = []
        for columns in (40, 120):
            terminal.resize(columns)
            terminal.wait_for(lambda lines: frames(lines, batch) >= 1)
            terminal.resize(columns)  # what was drawn meanwhile may have had the old width
            seen = terminal.wait_for(lambda lines: frames(lines, batch) >= 2)
            widths.append(max(map(len, seen)))
        program.burst()
        end = terminal.wait_for(lambda lines: any("finished" in line for line in lines))
        code = process.wait(PATIENCE_S)
    terminal.close()

    assert [40, 120] == widths
    assert (0, True) == (code, f"{batch}: 3 sent" in end)


def test_a_redis_that_goes_away_and_comes_back(sandbox: SandboxClient, tmp_path: Path) -> None:
    """It is said once that Redis is away, once that it is back, and the end is seen."""
    redis = OwnRedis(tmp_path)
    redis.start()
    settings = {**sandbox.environment, "REDIS_URL": redis.url, "BULKRSVP_LOG_FORMAT": "json"}
    program = Program(settings, tmp_path)
    batch = program.submit(ROWS)
    told = tmp_path / "told"
    command = [str(COMMAND), "status", batch, "--watch"]
    environment = child_environment(settings)
    with told.open("wb") as err, running(command, stderr=err, env=environment) as process:
        wait_until(lambda: looked(redis.client.client_list()), "it does not look")
        redis.kill()
        wait_until(lambda: "does not answer" in told.read_text(), "it does not tell")
        redis.start()
        wait_until(lambda: "answers again" in told.read_text(), "it does not tell")
        program.burst()
        code = process.wait(PATIENCE_S)
    redis.close()

    away, back = told.read_text().splitlines()
    assert (0, "Redis answers again") == (code, back)
    assert away.startswith("Redis does not answer (")


def test_a_batch_that_disappears_is_reported_to_its_watcher(program: Program, redis: Any) -> None:
    """Who watches a batch that Redis loses is told so, with the exit code of Redis."""
    batch = program.submit(ROWS)
    command = [str(COMMAND), "status", batch, "--watch"]
    environment = child_environment(program.environment)
    with running(command, stderr=subprocess.PIPE, env=environment) as process:
        wait_until(lambda: looked(redis.client_list(), database(redis)), "it does not look")
        redis.flushdb()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert 4 == process.returncode
    assert f"batch {batch} is gone from Redis" in err.decode()


def looked(clients: list[dict[str, str]], database: str = "0") -> bool:
    """Whether one of Redis' clients has looked at a batch as who watches does."""
    return any((each["db"], each["cmd"]) == (database, "zcount") for each in clients)


def database(redis: Any) -> str:
    """Return the number of a client's database, as the list of clients has it."""
    return str(redis.connection_pool.connection_kwargs["db"])


def test_watching_connects_no_more_often(program: Program, redis: Any) -> None:
    """What is submitted, or asked for, is watched on the connections that do that."""
    file = program.write("rows.jsonl", ROWS)
    batch = program.submit(ROWS)
    program.burst()

    def connections(*command: str) -> int:
        before = int(redis.info("stats")["total_connections_received"])
        assert 0 == program.here(*command).code
        return int(redis.info("stats")["total_connections_received"]) - before

    assert 0 < connections("submit", file, "--watch") == connections("submit", file)
    assert 0 < connections("status", batch, "--watch") == connections("status", batch)
