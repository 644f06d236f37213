"""
The producer's end of arq: which slices of a batch are in its queue.

A job carries ids only. A window of each batch's slices is in the queue at a time; the first slices
of a batch go ahead of the later ones of others, so a small batch never waits behind a huge one.
Everything here may be repeated: a job that is already there stays as it is.
"""

from collections.abc import Iterable
from typing import Final

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import serialize_job

from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.ledger.fields import SliceField
from jobs.ledger.foreign import SharedUnreadable, Unreadable, told_apart
from jobs.ledger.forms.batch import Batch
from jobs.storable import LAST_MS
from jobs.times import now_ms

JOB: Final = "work_on_slice"
"""The name under which a worker knows the job."""

WINDOW: Final = 160
"""Slices of one batch in the queue at a time: enough to fill a fleet, few enough to be read."""

FIRST_SLICES: Final = 4
_FIRST: Final = frozenset(b"%d" % number for number in range(FIRST_SLICES))
AHEAD_MS: Final = 3_600_000
"""The first slices of a batch are queued as if they had waited for an hour already."""

BODY_KEPT_MS: Final = 30 * 24 * 3_600_000
"""How long past the deadline arq keeps a job's body; `rescue` renews what is lost."""


class Queue:
    """The slices of all batches in arq's queue."""

    def __init__(self, redis: ArqRedis, batches: Batches) -> None:
        self._redis = redis
        self._batches = batches

    async def release(self, batch: Batch, waiting: int = 0) -> None:
        """
        Queue the next slices of a batch, as many as its window has room for.

        `waiting` is how many of those released wait for later, and so take no room.
        """
        await self._enqueue(batch, await self._batches.release(batch.id, WINDOW + waiting))

    async def places(self, batch: Batch) -> dict[int, float | None]:
        """
        Return when each released slice is due, ms; None if it has lost its job.

        A job that is due at an impossible moment counts as lost. Raises `Unreadable` if a slice is
        released that the batch does not have.
        """
        released = await self._batches.released(batch.id)
        if not released:
            return {}
        if released[-1] >= batch.slices:
            raise Unreadable(f"slice {released[-1]} is released, and it has {batch.slices}")
        names = [job_id(batch.id, number) for number in released]
        with told_apart(keys.QUEUE, SharedUnreadable):
            scores = await self._redis.zmscore(keys.QUEUE, names)
        dues_ms = (due if due is not None and due < LAST_MS else None for due in scores)
        return dict(zip(released, dues_ms, strict=True))

    async def restore(self, batch: Batch, numbers: Iterable[int]) -> None:
        """Queue slices that have lost their job."""
        await self._enqueue(batch, numbers, anew=True)

    async def at_work(self, batch_id: str) -> set[int]:
        """
        Return the slices of a batch that a worker may have open.

        A worker with an open slice keeps its job, or has opened it and not left it yet; one that
        died counts until the slice is opened again.
        """
        released = await self._batches.released(batch_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            for number in released:
                pipe.exists(in_progress_key_prefix + job_id(batch_id, number))
                pipe.hget(keys.slice_records(batch_id, number), SliceField.BEGUN.decode())
            found = await pipe.execute()
        taken, opened = found[::2], found[1::2]
        return {
            number
            for number, job, begun in zip(released, taken, opened, strict=True)
            if job or begun is not None
        }

    async def wake(self, batch: Batch) -> None:
        """Have all released slices of a batch taken up now, whatever they are waiting for."""
        await self._batches.wake(batch.id)
        places = await self.places(batch)
        await self.restore(batch, (number for number, due in places.items() if due is None))
        await self.release(batch)
        names = [job_id(batch.id, n) for n in await self._batches.released(batch.id)]
        if names:
            now = now_ms()
            await self._redis.zadd(keys.QUEUE, dict.fromkeys(names, now), xx=True, lt=True)

    async def _enqueue(self, batch: Batch, numbers: Iterable[int], *, anew: bool = False) -> None:
        """Put slices in the queue; those already there keep their place, or take an earlier one."""
        now = now_ms()
        expires_ms = max(batch.deadline_ms - now, 0) + BODY_KEPT_MS
        # A batch for later is due at its time, and not a moment before.
        later = batch.not_before_ms > now
        first_due_ms = batch.not_before_ms if later else now - AHEAD_MS
        due_ms = max(batch.not_before_ms, now)

        async with self._redis.pipeline(transaction=True) as pipe:
            for number in numbers:
                name = job_id(batch.id, number)
                # As arq does it, but for many at once, and without asking whether they are there.
                pipe.psetex(job_key_prefix + name, expires_ms, self._body(batch, number))
                score = first_due_ms if number < FIRST_SLICES else due_ms
                pipe.zadd(keys.QUEUE, {name: score}, nx=not anew, lt=anew)
            await pipe.execute()

    def _body(self, batch: Batch, number: int) -> bytes:
        arguments = (batch.version, batch.id, number)
        return serialize_job(
            JOB, arguments, {}, None, now_ms(), serializer=self._redis.job_serializer
        )


def goes_ahead(job: bytes) -> bool:
    """Whether a job, by its name, is for one of the first slices of a batch."""
    return job.rpartition(b":")[2] in _FIRST


def job_id(batch_id: str, number: int) -> str:
    """Name the job of one slice."""
    return f"{batch_id}:{number}"
