"""
The administrator's side of the ledger: commit a batch, raise its flags, count it, read it.

It knows neither arq nor Graph nor the format of a file.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from enum import StrEnum
from uuid import uuid4

from redis.asyncio import Redis

from config.errors import InputError, LedgerUnreachable
from jobs import times
from jobs.ledger import keys
from jobs.ledger.batches.expiry import AT_ONCE, Expiry
from jobs.ledger.batches.listing import Listing
from jobs.ledger.fields import BatchField
from jobs.ledger.foreign import FOR_EVER, BatchUnreadable, Unreadable, told_apart
from jobs.ledger.forms.batch import CODED, ROWS_LACK, VERSIONS, Batch, Order
from jobs.ledger.forms.entries import Entry, read_entries
from jobs.ledger.forms.slice import Slice
from jobs.ledger.reading import FIELDS_AT_ONCE, read_on
from jobs.ledger.script import Script
from jobs.storable import stored_number

ANNOUNCING_MS = 5_000
"""How long a worker may take from claiming an announcement to its line."""

SCRIPTS = ("announce", "commit", "flag", "forget", "release", "sweep")

STAGED_AT_ONCE = 50
"""Slices per round trip of a submit: large enough to be fast, small enough to stay flat."""


class Commit(StrEnum):
    """What a commit found."""

    CREATED = "created"
    SAME = "same"
    OTHER = "other"
    UNSTAGED = "unstaged"


class Flagged(StrEnum):
    """What came of changing a flag."""

    CHANGED = "changed"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    GONE = "gone"


class Batches(Listing):
    """All batches of one ledger."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self._scripts = {name: Script(redis, name) for name in SCRIPTS}
        self._expiry = Expiry(redis)

    async def commit(self, order: Order, slices: Iterable[Slice], now_ms: int) -> Commit:
        """
        Stage the slices, then make the batch exist in one step.

        A submit that dies before that step leaves only staged rows, which expire. Leftovers of an
        older batch with that id are deleted, unless the batch exists.
        """
        staging = keys.staging(uuid4().hex)
        count = await self._stage(staging, slices)
        await self._sweep(order.batch, count)
        answer = await self._scripts["commit"](
            [
                keys.batch(order.batch),
                staging,
                keys.rows(order.batch),
                keys.BATCHES,
                keys.ACTIVE,
                keys.released(order.batch),
                keys.throttled(order.batch),
                keys.announcing(order.batch),
                keys.HOME,
            ],
            [order.batch, order.fingerprint, now_ms, *_facts(order, count)],
        )
        return Commit(answer.decode())

    async def _stage(self, staging: str, slices: Iterable[Slice]) -> int:
        count, gathered = 0, dict[str, bytes]()
        for part in slices:
            gathered[str(part.number)] = part.body
            count += 1
            if len(gathered) == STAGED_AT_ONCE:
                await self._stage_some(staging, gathered)
                gathered.clear()
        if gathered:
            await self._stage_some(staging, gathered)
        return count

    async def _stage_some(self, staging: str, bodies: Mapping[str, bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(staging, mapping=dict(bodies))
            pipe.expire(staging, keys.STAGING_S)
            await pipe.execute()

    async def _sweep(self, batch_id: str, count: int) -> None:
        """Delete what an older batch has left of `count` slices; a batch that exists keeps them."""
        prefix = keys.slices_prefix(batch_id)
        for first in range(0, count, AT_ONCE):
            last = min(first + AT_ONCE, count) - 1
            if not await self._scripts["sweep"]([keys.batch(batch_id)], [prefix, first, last]):
                return

    async def pause(self, batch_id: str, *, paused: bool) -> Flagged:
        """Raise or lower the flag that refuses every mark of a batch."""
        return await self._flag(batch_id, BatchField.PAUSED, int(paused))

    async def cancel(self, batch_id: str) -> Flagged:
        """Raise the flag that ends what has not been sent; it also ends a pause."""
        return await self._flag(batch_id, BatchField.CANCELLED, 1, BatchField.PAUSED, 0)

    async def _flag(self, batch_id: str, *flags: bytes | int) -> Flagged:
        answer = await self._scripts["flag"]([keys.batch(batch_id)], [times.now_ms(), *flags])
        return Flagged(answer.decode())

    async def wake(self, batch_id: str) -> None:
        """Have the slices that are being worked on come back as soon as they are left."""
        await self._redis.hincrby(keys.batch(batch_id), BatchField.WAKES, 1)

    async def claim_announcement(self, batch_id: str) -> bool:
        """Ask to be the one that logs the end of a batch; a claim expires by itself."""
        claim = keys.announcing(batch_id)
        if await self._redis.set(claim, "1", nx=True, px=ANNOUNCING_MS):
            return True
        if await self._redis.pttl(claim) == FOR_EVER:  # which no claim of bulkrsvp's does
            await self._redis.delete(claim)
        return False

    async def announce(self, batch: Batch) -> None:
        """Note that the end of a batch has been logged, unless the batch has been reopened."""
        await self._scripts["announce"](
            [keys.batch(batch.id), keys.ACTIVE, keys.throttled(batch.id)],
            [batch.id, batch.finished_at_ms],
        )
        if batch.expiry_since_ms:
            await self.expire(batch)

    async def expire(self, batch: Batch) -> None:
        """Give all slices of a finished batch their expiry; until then it stays active."""
        await self._expiry.expire(batch)

    async def forget(self, batch_id: str) -> None:
        """Take a batch that is gone off the list of active ones, unless it was made again."""
        await self._scripts["forget"]([keys.ACTIVE, keys.batch(batch_id)], ["SREM", batch_id])

    async def release(self, batch_id: str, window: int) -> list[int]:
        """
        Release the next slices, up to `window` at a time; return their numbers.

        Raises `BatchUnreadable` if rows of some of its slices are missing.
        """
        answer: list[int] | None = await self._scripts["release"](
            [keys.batch(batch_id), keys.released(batch_id), keys.rows(batch_id)], [window]
        )
        if answer is None:
            raise BatchUnreadable(f"batch {batch_id}: {ROWS_LACK}")
        return answer

    async def released(self, batch_id: str) -> list[int]:
        """Return the slices that are released and not done."""
        name = keys.released(batch_id)
        with told_apart(name):
            members: set[bytes] = await self._redis.smembers(name)
            return sorted(map(stored_number, members))

    async def lines(
        self, batch: Batch, passed_over: Callable[[Unreadable], None] | None = None
    ) -> AsyncIterator[list[Entry]]:
        """
        Yield the lines of a batch, slice by slice.

        A slice that cannot be read is reported to `passed_over`, if that is given, and is left
        empty. Raises `LedgerUnreachable` if its rows are gone from Redis, `InputError` if this
        program does not know its form, and `Unreadable` if bulkrsvp has not written what is there.
        """
        if batch.version not in VERSIONS:
            raise InputError(
                f"batch {batch.id} was submitted by a newer version of bulkrsvp; use that one here"
            )
        for number in range(batch.slices):
            try:
                yield await self._slice_lines(batch.id, number)
            except Unreadable as error:
                if passed_over is None:
                    raise
                passed_over(error)
                yield []

    async def _slice_lines(self, batch_id: str, number: int) -> list[Entry]:
        name = keys.slice_records(batch_id, number)
        with told_apart(f"batch {batch_id}"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hget(keys.rows(batch_id), str(number))
                pipe.hscan(name, count=FIELDS_AT_ONCE)
                body, first = await pipe.execute()
        if body is None:
            raise LedgerUnreachable(
                f"the rows of batch {batch_id} are gone from Redis; was it flushed, or full?"
            )
        try:
            return list(read_entries(body, await read_on(self._redis, name, *first)))
        except ValueError as error:
            raise Unreadable(f"batch {batch_id}, slice {number}: {error}") from error


def _facts(order: Order, slices: int) -> list[bytes | int]:
    facts: dict[BatchField, int] = {
        BatchField.VERSION: CODED,
        BatchField.TOTAL: order.total,
        BatchField.OPEN: order.total,
        BatchField.DUPLICATES: order.duplicates,
        BatchField.SLICES: slices,
        BatchField.NOT_BEFORE_MS: order.not_before_ms,
        BatchField.DEADLINE_MS: order.deadline_ms,
        BatchField.ALLOWED_MS: order.allowed_ms,
        BatchField.CHECK_FIRST: int(order.check_first),
        BatchField.PLAN: int(order.plan),
        BatchField.FINDING: order.selections,
    }
    return [part for pair in facts.items() for part in pair]
