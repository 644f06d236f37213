"""What is big is taken in steps: what others see between two of them, and who dies there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis import ConnectionError as Away
from redis import Redis

from jobs.ledger import keys
from jobs.ledger.batches.expiry import AT_ONCE, Expiry
from jobs.ledger.batches.retries import REOPENED_AT_ONCE
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.reading import FIELDS_AT_ONCE, read_fields
from jobs.ledger.slices.open_slice import LOGGED_AT_ONCE, OpenSlice
from jobs.ledger.slices.store import Closed
from jobs.ledger.slices.writes import AT_ONCE as WRITTEN_AT_ONCE
from jobs.operations.retry import Choice, queue_again
from jobs.outcome import Ending, Outcome
from jobs.redis.connection import connect
from tests.ledger.test_retry import LATER, expires, pass_days
from tests.support.awaited import awaited
from tests.support.harness import harnessed
from tests.support.small_ledger import FAILED, NOW, SENT, Ledger, ledger_at

ALL_FAILED = Choice(frozenset({Outcome.FAILED.value}), frozenset())
BIG = 2 * REOPENED_AT_ONCE + 100
MANY = 2 * AT_ONCE + 1


async def settle_all(
    ledger: Ledger, part: OpenSlice, ending: Ending, entries: list[Entry] | None = None
) -> Closed:
    """Settle and log what is open of a slice, all at once, and leave it."""
    entries = part.entries if entries is None else entries
    await asyncio.gather(*(ledger.settle(part, each, ending) for each in entries))
    part.logged += [entry.row for entry in entries]
    return await ledger.slices.close(part)


async def big_batch(ledger: Ledger, size: int = BIG) -> Batch:
    """Make a batch of one mailbox that is finished: all its responses have failed."""
    await ledger.submit(size)
    await ledger.batches.release("b", 1)
    assert Closed.FINISHED == await settle_all(ledger, await ledger.open(), FAILED)
    await ledger.batches.announce(await ledger.batches.get("b"))
    return await ledger.batches.get("b")


async def many_slices(ledger: Ledger, redis: Redis) -> Batch:
    """Make a batch of so many slices that they take three steps; it is finished, not announced."""
    await ledger.submit(*[1] * MANY)
    for number in range(1, MANY):
        redis.hset(keys.slice_records("b", number), "done", "1")
    redis.hset(keys.batch("b"), "open", "1")
    assert Closed.FINISHED == await ledger.finish(0, [FAILED])
    return await ledger.batches.get("b")


async def steps_of(ledger: Ledger, batch: Batch) -> list[list[Entry]]:
    """Read what failed in a batch of one slice, in the steps of a retry."""
    ((*lines,),) = [part async for part in ledger.batches.lines(batch)]
    failed = [line for line in lines if line.record.ending == FAILED]
    firsts = range(0, len(failed), REOPENED_AT_ONCE)
    return [failed[first : first + REOPENED_AT_ONCE] for first in firsts]


async def counted(ledger: Ledger) -> dict[object, int]:
    """Count the responses of the batch by how they have ended, as the results show it."""
    counts: dict[object, int] = {}
    async for part in ledger.batches.lines(await ledger.batches.get("b")):
        for line in part:
            ending = line.record.ending and line.record.ending.outcome
            counts[ending] = counts.get(ending, 0) + 1
    return counts


@asynccontextmanager
async def mortal(url: str, commands: int) -> AsyncIterator[ArqRedis]:
    """Connect to Redis as who dies after so many commands."""
    redis: Any = connect(url)
    execute, left = redis.execute_command, commands

    async def counted(*command: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Away("dead")
        return await execute(*command, **options)

    redis.execute_command = counted
    try:
        with pytest.raises(Away):
            yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


# A big mailbox


@awaited
async def test_a_mailbox_too_big_for_one_step_is_retried_whole(
    redis_url: str, redis: Redis
) -> None:
    """A retry of a big mailbox queues all of it, worker and results read all of it again."""
    async with ledger_at(redis_url) as ledger:
        await big_batch(ledger, FIELDS_AT_ONCE + REOPENED_AT_ONCE)
        retried = await queue_again(ledger.redis, ledger.batches, "b", ALL_FAILED)
        goes_on, kept = await ledger.batches.get("b"), expires(redis)
        part = await ledger.open()
        closed = await settle_all(ledger, part, SENT)

        size = FIELDS_AT_ONCE + REOPENED_AT_ONCE
        assert (size, 0, size, {False}) == (retried.count, retried.left, goes_on.open, kept)
        assert ({}, size, Closed.FINISHED) == (goes_on.outcomes, len(part.entries), closed)
        assert {Outcome.SENT: size} == await counted(ledger)
        assert {True} == expires(redis)


@awaited
async def test_a_retry_that_dies_between_two_steps(redis_url: str, redis: Redis) -> None:
    """What it had queued goes on, the rest stays failed, and another retry takes it up."""
    async with harnessed(redis_url) as harness:
        ledger = harness.ledger
        batch = await big_batch(ledger)
        first, *_ = await steps_of(ledger, batch)
        await ledger.retries.reopen(batch, 0, first, LATER)
        pass_days(redis)
        between = await counted(ledger)
        for _ in range(2):
            await harness.rescue.look_round()
        queued = redis.zrange(keys.QUEUE, 0, -1)
        closed = await settle_all(ledger, await ledger.open(), SENT)
        retried = await queue_again(ledger.redis, ledger.batches, "b", ALL_FAILED)
        again = await settle_all(ledger, await ledger.open(), SENT)

        assert {None: REOPENED_AT_ONCE, Outcome.FAILED: BIG - REOPENED_AT_ONCE} == between
        assert ([b"b:0"], Closed.FINISHED) == (queued, closed)
        assert (BIG - REOPENED_AT_ONCE, Closed.FINISHED) == (retried.count, again)
        assert {Outcome.SENT: BIG} == (await ledger.batches.get("b")).outcomes


@awaited
async def test_a_cancel_between_two_steps_ends_what_was_queued(redis_url: str) -> None:
    """A cancel ends what was queued and leaves the rest failed, to be retried when it has ended."""
    async with ledger_at(redis_url) as ledger:
        batch = await big_batch(ledger)
        first, second, _ = await steps_of(ledger, batch)
        counts = await ledger.retries.reopen(batch, 0, first, LATER)
        await ledger.batches.cancel("b")
        refused = await ledger.retries.reopen(batch, 0, second, LATER)
        cancelled = Ending(Outcome.CANCELLED)
        closed = await settle_all(ledger, await ledger.open(), cancelled)
        retried = await queue_again(ledger.redis, ledger.batches, "b", ALL_FAILED)

        assert ((REOPENED_AT_ONCE, 0), None, Closed.FINISHED) == (counts, refused, closed)
        assert BIG - REOPENED_AT_ONCE == retried.count
        assert REOPENED_AT_ONCE == (await counted(ledger))[Outcome.CANCELLED]


@awaited
async def test_a_worker_between_two_steps_leaves_the_slice_open(redis_url: str) -> None:
    """Who opens the slice between two steps leaves it open, and the next one finds the rest."""
    async with ledger_at(redis_url) as ledger:
        batch = await big_batch(ledger)
        first, *others = await steps_of(ledger, batch)
        await ledger.retries.reopen(batch, 0, first, LATER)
        part = await ledger.open()
        found = len(part.entries)
        for some in others:
            await ledger.retries.reopen(batch, 0, some, LATER)
        closed = await settle_all(ledger, part, SENT)
        rest = await ledger.open()
        left = len(rest.entries)

        assert (REOPENED_AT_ONCE, Closed.OPEN) == (found, closed)
        assert (BIG - REOPENED_AT_ONCE, Closed.FINISHED) == (
            left,
            await settle_all(ledger, rest, SENT),
        )
        assert {Outcome.SENT: BIG} == await counted(ledger)


@awaited
async def test_two_retries_in_steps_queue_each_response_once(redis_url: str) -> None:
    """Two retries at once queue each response once between them."""
    async with ledger_at(redis_url) as ledger:
        await big_batch(ledger)
        both = await asyncio.gather(
            *(queue_again(ledger.redis, ledger.batches, "b", ALL_FAILED) for _ in range(2))
        )
        after = await ledger.batches.get("b")

        assert (BIG, BIG, {}) == (sum(each.count for each in both), after.open, after.outcomes)
        assert {None: BIG} == await counted(ledger)


@awaited
async def test_a_slice_that_is_put_away_while_it_is_read(redis_url: str) -> None:
    """Who reads in steps gets no half of what is put away meanwhile."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2 * FIELDS_AT_ONCE)
        part = await ledger.open()
        await asyncio.gather(*(ledger.settle(part, each, FAILED) for each in part.entries))
        part.logged += [entry.row for entry in part.entries]
        read, steps = ledger.redis.hscan, 0

        async def hscan(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == 2:
                await ledger.slices.close(part)
            return await read(*arguments, **options)

        ledger.redis.hscan = hscan
        fields = await read_fields(ledger.redis, keys.slice_records("b", 0))

        assert steps > 1
        assert b"archive" in fields
        assert {Outcome.FAILED: 2 * FIELDS_AT_ONCE} == await counted(ledger)


@awaited
async def test_what_is_written_at_once(redis_url: str, redis: Redis) -> None:
    """However much gathers, no step of it is bigger than Redis may be kept by."""
    size = WRITTEN_AT_ONCE + LOGGED_AT_ONCE + 1
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(size)
        await ledger.batches.release("b", 1)
        redis.config_resetstat()
        part = await ledger.open()
        closed = await settle_all(ledger, part, SENT)

        assert (Closed.FINISHED, {Outcome.SENT: size}) == (closed, await counted(ledger))
        assert 0 == redis.scard(keys.unlogged("b", 0))


MOMENTS = [4, 5, 6, 7, 8]


@pytest.mark.chaos
@pytest.mark.parametrize("commands", MOMENTS)
@awaited
async def test_a_retry_that_dies_anywhere(redis_url: str, redis: Redis, commands: int) -> None:
    """After whichever command a retry dies, the batch is whole, and goes to its end."""
    async with harnessed(redis_url) as harness:
        ledger = harness.ledger
        await big_batch(ledger)
        async with mortal(redis_url, commands) as dying:
            await queue_again(dying, Batches(dying), "b", ALL_FAILED)
        goes_on = await ledger.batches.get("b")
        if goes_on.open:
            pass_days(redis)
            for _ in range(2):
                await harness.rescue.look_round()
            assert [b"b:0"] == redis.zrange(keys.QUEUE, 0, -1)
            assert Closed.FINISHED == await settle_all(ledger, await ledger.open(), SENT)
        rest = (await counted(ledger)).get(Outcome.FAILED, 0)
        retried = await queue_again(ledger.redis, ledger.batches, "b", ALL_FAILED)
        assert rest == retried.count == BIG - goes_on.open
        if rest:
            assert Closed.FINISHED == await settle_all(ledger, await ledger.open(), SENT)
        assert {Outcome.SENT: BIG} == (await ledger.batches.get("b")).outcomes
        assert {Outcome.SENT: BIG} == await counted(ledger)


# A batch of many slices


def lasting(redis: Redis) -> set[str]:
    """Name what does not expire of a batch: its facts, its rows, slices of it."""
    kept = {key.decode() for key in redis.scan_iter("bulkrsvp:batch:*") if redis.ttl(key) == -1}
    return {"slices" if ":slice:" in key else key for key in kept}


@awaited
async def test_a_finished_batch_expires_before_its_slices(redis_url: str, redis: Redis) -> None:
    """When a batch has finished it expires, then its slices do; until then it is active."""
    async with ledger_at(redis_url) as ledger:
        batch = await many_slices(ledger, redis)
        finished, first = lasting(redis), await ledger.batches.active()
        await ledger.batches.announce(batch)
        announced, then = lasting(redis), await ledger.batches.active()

    assert ({"slices"}, ["b"]) == (finished, first)
    assert (set(), []) == (announced, then)


@pytest.mark.parametrize("commands", [0, 1, 2, 3])
@awaited
async def test_a_worker_that_dies_while_slices_are_made_to_expire(
    redis_url: str, redis: Redis, commands: int
) -> None:
    """Whoever finishes a batch may die at any step: another lets the rest expire."""
    async with harnessed(redis_url) as harness:
        batch = await many_slices(harness.ledger, redis)
        async with mortal(redis_url, commands) as dying:
            await Batches(dying).announce(batch)
        died = (lasting(redis), await harness.ledger.batches.active())
        await harness.rescue.look_round()

        assert ({"slices"}, ["b"]) == died
        assert (set(), []) == (lasting(redis), await harness.ledger.batches.active())
        assert (await harness.ledger.batches.get("b")).announced


@awaited
async def test_a_retry_that_dies_while_slices_are_kept(redis_url: str, redis: Any) -> None:
    """What it keeps of a batch that does not go on expires all the same, if somewhat later."""
    async with harnessed(redis_url) as harness:
        ledger = harness.ledger
        batch = await many_slices(ledger, redis)
        await ledger.batches.announce(batch)
        async with mortal(redis_url, 2) as dying:
            await Expiry(dying).keep(batch)
        died = lasting(redis)
        await harness.rescue.look_round()
        soon = lasting(redis)
        expiry = redis.hget(keys.batch("b"), "expiry").decode()
        redis.hset(keys.batch("b"), "expiry", f"{expiry.rpartition(' ')[0]} {NOW}")
        await harness.rescue.look_round()

        assert ({"slices"}, {"slices"}, set()) == (died, soon, lasting(redis))
        assert [] == await ledger.batches.active()


@awaited
async def test_of_keeping_and_expiring_the_later_goes_through(redis_url: str, redis: Any) -> None:
    """Of two passes that go against each other the later goes through; a retry begins its anew."""
    async with ledger_at(redis_url) as ledger:
        batch = await many_slices(ledger, redis)
        await ledger.batches.announce(batch)
        first, later = Expiry(ledger.redis), Expiry(ledger.redis)
        script = first._script

        def disturb(purpose: str) -> None:
            others = iter([purpose])

            async def disturbed(*arguments: Any) -> Any:
                answer = await script(*arguments)
                for other in others:
                    await getattr(later, other)(await ledger.batches.get("b"))
                return answer

            first._script = disturbed  # type: ignore[assignment]

        disturb("expire")
        await first.keep(batch)
        expiring = redis.hget(keys.batch("b"), "kept_ms"), lasting(redis)
        disturb("keep")
        await first.expire(batch)
        kept = redis.hget(keys.batch("b"), "kept_ms"), lasting(redis)
        (line,) = [line async for part in ledger.batches.lines(batch) for line in part][:1]
        counts = await ledger.retries.reopen(batch, 0, [line], LATER)

        assert (None, set()) == expiring
        assert (str(NOW).encode(), {"slices"}) == kept
        assert ((1, 0), {False}) == (counts, expires(redis))
