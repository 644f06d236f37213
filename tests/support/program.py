"""The console command in a process of its own, as a user or a service manager runs it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from click.testing import CliRunner

from config.settings import Settings
from jobs.operations.ledger import open_ledger
from jobs.operations.status import describe, read_status
from tests.support.waiting import PATIENCE_S, wait_until
from worker.commands import main
from worker.process.children import child_environment

COMMAND = Path(sys.executable).parent / "bulkrsvp"


@dataclass(frozen=True)
class Finished:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it printed, read as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Worker:
    """A worker process, with the log that it has written so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, errors: Path) -> None:
        self.process = process
        self._log = log
        self._errors = errors

    @property
    def written(self) -> bytes:
        """What it wrote to standard output so far."""
        return self._log.read_bytes()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines written so far; the last one may still be under way."""
        whole, _, _ = self.written.rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event."""
        return [line for line in self.log if line["event"] == event]

    def wait_for(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait until an event has been logged so many times; return the last line of those."""

        def logged_or_ended() -> bool:
            return len(self.events(event)) >= times or self.process.poll() is not None

        wait_until(logged_or_ended, f"no {event}")
        lines = self.events(event)
        assert len(lines) >= times, f"it ended without {event}: {self.errors}"
        return lines[times - 1]

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._errors.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


class Program:
    """The console command in one environment and one folder."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = dict(environment)
        self.folder = folder
        self._workers = 0

    def __call__(
        self, *arguments: str, given: str | bytes | None = None, **settings: str
    ) -> Finished:
        """Run a command to its end; `settings` are variables for it alone."""
        finished = subprocess.run(
            [COMMAND, *arguments],
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            timeout=PATIENCE_S,
            env=child_environment({**self.environment, **settings}),
            cwd=self.folder,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout.decode(), finished.stderr.decode())

    def here(self, *arguments: str, given: str | bytes | None = None, **settings: str) -> Finished:
        """Run a command to its end as `__call__` does, but in this process: that is faster."""
        with chdir(self.folder):
            return self._invoke(arguments, given, settings)

    def _invoke(
        self,
        arguments: Sequence[str],
        given: str | bytes | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Finished:
        environment = child_environment({**self.environment, **settings})
        run = CliRunner().invoke(main, arguments, input=given, env=environment)
        if run.exception is not None and not isinstance(run.exception, SystemExit):
            raise run.exception
        return Finished(run.exit_code, run.stdout_bytes.decode(), run.stderr)

    def write(self, name: str, rows: list[dict[str, Any]]) -> str:
        """Write rows as JSON Lines into the folder; return the file's name."""
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return name

    def submit(self, rows: list[dict[str, Any]], *arguments: str) -> str:
        """Submit rows; return the batch's id."""
        return self.ask("submit", str(self.folder / self.write("rows.jsonl", rows)), *arguments)

    def ask(self, *arguments: str) -> str:
        """Run a command that ends well, without a process for it; return what it printed."""
        finished = self._invoke(arguments)
        assert finished.code == 0, finished
        return finished.out.strip()

    def status(self, batch: str) -> dict[str, Any]:
        """Return what `status --json` prints, without a process for it."""
        return self.wait_for(batch, lambda _: True)

    def results(self, batch: str) -> list[dict[str, Any]]:
        """Return what `results --format jsonl` prints, without a process for it."""
        return [
            json.loads(line)
            for line in self.ask("results", batch, "--format", "jsonl").splitlines()
        ]

    @contextmanager
    def worker(
        self, *arguments: str, command: Sequence[str | Path] = (COMMAND, "worker"), **settings: str
    ) -> Iterator[Worker]:
        """Run a worker for the length of a block; it is stopped at the end, if it still runs."""
        self._workers += 1
        log = self.folder / f"worker-{self._workers}.log"
        errors = self.folder / f"worker-{self._workers}.err"
        with log.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=child_environment({**self.environment, **settings}),
                cwd=self.folder,
            )
            with process:
                try:
                    yield Worker(process, log, errors)
                finally:
                    _stop(process)

    def burst(self, **settings: str) -> Worker:
        """Run a worker until nothing is left to do."""
        with self.worker("--burst", **settings) as worker:
            worker.process.wait(PATIENCE_S)
        return worker

    async def burst_aside(self) -> Worker:
        """Run a worker so, without holding up the loop."""
        return await asyncio.to_thread(self.burst)

    def wait_until_finished(self, batch: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Watch a batch until it is finished; return its status."""
        return self.wait_for(batch, lambda status: status["finishedAt"] is not None, patience_s)

    def wait_for(
        self,
        batch: str,
        condition: Callable[[dict[str, Any]], bool],
        patience_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """
        Watch a batch until its status meets a condition; return the status.

        It reads what `status --json` prints, without a process for every look.
        """
        return asyncio.run(_wait_for(self.environment["REDIS_URL"], batch, condition, patience_s))


async def _wait_for(
    redis_url: str, batch_id: str, condition: Callable[[dict[str, Any]], bool], patience_s: float
) -> dict[str, Any]:
    async with (
        asyncio.timeout(patience_s),
        open_ledger(Settings.load({"REDIS_URL": redis_url})) as (_, batches),
    ):
        while True:
            status = describe(*await read_status(batches, batch_id))
            if condition(status):
                return status
            await asyncio.sleep(0.02)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
