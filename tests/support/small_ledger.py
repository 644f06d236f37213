"""A ledger with small batches in it: put there as a submit does, opened as a worker does."""

import itertools
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import structlog
from arq.connections import ArqRedis
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from jobs.ledger import keys
from jobs.ledger.batches.retries import Retries
from jobs.ledger.batches.store import Batches, Commit
from jobs.ledger.forms.batch import Batch, Order
from jobs.ledger.forms.entries import Entry
from jobs.ledger.forms.slice import Slice
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.store import Closed, Slices
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus, Written
from jobs.ledger.workers.crew import Crew
from jobs.ledger.workers.leases import Leases
from jobs.outcome import Ending, Outcome, Reason
from jobs.redis.connection import connect

NOW = 1_700_000_000_000
"""Where the hand-driven clock of a test begins, ms since the epoch."""

SENT = Ending(Outcome.SENT, Reason.ACCEPTED)
FAILED = Ending(Outcome.FAILED, Reason.NOT_FOUND)


def slices(*sizes: int) -> list[Slice]:
    """Make slices of these sizes; each holds one mailbox, and rows are counted through."""
    firsts = itertools.accumulate(sizes, initial=1)
    return [_slice(number, *part) for number, part in enumerate(zip(firsts, sizes, strict=False))]


def _slice(number: int, first: int, size: int) -> Slice:
    user = f"user{number}@contoso.com"
    rows = [
        [row, {"user": user, "event": f"E{row}", "action": "decline", "sendResponse": True}]
        for row in range(first, first + size)
    ]
    return Slice(number, size, zlib.compress(orjson.dumps(rows), 1))


def order(total: int, batch: str = "b", **changes: Any) -> Order:
    """Order a batch that may be sent for a day from `NOW` on."""
    standard = Order(
        batch=batch,
        fingerprint="f",
        total=total,
        duplicates=0,
        not_before_ms=NOW,
        allowed_ms=86_400_000,
        check_first=False,
        plan=False,
        selections=0,
    )
    return replace(standard, **changes)


class Ledger:
    """The sides of one ledger, under a clock that a test sets."""

    def __init__(self, redis: ArqRedis) -> None:
        self.now_ms = NOW
        self.redis: Any = redis  # redis-py types each command as both sync and async
        self.batches = Batches(redis)
        self.leases = Leases(redis)
        self.crew = Crew(redis)
        self.retries = Retries(redis)
        self.written = Written()
        self.slices = Slices(redis, lambda: self.now_ms, self.written)

    async def submit(self, *sizes: int, batch: str = "b", **changes: Any) -> Batch:
        """Commit a batch with slices of these sizes."""
        commit = await self.batches.commit(
            order(sum(sizes), batch, **changes), slices(*sizes), self.now_ms
        )
        assert Commit.CREATED == commit
        return await self.batches.get(batch)

    async def enlist(self, worker: str = "w") -> None:
        """Take a worker's lease that does not run out, however slow the machine is."""
        await self.leases.enlist(worker)
        await self.redis.persist(keys.worker(worker))

    async def open(self, number: int = 0, *, worker: str = "w", batch: str = "b") -> OpenSlice:
        """Open a slice as a living worker."""
        await self.enlist(worker)
        part = await self.slices.open(worker, batch, number)
        assert part is not None
        return part

    async def mark(self, part: OpenSlice, entry: Entry, guid: str = "guid") -> WriteStatus:
        """Ask for a mark."""
        return (await self.slices.write(part, Kind.MARK, entry, entry.record.marked(guid))).status

    async def look(self, part: OpenSlice, entry: Entry) -> Answer:
        """Ask for leave to look."""
        return await self.slices.write(part, Kind.LOOK, entry, entry.record)

    async def turn_page(self, part: OpenSlice, entry: Entry) -> Answer:
        """Ask for leave to read a page of a calendar."""
        return await self.slices.write(part, Kind.PAGE, entry, entry.record)

    async def settle(self, part: OpenSlice, entry: Entry, ending: Ending = SENT) -> WriteStatus:
        """Write the end of a response."""
        record = entry.record.settled(ending, self.now_ms)
        return (await self.slices.write(part, Kind.SETTLE, entry, record)).status

    async def finish(
        self, number: int = 0, endings: Sequence[Ending] = (), batch: str = "b"
    ) -> Closed:
        """Settle and log all that is open of a slice, and leave it."""
        part = await self.open(number, batch=batch)
        given = [*endings, *[SENT] * len(part.entries)]
        for entry, ending in zip(part.entries, given, strict=False):
            assert WriteStatus.OK == await self.settle(part, entry, ending)
        part.logged += [entry.row for entry in part.entries]
        return await self.slices.close(part)


@asynccontextmanager
async def ledger_at(url: str) -> AsyncIterator[Ledger]:
    """Connect to a ledger for the length of a block."""
    redis = connect(url)
    try:
        yield Ledger(redis)
    finally:
        await redis.aclose(close_connection_pool=True)


def listening() -> tuple[FilteringBoundLogger, CapturingLogger]:
    """Make a logger, and what keeps all that it is told."""
    heard = CapturingLogger()
    log = structlog.wrap_logger(
        heard, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return log.bind(), heard


def events(heard: CapturingLogger) -> list[str]:
    """List the events that were logged."""
    return [call.kwargs["event"] for call in heard.calls]
