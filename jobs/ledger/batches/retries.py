"""
What a retry does to a batch: responses that have ended are queued again, some at a time.

`jobs/operations/retry.py` chooses which.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.batches.expiry import Expiry
from jobs.ledger.batches.listing import no_batch
from jobs.ledger.batches.store import Batches
from jobs.ledger.fields import BatchField, SliceField
from jobs.ledger.foreign import told_apart
from jobs.ledger.forms.archive import unpack
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.script import Script
from jobs.times import now_ms

REOPENED_AT_ONCE: Final = 1_000
"""Responses in one step: some 5 ms of Redis."""

RETRYING_MS: Final = 30_000
"""How long a retry counts as under way after a step, should it die there."""


class Retries:
    """The retries of one ledger."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._batches = Batches(redis)
        self._expiry = Expiry(redis)
        self._script = Script(redis, "reopen")

    async def reopen(
        self, batch: Batch, number: int, lines: Iterable[Entry], deadline_ms: int
    ) -> tuple[int, int] | None:
        """
        Queue settled responses of one slice again, at most `REOPENED_AT_ONCE` of them.

        Returns how many were queued, and how many were not because no worker has logged their end
        yet. Returns None and queues nothing if the batch was cancelled after `batch` was read. A
        cancel that `batch` shows ends when the first responses are queued. Raises `InputError` if
        the batch is gone.
        """
        arguments: list[Any] = []
        for line in lines:
            if line.record.ending is not None:
                before, after = line.record.to_json(), line.record.reopened().to_json()
                outcome, finds = line.record.ending.outcome, line.finds
                arguments += [line.row, before, after, outcome.value, int(finds)]
        cancelled_end_ms = batch.finished_at_ms if batch.cancelled else 0
        while True:
            archive, records = await self._take_out(batch.id, number)
            answer = await self._script(
                [
                    keys.batch(batch.id),
                    keys.slice_records(batch.id, number),
                    keys.ACTIVE,
                    keys.released(batch.id),
                    keys.rows(batch.id),
                    keys.unlogged(batch.id, number),
                ],
                [
                    *(batch.id, number, deadline_ms, cancelled_end_ms),
                    *(archive, len(records), now_ms() + RETRYING_MS),
                    *chain.from_iterable(records.items()),
                    *arguments,
                ],
            )
            match answer:
                case [count, left]:
                    return count, left
                case b"expiring":
                    await self._keep(batch.id)
                case b"cancelled":
                    return None
                case b"gone":
                    raise no_batch(batch.id)
                case _:  # its records were put away meanwhile
                    continue

    async def _keep(self, batch_id: str) -> None:
        batch = await self._batches.get(batch_id)
        if batch.finished_at_ms:
            await self._expiry.keep(batch)

    async def end_retry(self, batch_id: str) -> None:
        """Note that a retry is over: from now on a finished batch has no flags to change."""
        await self._redis.hdel(keys.batch(batch_id), BatchField.RETRYING)

    async def _take_out(self, batch_id: str, number: int) -> tuple[bytes, dict[bytes, bytes]]:
        """Return a slice's archive, and the records in it by their rows; both may be empty."""
        with told_apart(f"batch {batch_id}"):
            archive = await self._redis.hget(
                keys.slice_records(batch_id, number), SliceField.ARCHIVE
            )
        return (b"", {}) if archive is None else (archive, unpack(archive))
