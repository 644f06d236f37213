"""All that a slice is worked with, put together from the settings once for each process."""

import asyncio
import os
import random as chance
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from socket import gethostname

from arq.connections import ArqRedis
from structlog.typing import FilteringBoundLogger

from config.settings import Settings
from jobs.ledger.batches.store import Batches
from jobs.ledger.coalescing import Together
from jobs.ledger.queue import FIRST_SLICES
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Written
from jobs.ledger.workers.crew import Crew
from jobs.ledger.workers.failover import Home
from jobs.ledger.workers.leases import Facts, Leases
from jobs.times import now_ms
from worker.graph.client import Graph
from worker.identity.credential import TokenSource, open_credential
from worker.identity.token_trial import TokenTrial
from worker.slice.calls.harvest import READERS, Barn
from worker.slice.clock import Clocks
from worker.slice.company import Company
from worker.slice.complaints import Complaints
from worker.slice.grants import Grants
from worker.slice.lease import Presence
from worker.throttle.backoff import RetryBudget
from worker.throttle.gate import Gate, Slots, Widths
from worker.throttle.slots import Places, Queue

VERSION = version("bulkrsvp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """
    The parts, the clocks, and what the settings say of going on.

    `now_ms` returns ms since the epoch; `clocks` say how old a mark is, as they do of the lease.

    `draining` is set when nothing more may be begun, `log_lost` when a line could not be written,
    `went_back` when the ledger may have forgotten what was written.
    """

    slices: Slices
    leases: Leases
    batches: Batches
    crew: Crew
    home: Home
    written: Written
    presence: Presence
    grants: Grants
    graph: Graph
    tokens: TokenSource
    trial: TokenTrial
    gate: Gate
    slots: Slots
    ready: Queue
    slot: Queue
    readers: Queue
    barn: Barn
    widths: Widths
    company: Company
    budget: RetryBudget
    draining: asyncio.Event
    log_lost: asyncio.Event
    went_back: asyncio.Event
    log: FilteringBoundLogger
    complaints: Complaints
    now_ms: Callable[[], int]
    clocks: Clocks
    random: chance.Random
    max_attempts: int
    settle_ms: int
    ahead: "Means | None" = None
    """The same with ways of its own, to Redis and to slots, for slices that go ahead of others."""

    def for_slice(self, number: int) -> "Means":
        """Return what a slice is worked with: a batch's first do not wait for what others ask."""
        return self.ahead if self.ahead is not None and number < FIRST_SLICES else self


@asynccontextmanager
async def equip(
    settings: Settings, redis: ArqRedis, log: FilteringBoundLogger, log_lost: asyncio.Event
) -> AsyncIterator[Means]:
    """Put together all that a slice is worked with, and take it apart in the end."""
    random = chance.SystemRandom()
    together, written = Together(redis), Written()
    slots = Slots(settings.max_calls)
    leases = Leases(together)
    tokens = TokenSource(
        open_credential(settings), settings.scope, clock=time.time, random=random.random, log=log
    )
    graph = _graph(settings)
    clocks = Clocks()
    presence = Presence(Leases(redis), _facts(graph), clocks, log)
    try:
        async with graph:
            means = Means(
                slices=Slices(together, now_ms, written),
                leases=leases,
                batches=Batches(together),
                crew=Crew(redis),
                home=Home(redis),
                written=written,
                presence=presence,
                grants=Grants(),
                graph=graph,
                tokens=tokens,
                # While the machine is suspended no mailbox can speak for a token.
                trial=TokenTrial(time.monotonic),
                gate=Gate(leases, now_ms, log),
                slots=slots,
                ready=slots.ready.behind,
                slot=slots.free.behind,
                readers=Places(READERS).behind,
                barn=Barn(),
                widths=Widths(settings.mailbox_concurrency, now_ms),
                company=Company(),
                budget=RetryBudget(),
                draining=asyncio.Event(),
                log_lost=log_lost,
                went_back=asyncio.Event(),
                log=log,
                complaints=Complaints(log),
                now_ms=now_ms,
                clocks=clocks,
                random=random,
                max_attempts=settings.max_attempts,
                settle_ms=int(settings.settle_s * 1000),
            )
            yield replace(means, ahead=_ahead(means, Together(redis)))
    finally:
        await tokens.close()


def _ahead(means: Means, apart: Together) -> Means:
    return replace(
        means,
        slices=Slices(apart, means.now_ms, means.written),
        leases=Leases(apart),
        ready=means.slots.ready.ahead,
        slot=means.slots.free.ahead,
    )


def _graph(settings: Settings) -> Graph:
    return Graph(
        settings.graph_root,
        settings.api_version,
        max_calls=settings.max_calls,
        timeout_s=settings.call_timeout_s,
        clock=lambda: datetime.now(UTC),
    )


def _facts(graph: Graph) -> Callable[[], Facts]:
    """Return what tells the facts of this process, each time it is asked."""
    begun = Facts(gethostname(), os.getpid(), VERSION, now_ms())
    return lambda: replace(begun, calls=graph.calls)
