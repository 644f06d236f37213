"""Settings become the parts that a slice is worked with, once for each process."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from random import SystemRandom
from socket import gethostname
from typing import Final

from arq.connections import ArqRedis
from structlog.typing import FilteringBoundLogger

from config.settings import Settings
from jobs.ledger.batches.store import Batches
from jobs.ledger.coalescing import CoalescingRedis
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Written
from jobs.ledger.workers.crew import Crew
from jobs.ledger.workers.facts import Facts
from jobs.ledger.workers.failover import Failover
from jobs.ledger.workers.leases import Leases
from jobs.times import now_ms
from worker.graph.client import Graph
from worker.identity.credential import open_credential
from worker.identity.token_source import TokenSource
from worker.identity.token_trial import TokenTrial
from worker.slice.calls.events_read import READERS, ReadMemory
from worker.slice.clock import Clocks
from worker.slice.context import CallSide, Context, LedgerSide, Signals
from worker.slice.lease import WorkerLease
from worker.slice.recent_marks import RecentMarks
from worker.slice.shared_lock import SharedLock
from worker.slice.unreadable import UnreadableLog
from worker.throttle.backoff import RetryBudget
from worker.throttle.gate import Gate
from worker.throttle.slots import SlotPool, Slots
from worker.throttle.widths import Widths

VERSION: Final = version("bulkrsvp")


@asynccontextmanager
async def assembled(
    settings: Settings, redis: ArqRedis, log: FilteringBoundLogger, log_lost: asyncio.Event
) -> AsyncIterator[Context]:
    """
    Put together what slices are worked with, for the length of a block.

    Raises `SettingsError` for a credential that cannot be used.
    """
    tokens, graph = _tokens(settings, log), _graph(settings)
    signals = _signals(log, log_lost)
    ledger = _ledger_side(redis, graph, signals)
    try:
        async with graph:
            calls = _call_side(settings, ledger.leases, signals, graph, tokens)
            context = Context(ledger=ledger, calls=calls, signals=signals)
            yield replace(context, ahead=_ahead(context, CoalescingRedis(redis)))
    finally:
        await tokens.close()


def _tokens(settings: Settings, log: FilteringBoundLogger) -> TokenSource:
    return TokenSource(
        open_credential(settings),
        settings.scope,
        clock=time.time,
        random=SystemRandom().random,
        log=log,
    )


def _signals(log: FilteringBoundLogger, log_lost: asyncio.Event) -> Signals:
    return Signals(
        draining=asyncio.Event(),
        log_lost=log_lost,
        went_back=asyncio.Event(),
        log=log,
        unreadable=UnreadableLog(log),
        now_ms=now_ms,
        clocks=Clocks(),
    )


def _ledger_side(redis: ArqRedis, graph: Graph, signals: Signals) -> LedgerSide:
    together, written = CoalescingRedis(redis), Written()
    return LedgerSide(
        slices=Slices(together, now_ms, written),
        leases=Leases(together),
        batches=Batches(together),
        crew=Crew(redis),
        home=Failover(redis),
        written=written,
        worker_lease=WorkerLease(Leases(redis), _facts(graph), signals.clocks, signals.log),
        recent_marks=RecentMarks(),
    )


def _call_side(
    settings: Settings,
    leases: Leases,
    signals: Signals,
    graph: Graph,
    tokens: TokenSource,
) -> CallSide:
    slots = Slots(settings.max_calls)
    return CallSide(
        graph=graph,
        tokens=tokens,
        # While the machine is suspended no mailbox can speak for a token.
        trial=TokenTrial(time.monotonic),
        gate=Gate(leases, now_ms, signals.log),
        slots=slots,
        ready=slots.ready.behind,
        slot=slots.free.behind,
        readers=SlotPool(READERS).behind,
        read_memory=ReadMemory(),
        widths=Widths(settings.mailbox_concurrency, now_ms),
        process_lock=SharedLock(),
        budget=RetryBudget(),
        random=SystemRandom(),
        max_attempts=settings.max_attempts,
        settle_ms=int(settings.settle_s * 1000),
    )


def _ahead(context: Context, apart: CoalescingRedis) -> Context:
    """Return the same context, with ways of its own to Redis and to slots."""
    ledger, calls, slots = context.ledger, context.calls, context.calls.slots
    return replace(
        context,
        ledger=replace(ledger, slices=Slices(apart, now_ms, ledger.written), leases=Leases(apart)),
        calls=replace(calls, ready=slots.ready.ahead, slot=slots.free.ahead),
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
    """Return what reads the facts of this process, at each beat."""
    begun = Facts(gethostname(), os.getpid(), VERSION, now_ms())
    return lambda: replace(begun, calls=graph.calls)
