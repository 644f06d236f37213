"""
Which batches there are, and how they stand: many at once, and none of them hides another.

What bulkrsvp has not written is left out, and reported.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from config.errors import InputError
from jobs.ledger import keys
from jobs.ledger.batches.expiry import AT_ONCE
from jobs.ledger.batches.pauses import Pauses, read_graph_pause
from jobs.ledger.fields import BatchField
from jobs.ledger.foreign import (
    BatchUnreadable,
    Unreadable,
    batch_ids,
    is_foreign,
    shown,
    told_apart,
)
from jobs.ledger.forms.batch import Batch, read_batch
from jobs.quoting import refusal


def _ignore(_: str) -> None:
    """Report nothing."""


class Listing:
    """The batches of one ledger, to be looked at."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async

    async def find(self, batch_id: str) -> Batch | None:
        """
        Return a batch, or None if the ledger does not have it (any more).

        Raises `Unreadable` if bulkrsvp has not written what is there.
        """
        with told_apart(f"batch {batch_id}", BatchUnreadable):
            facts = await self._redis.hgetall(keys.batch(batch_id))
            return read_batch(batch_id, facts) if BatchField.FINGERPRINT in facts else None

    async def find_all(self, batch_ids: Sequence[str]) -> list[Batch | Unreadable | None]:
        """
        Look for batches: return each as it stands, or None where there is none.

        Where there is something else, return the error that says so. Raises redis-py's errors.
        """
        answers = await self._ask_all(batch_ids, lambda pipe, each: pipe.hgetall(keys.batch(each)))
        return [_read(*each) for each in zip(batch_ids, answers, strict=True)]

    async def _ask_all(
        self, batch_ids: Sequence[str], ask: Callable[[Any, str], object]
    ) -> list[Any]:
        """Ask something of each batch; return the answers, or the errors that nonsense causes."""
        answers = list[Any]()
        for first in range(0, len(batch_ids), AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for each in batch_ids[first : first + AT_ONCE]:
                    ask(pipe, each)
                answers += await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not is_foreign(answer):
                raise answer
        return answers

    async def get(self, batch_id: str) -> Batch:
        """Return a batch. Raises `InputError` if the ledger does not have it."""
        if (batch := await self.find(batch_id)) is None:
            raise no_batch(batch_id)
        return batch

    async def all(self, foreign: Callable[[str], object] = _ignore) -> list[Batch]:
        """
        Return all batches, the latest first; names of expired ones are skipped.

        What bulkrsvp has not written is left out, and `foreign` is called with a line for each.
        """
        names = await self.names(foreign)
        found = dict(zip(names, await self.find_all(names), strict=True))
        for name, each in found.items():
            if isinstance(each, Unreadable):
                foreign(f"batch {name} cannot be read: {each}")
        return [each for each in found.values() if isinstance(each, Batch)]

    async def names(self, foreign: Callable[[str], object] = _ignore) -> list[str]:
        """Return the ids of all batches, the latest first; some may have expired."""
        with told_apart(keys.BATCHES):
            ours, others = batch_ids(await self._redis.zrevrange(keys.BATCHES, 0, -1))
        _tell(foreign, keys.BATCHES, others)
        return ours

    async def active(self, foreign: Callable[[str], object] = _ignore) -> list[str]:
        """Return the ids of the batches that are not finished and announced."""
        with told_apart(keys.ACTIVE):
            ours, others = batch_ids(await self._redis.smembers(keys.ACTIVE))
        _tell(foreign, keys.ACTIVE, others)
        return sorted(ours)

    async def pauses(self, batch_id: str, now_ms: int) -> Pauses:
        """Return what is paused now: mailboxes of a batch, and perhaps Graph as a whole."""
        (found,) = await self.pauses_all([batch_id], now_ms)
        return found

    async def pauses_all(self, batch_ids: Sequence[str], now_ms: int) -> list[Pauses]:
        """Return what is paused now for each batch; nonsense counts as nothing."""
        until_ms = await read_graph_pause(self._redis)
        answers = await self._ask_all(
            batch_ids, lambda pipe, each: pipe.zcount(keys.throttled(each), now_ms, "+inf")
        )
        counts = [0 if isinstance(answer, Exception) else answer for answer in answers]
        return [Pauses(count, until_ms) for count in counts]


def _read(batch_id: str, answer: Any) -> Batch | Unreadable | None:
    """Read what Redis has answered about a batch."""
    if isinstance(answer, Exception):
        return Unreadable(refusal(answer))
    try:
        return read_batch(batch_id, answer) if BatchField.FINGERPRINT in answer else None
    except ValueError as error:
        return Unreadable(str(error))


def _tell(foreign: Callable[[str], object], key: str, names: Iterable[bytes]) -> None:
    for name in names:
        foreign(f"{shown(name)} in {key} was not written by bulkrsvp")


def no_batch(batch_id: str) -> InputError:
    """Make the error for a batch that the ledger does not have."""
    return InputError(f"there is no batch {batch_id!r}; `bulkrsvp status` lists those there are")
