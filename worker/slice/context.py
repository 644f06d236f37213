"""
What a slice is worked with: the ledger's side, the call's side, and the signals between them.

A process puts it together once (`worker/process/assemble.py`); nothing here is made or replaced
while it works.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Self

from structlog.typing import FilteringBoundLogger

from jobs.ledger.batches.store import Batches
from jobs.ledger.queue import FIRST_SLICES
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Written
from jobs.ledger.workers.crew import Crew
from jobs.ledger.workers.failover import Failover
from jobs.ledger.workers.leases import Leases
from worker.graph.client import Graph
from worker.identity.token_source import TokenSource
from worker.identity.token_trial import TokenTrial
from worker.slice.calls.events_read import ReadMemory
from worker.slice.clock import Clocks
from worker.slice.lease import WorkerLease
from worker.slice.recent_marks import RecentMarks
from worker.slice.shared_lock import SharedLock
from worker.slice.unreadable import UnreadableLog
from worker.throttle.backoff import RetryBudget
from worker.throttle.gate import Gate
from worker.throttle.slots import SlotQueue, Slots
from worker.throttle.widths import Widths


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSide:
    """Where it is written down, and what this process holds there."""

    slices: Slices
    leases: Leases
    batches: Batches
    crew: Crew
    home: Failover
    written: Written
    worker_lease: WorkerLease
    recent_marks: RecentMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSide:
    """
    What a call is made with, what it has to pass before, and how often it may be made again.

    Each call enters `ready`, then `slot`; each selection that reads a calendar enters `readers`.
    """

    graph: Graph
    tokens: TokenSource
    trial: TokenTrial
    gate: Gate
    slots: Slots
    ready: SlotQueue
    slot: SlotQueue
    readers: SlotQueue
    read_memory: ReadMemory
    widths: Widths
    process_lock: SharedLock
    budget: RetryBudget
    random: Random
    max_attempts: int
    settle_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """
    What is set for all to see, the clocks, and the log.

    `draining` is set when nothing more may be begun, `log_lost` when a line could not be written,
    `went_back` when the ledger may have forgotten what was written. `now_ms` returns ms since the
    epoch; `clocks` measure how old a mark or a lease is.
    """

    draining: asyncio.Event
    log_lost: asyncio.Event
    went_back: asyncio.Event
    log: FilteringBoundLogger
    unreadable: UnreadableLog
    now_ms: Callable[[], int]
    clocks: Clocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    The three groups of parts.

    `ahead` is the same for slices that go ahead of others: it has connections to Redis and queues
    for slots of its own.
    """

    ledger: LedgerSide
    calls: CallSide
    signals: Signals
    ahead: Self | None = None

    def for_slice(self, number: int) -> "Context":
        """Return the context of a slice: a batch's first do not wait behind the others."""
        return self.ahead if self.ahead is not None and number < FIRST_SLICES else self
