"""All that a slice is worked with; put together once, in `worker/main.py`."""

import asyncio
import random as chance
from collections.abc import Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from jobs.ledger.batches import Batches
from jobs.ledger.home import Home
from jobs.ledger.leases import Leases
from jobs.ledger.slices import Slices
from worker.backoff import RetryBudget
from worker.credential import TokenSource
from worker.graph import Graph
from worker.presence import Presence
from worker.throttle import Gate, Slots, Widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """
    The parts, the clock (ms since the epoch), and what the settings say of going on.

    `draining` is set when nothing more may be begun, `log_lost` when a line could not be written,
    `went_back` when the ledger may have forgotten what was written.
    """

    slices: Slices
    batches: Batches
    home: Home
    leases: Leases
    presence: Presence
    graph: Graph
    tokens: TokenSource
    gate: Gate
    slots: Slots
    widths: Widths
    budget: RetryBudget
    draining: asyncio.Event
    log_lost: asyncio.Event
    went_back: asyncio.Event
    log: FilteringBoundLogger
    now_ms: Callable[[], int]
    random: chance.Random
    max_attempts: int
    settle_ms: int
