"""
What a batch is put through: workers that are killed, stopped, or broken, and the records of it.

It starts the workers, remembers what became of each, looks into the ledger when told to, and
brings together in the end what `tests/support/chaos/checker.py` compares.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from config.settings import Settings
from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import Unreadable
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Number
from jobs.operations.ledger import open_ledger
from jobs.operations.results import read_results
from jobs.operations.status import describe
from jobs.record import Record
from tests.support.chaos.checker import Key, Log, Records, taken_twice, violations
from tests.support.program import COMMAND, Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, wait_until

T = TypeVar("T")
Figure = Callable[[str, object], None]
"""Keeps a figure of a run, to be shown when all tests have ended."""

COMMENT = "canary-of-a-comment"
"""Goes out with every row, and may stand in no log."""


def rows_of(count: int, mailboxes: int, name: str = "e") -> list[dict[str, Any]]:
    """Make rows over so many mailboxes, both actions in turn, each with a comment."""
    actions = ("decline", "tentativelyAccept")
    return [
        {
            "user": f"P{n % mailboxes}@contoso.com",
            "event": f"{name}{n}",
            "action": actions[n // mailboxes % 2],
            "comment": f"{COMMENT}-{n}",
        }
        for n in range(count)
    ]


def changes(count: int, mailboxes: int = 6) -> list[dict[str, Any]]:
    """Make declines of meetings that were accepted long ago."""
    return [
        {
            "user": f"p{n % mailboxes}@contoso.com",
            "event": f"accepted-{n}",
            "action": "decline",
            "comment": COMMENT,
        }
        for n in range(count)
    ]


class Ordeal:
    """One batch, its workers, and what was seen of both."""

    def __init__(self, program: Program, sandbox: SandboxClient) -> None:
        self.program = program
        self.sandbox = sandbox
        self.batch = ""
        self._first = sandbox.stats().calls
        self.workers: list[Worker] = []
        self._rows: dict[Number, Key] = {}
        self._marks = set[str]()

    def submit(self, rows: Sequence[dict[str, Any]], *arguments: str) -> None:
        """Submit the batch; of an ordeal there is one."""
        self._rows = {n: (row["user"], row["event"]) for n, row in enumerate(rows, start=1)}
        self.batch = self.program.submit(list(rows), *arguments)

    @contextmanager
    def worker(
        self, *arguments: str, command: Sequence[str | Path] = (COMMAND, "worker"), **settings: str
    ) -> Iterator[Worker]:
        """Run a worker for the length of a block, and keep its log."""
        with self.program.worker(*arguments, command=command, **settings) as worker:
            self.workers.append(worker)
            yield worker

    def burst(
        self, *, command: Sequence[str | Path] = (COMMAND, "worker"), **settings: str
    ) -> Worker:
        """Run a worker until nothing is left to do."""
        with self.worker("--burst", command=command, **settings) as worker:
            worker.process.wait(PATIENCE_S)
        assert worker.process.returncode == 0, worker.errors
        return worker

    def outlive(self, command: Sequence[str | Path]) -> Worker:
        """Run a worker that may be killed, and if it was another one; return the first."""
        with self.worker("--burst", command=command) as worker:
            code = worker.process.wait(PATIENCE_S)
        self.observe()
        if code != 0:
            assert -signal.SIGKILL == code, worker.errors
            self.burst()
        return worker

    def kill(self, worker: Worker) -> dict[Number, Record]:
        """Kill a worker, and see what it has marked; return the ledger's records."""
        worker.stop(signal.SIGKILL)
        return self.observe()

    def wait_for_calls(self, count: int) -> None:
        """Wait until Graph has received so many calls of this batch."""
        wait_until(
            lambda: self.sandbox.stats().calls >= self._first + count,
            "Graph was not called",
            every_s=0.005,
        )

    def wait_for_the_end(self) -> None:
        """Wait until some worker has said that the batch is finished."""
        wait_until(lambda: self.finished, "nobody says that it is finished", every_s=0.05)

    @property
    def finished_in_ledger(self) -> bool:
        """Whether the ledger says that the batch is finished."""
        return self._ask(_status)["finishedAt"] is not None

    @property
    def finished(self) -> bool:
        """Whether some worker has said that the batch is finished."""
        return any(worker.events("batch.finished") for worker in self.workers)

    def observe(self) -> dict[Number, Record]:
        """Remember the ids of calls that the ledger holds now; return its records."""
        found = self._ask(_records)
        self._marks |= _ids(found.values())
        return found

    def records(self) -> Records:
        """Bring all records together, once Graph has nothing under way any more."""
        found = self._ask(_records)
        return Records(
            batch=self.batch,
            rows=self._rows,
            results=self._ask(lambda batches, batch: read_results(batches, batch.id)),
            status=self._ask(_status),
            records=found,
            marks=frozenset(self._marks | _ids(found.values())),
            leftovers=self._ask(_leftovers),
            journal=self._journal(),
            logs=[_log(worker) for worker in self.workers],
            canaries=(COMMENT, self.program.environment["AZURE_CLIENT_SECRET"]),
        )

    def violations(self) -> list[str]:
        """Check all records; counts that broken workers have ruined are a violation too."""
        try:
            return violations(self.records())
        except Unreadable as error:
            return [str(error), *taken_twice(self._journal())]

    def _journal(self) -> list[Any]:
        def journal() -> list[Any]:
            return self.sandbox.journal(self._first)

        def ended() -> bool:
            return all(entry.ended_s is not None for entry in journal())

        wait_until(ended, "a call does not end", every_s=0.05)
        return journal()

    def _ask(self, question: Callable[[Batches, Batch], Awaitable[T]]) -> T:
        async def ask() -> T:
            settings = Settings.load({"REDIS_URL": self.program.environment["REDIS_URL"]})
            async with open_ledger(settings) as (_, batches):
                return await question(batches, await batches.get(self.batch))

        return asyncio.run(ask())


def seeded(seed: int) -> random.Random:
    """Return chance that repeats itself."""
    return random.Random(seed)


def _ids(records: Any) -> set[str]:
    return {record.client_request_id for record in records if record.client_request_id}


def _log(worker: Worker) -> Log:
    killed = worker.process.returncode == -signal.SIGKILL
    return Log.read(worker.written, worker.errors.encode(), killed=killed)


async def _records(batches: Batches, batch: Batch) -> dict[Number, Record]:
    return {line.row: line.record async for part in batches.lines(batch) for line in part}


async def _status(batches: Batches, batch: Batch) -> dict[str, Any]:
    return describe(batch, await batches.pauses(batch.id, 0))


async def _leftovers(batches: Batches, batch: Batch) -> list[str]:
    redis: Any = batches._redis
    unlogged = [
        f"unlogged {n}"
        for n in range(batch.slices)
        if await redis.exists(keys.unlogged(batch.id, n))
    ]
    return [
        *(f"active {name}" for name in await batches.active()),
        *(f"released {number}" for number in await batches.released(batch.id)),
        *unlogged,
    ]
