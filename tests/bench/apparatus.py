"""
What every case stands on: the simulated Graph, Entra ID, one Redis, and whatever runs on them.

Redis writes through to the disk at each write, as deploy/redis.md wants it. All of it is on this
machine, so a processor that one part uses is not there for the others.
"""

import asyncio
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

from redis import Redis

from config.settings import Settings
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.operations.ledger import open_ledger
from tests.bench.child import Child, Failed, Spent
from tests.bench.graph_client import Counted, GraphClient
from tests.bench.rowfile import RowFile
from tests.bench.yard_rows import CALLS, GRAPH_URL, REDIS_SOCKET
from tests.bench.yardsticks import READ_ONLY, Yardstick
from worker.process.children import child_environment
from worker.process.embedded import EmbeddedRedis

COMMAND: Final = Path(sys.executable).parent / "bulkrsvp"
PATIENCE_S: Final = 60.0
LIMIT_S: Final = 1_800.0
IN_FLIGHT: Final = 512
"""Calls in flight of whoever allows that many; bulkrsvp's own default."""

ROUNDS: Final = 3
"""What is compared is measured so often, in turn: what else the machine does meets all alike."""

LATENCY: Final = {"latency_ms": 150.0, "sigma": 0.5}
"""What Graph's latency is in every case that has one."""

LOOK_S: Final = 0.05


class Apparatus:
    """All that runs while benchmarks run, from `with` until its end; `small` is for a first try."""

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.folder = folder
        self.small = small
        self._parts = ExitStack()
        self._numbers = iter(range(1, sys.maxsize))

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self.graph = parts.enter_context(GraphClient(self.folder))
            embedded = parts.enter_context(EmbeddedRedis(self.folder / "redis"))
            self.redis: Any = parts.enter_context(Redis.from_url(embedded.url))
            entra = parts.enter_context(
                Child([COMMAND, "sandbox"], os.environ, self.folder / "entra.log")
            )
            entra.wait_for(b"GRAPH_URL", PATIENCE_S)
            ours = _exported(entra.log.read_text())
            ours |= {"BULKRSVP_GRAPH_URL": self.graph.url, "REDIS_URL": embedded.url}
            self.environment = child_environment(ours)
            self._theirs = {
                **os.environ,
                GRAPH_URL: self.graph.url,
                REDIS_SOCKET: _socket(embedded.url),
                CALLS: str(IN_FLIGHT),
            }
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def size(self, full: int, small: int) -> int:
        """Return how large something is, this time."""
        return small if self.small else full

    def clear(self, **graph_options: Any) -> None:
        """Forget whatever ran before; takes what `graph.Options` takes."""
        self.redis.flushall()
        self.graph.reset(**graph_options)

    def rows(self, content: RowFile, suffix: str = "csv") -> Path:
        """Write a file of rows."""
        path = self.folder / f"rows-{next(self._numbers)}.{suffix}"
        return content.csv(path) if suffix == "csv" else content.jsonl(path)

    def submit(self, file: Path) -> tuple[str, Spent]:
        """Submit a file; return the batch's id, and what it took."""
        child = self._child("submit", [COMMAND, "submit", file], self.environment)
        spent = child.wait(LIMIT_S)
        return child.log.read_text().strip(), spent

    def read(self, file: Path) -> Spent:
        """Let Python read a file, and do nothing with it; return what that took."""
        return self._child("read", [*READ_ONLY, file], self._theirs).wait(LIMIT_S)

    def worker(self, *arguments: str, **settings: str) -> Child:
        """Start a worker."""
        environment = self.environment | settings
        return self._child("worker", [COMMAND, "worker", *arguments], environment)

    @contextmanager
    def idle_workers(self, count: int = 1, **settings: str) -> Iterator[list[Child]]:
        """Run workers that have nothing to do yet, for the length of a block."""
        with ExitStack() as running:
            workers = [running.enter_context(self.worker(**settings)) for _ in range(count)]
            for worker in workers:
                worker.wait_for(b"token.refreshed", PATIENCE_S)
            yield workers

    def work_off(self, file: Path, **settings: str) -> Spent:
        """Submit a file and let one worker send it; return what the worker took."""
        self.submit(file)
        return self.worker("--burst", **settings).wait(LIMIT_S)

    def enqueue(self, yardstick: Yardstick, file: Path) -> None:
        """Queue a file the way of a yardstick, if it has a queue."""
        if yardstick.enqueue:
            command = [*yardstick.enqueue, file]
            self._child("enqueue", command, self._theirs).wait(LIMIT_S)

    def start(self, yardstick: Yardstick, file: Path) -> Child:
        """Start a yardstick's script or worker."""
        arguments = () if yardstick.enqueue else (file,)
        return self._child(yardstick.letter, [*yardstick.work, *arguments], self._theirs)

    def let_send(self, yardstick: Yardstick, file: Path, count: int) -> Spent:
        """Let a yardstick send a file of so many rows; return what its sender took."""
        self.enqueue(yardstick, file)
        with self.start(yardstick, file) as child:
            if yardstick.ends:
                return child.wait(LIMIT_S)
            child.wait_until(lambda: self._looked().taken >= count, LIMIT_S)
            return child.stop()

    def expect_taken(self, count: int) -> Counted:
        """Return what Graph has counted. Raises `Failed` if it has not taken so many."""
        counted = self.graph.counted()
        if counted.taken != count:
            raise Failed(f"Graph has taken {counted.taken} responses, not {count}")
        return counted

    def wait_for_batch(self, batch_id: str, condition: Callable[[Batch], bool]) -> Batch:
        """Look at a batch until it meets a condition; return it. Raises `TimeoutError`."""
        return asyncio.run(_look_until(self.environment["REDIS_URL"], batch_id, condition))

    def finished(self, batch_id: str) -> Batch:
        """Wait for the end of a batch."""
        return self.wait_for_batch(batch_id, lambda batch: batch.finished_at_ms > 0)

    def ask(self, question: Callable[[Batches], Any]) -> Any:
        """Ask the ledger something."""
        return asyncio.run(_ask(self.environment["REDIS_URL"], question))

    def _looked(self) -> Counted:
        time.sleep(LOOK_S)
        return self.graph.counted()

    def _child(self, name: str, command: list[str | Path], environment: dict[str, str]) -> Child:
        return Child(command, environment, self.folder / f"{name}-{next(self._numbers)}.log")


async def _ask(redis_url: str, question: Callable[[Batches], Any]) -> Any:
    async with open_ledger(Settings.load({"REDIS_URL": redis_url})) as (_, batches):
        return await question(batches)


async def _look_until(redis_url: str, batch_id: str, condition: Callable[[Batch], bool]) -> Batch:
    async def look(batches: Batches) -> Batch:
        async with asyncio.timeout(LIMIT_S):
            while not condition(batch := await batches.get(batch_id)):  # noqa: ASYNC110  # in Redis
                await asyncio.sleep(LOOK_S)
            return batch

    found: Batch = await _ask(redis_url, look)
    return found


def _exported(text: str) -> dict[str, str]:
    """Read `export NAME=value` lines."""
    words = (line.removeprefix("export ") for line in text.splitlines())
    return dict(shlex.split(word)[0].split("=", 1) for word in words)


def _socket(url: str) -> str:
    found = re.match(r"unix://([^?]+)", url)
    assert found is not None
    return unquote(found[1])
