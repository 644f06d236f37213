"""All that can be done with the batches of one ledger, for use in programs."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from arq.connections import ArqRedis

from config.settings import Settings
from jobs.draft.draft import check_batch_id, draft
from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.operations.flags import cancelling, pausing, resuming
from jobs.operations.ledger import open_ledger
from jobs.operations.plans import claim_plan, read_plan
from jobs.operations.results import read_results
from jobs.operations.retry import UNSENT, Choice, Retried, queue_again
from jobs.operations.status import describe, read_status
from jobs.operations.submit import Submitted, Wishes, queue_batch
from jobs.outcome import Outcome
from jobs.redis.connection import Logins, no_login
from jobs.rows.reading import Row
from jobs.rows.response import Response
from jobs.rows.selection import Selection

STANDARD: Final = Wishes()


@dataclass(frozen=True, slots=True)
class Status:
    """How a batch stands, and what of it is paused."""

    batch: Batch
    pauses: Pauses

    def to_json(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        return describe(self.batch, self.pauses)


class Desk:
    """
    Batches as an administrator handles them.

    Methods raise `InputError` if the batch does not exist or no longer allows the operation, and
    redis-py's errors if Redis is away.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._batches = Batches(redis)

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, logins: Logins = no_login) -> AsyncIterator[Self]:
        """Open the ledger that the settings name. Raises `LedgerUnreachable` with what to do."""
        async with open_ledger(settings, logins) as (redis, _):
            yield cls(redis)

    async def submit(
        self, asked: Iterable[Response | Selection], wishes: Wishes = STANDARD
    ) -> Submitted:
        """
        Queue responses and selections as one batch; submitting the same again queues nothing.

        Raises `Refused`, an `InputError`, if two of them want different things of one invitation.
        """
        if wishes.batch is not None:
            check_batch_id(wishes.batch)
        rows = (Row.of(number, number, each) for number, each in enumerate(asked, start=1))
        with draft(rows, plan=wishes.plan) as checked:
            return await queue_batch(self._redis, checked, wishes)

    async def apply(self, plan: str, wishes: Wishes = STANDARD) -> Submitted | None:
        """Queue what a plan lists as planned, as a batch of its own; None if it lists nothing."""
        with await read_plan(self._batches, plan) as planned:
            if not planned.total:
                return None
            await claim_plan(self._redis, plan, planned, wishes)
            return await queue_batch(self._redis, planned, wishes)

    async def status(self, batch: str) -> Status:
        """Return how a batch stands."""
        return Status(*await read_status(self._batches, batch))

    async def results(
        self, batch: str, outcomes: frozenset[Outcome] = frozenset()
    ) -> list[dict[str, Any]]:
        """Return a line for each response, as `results --format jsonl` has it."""
        return await read_results(self._batches, batch, frozenset(map(str, outcomes)))

    async def retry(self, batch: str, choice: Choice = UNSENT) -> Retried:
        """Queue responses that have ended again, in the same batch."""
        return await queue_again(self._redis, self._batches, batch, choice)

    async def pause(self, batch: str) -> None:
        """Send nothing more; return once no worker can begin another call."""
        await pausing(batch).hold(self._redis, self._batches)

    async def resume(self, batch: str) -> None:
        """Continue after a pause."""
        await resuming(batch).change(self._redis, self._batches)

    async def cancel(self, batch: str) -> None:
        """End what has not been sent; return as `pause` does."""
        await cancelling(batch).hold(self._redis, self._batches)
