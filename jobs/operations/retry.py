"""
Queue responses of a batch that have ended again: which ones, and what happens meanwhile.

It goes slice by slice, and through a big slice in steps, so in between a batch may finish, or be
paused, retried by someone else, or cancelled; a cancel wins. A retry that dies has queued some
responses again and left the others as they were. It knows neither click nor how a response is sent.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Final

from arq.connections import ArqRedis

from config.errors import InputError
from jobs.ledger.batches.retries import REOPENED_AT_ONCE, Retries
from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import Unreadable
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.queue import Queue
from jobs.outcome import Outcome
from jobs.storable import LAST_MS
from jobs.times import now_ms


@dataclass(frozen=True, slots=True)
class Choice:
    """Which responses that have ended are queued again; no reasons means any reason."""

    outcomes: frozenset[str]
    reasons: frozenset[str]

    def has(self, line: Entry) -> bool:
        """Whether a response is one of them."""
        ending = line.record.ending
        return (
            ending is not None
            and ending.outcome.value in self.outcomes
            and (not self.reasons or ending.reason in self.reasons)
        )


UNSENT: Final = Choice(frozenset({Outcome.FAILED.value, Outcome.EXPIRED.value}), frozenset())
"""What is queued again by default: what was certainly not sent."""


@dataclass(frozen=True, slots=True)
class Retried:
    """
    What came of a retry.

    `count` were queued again; `left` were not, because no worker has logged their end yet. `paused`
    is whether what was queued waits for `resume`, `cancelled` whether a cancel came in between.
    """

    count: int = 0
    left: int = 0
    paused: bool = False
    cancelled: bool = False


async def queue_again(
    redis: ArqRedis,
    batches: Batches,
    batch_id: str,
    choice: Choice,
    passed_over: Callable[[Unreadable], None] | None = None,
) -> Retried:
    """
    Queue those responses again; from now on their batch has as much time as it had at first.

    `passed_over` is called with what is wrong with each slice that cannot be read; without it that
    is raised. Raises `InputError` if the batch is being cancelled or is not there, and redis-py's
    errors.
    """
    batch = await batches.get(batch_id)
    being_cancelled = InputError(f"batch {batch_id} is being cancelled; retry it when it has ended")
    if batch.cancelled and not batch.finished_at_ms:
        raise being_cancelled
    retries = Retries(redis)
    deadline_ms = min(now_ms() + batch.allowed_ms, LAST_MS - 1)
    lines = batches.lines(batch, passed_over)
    retried = await _reopen(lines, retries, batch, choice, deadline_ms)
    if not retried.count:
        if retried.cancelled:
            raise being_cancelled
        return retried
    await retries.end_retry(batch_id)
    now = await batches.get(batch_id)
    await Queue(redis, batches).wake(now)
    return replace(retried, paused=now.paused)


async def _reopen(
    lines_of_slices: AsyncIterator[list[Entry]],
    retries: Retries,
    batch: Batch,
    choice: Choice,
    deadline_ms: int,
) -> Retried:
    count, left, number = 0, 0, 0
    async for part in lines_of_slices:
        lines = [line for line in part if choice.has(line)]
        for first in range(0, len(lines), REOPENED_AT_ONCE):
            some = lines[first : first + REOPENED_AT_ONCE]
            answer = await retries.reopen(batch, number, some, deadline_ms)
            if answer is None:
                return Retried(count, left, cancelled=True)
            count, left = count + answer[0], left + answer[1]
            if count:  # it goes on; whatever cancel it shows from now on is a later one
                batch = replace(batch, cancelled=False)
        number += 1
    return Retried(count, left)
