"""A retry takes its batch slice by slice: what may come in between, and what wins."""

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from config.errors import InputError
from jobs.ledger import keys
from jobs.ledger.batches.expiry import AT_ONCE
from jobs.ledger.batches.pauses import NO_PAUSES
from jobs.ledger.batches.retries import RETRYING_MS
from jobs.ledger.batches.store import Commit, Flagged
from jobs.ledger.forms.batch import Batch
from jobs.ledger.slices.store import Closed
from jobs.outcome import Outcome
from tests.support.awaited import awaited
from tests.support.chaos.scenario import rows_of
from tests.support.program import Program
from tests.support.redis.redis_proxy import Failure, redis_proxy
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import FAILED, NOW, Ledger, ledger_at, order, slices

LATER = NOW + 99


async def failed_batch(ledger: Ledger, slices: int = 2) -> Batch:
    """Make a batch that is finished, and of which one response in each slice has failed."""
    await ledger.submit(*[1] * slices)
    await ledger.batches.release("b", slices)
    for number in range(slices):
        await ledger.finish(number, [FAILED])
    return await ledger.batches.get("b")


async def cancelled_batch(ledger: Ledger, slices: int = 2) -> Batch:
    """Make such a batch that was cancelled before it was finished."""
    await ledger.submit(*[1] * slices)
    await ledger.batches.release("b", slices)
    await ledger.batches.cancel("b")
    for number in range(slices):
        await ledger.finish(number, [FAILED])
    return await ledger.batches.get("b")


async def take_step(ledger: Ledger, batch: Batch, number: int) -> tuple[int, int] | None:
    """Queue what failed in one slice again, by what is known of the batch."""
    parts = [part async for part in ledger.batches.lines(batch)]
    failed = [line for line in parts[number] if line.record.ending == FAILED]
    return await ledger.retries.reopen(batch, number, failed, LATER)


@awaited
async def test_a_cancel_ends_what_a_retry_has_queued(
    program: Program, sandbox: SandboxClient, redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    """Cancelled while `retry` is at its second slice, nothing is sent, and it says so."""
    batch = await asyncio.to_thread(program.submit, rows_of(400, 400))
    redis.hset(keys.batch(batch), "deadline_ms", str(NOW))  # it has passed; a retry's has not
    await asyncio.to_thread(program.burst)
    async with redis_proxy(redis_url, tmp_path) as proxy:
        proxy.fail(keys.slice_records(batch, 1), Failure.HOLD)
        retry = asyncio.create_task(asyncio.to_thread(program, "retry", batch, REDIS_URL=proxy.url))
        await proxy.failing.wait()
        cancel = await asyncio.to_thread(program, "cancel", batch)
        proxy.fail(None)
        retried = await retry
    await asyncio.to_thread(program.burst)
    status = await asyncio.to_thread(program.status, batch)

    assert (0, 1) == (cancel.code, retried.code)
    assert f"queued 200 responses of batch {batch} again\n" in retried.err
    assert f"batch {batch} was cancelled meanwhile" in retried.err
    assert ("cancelled", {"expired": 200, "cancelled": 200}) == (
        status["state"],
        status["outcomes"],
    )
    assert [] == sandbox.journal()


@awaited
async def test_a_later_cancel_stays(redis_url: str) -> None:
    """Whether the batch was cancelled before or not, a cancel between two slices is not undone."""
    for make in (failed_batch, cancelled_batch):
        async with ledger_at(redis_url) as ledger:
            batch = await make(ledger)
            first = await take_step(ledger, batch, 0)
            goes_on = await ledger.batches.get("b")
            flagged = await ledger.batches.cancel("b")
            second = await take_step(ledger, batch, 1)
            after = await ledger.batches.get("b")
            await ledger.redis.flushdb()

            assert ((1, 0), None) == (first, second)
            assert (False, Flagged.CHANGED, True) == (goes_on.cancelled, flagged, after.cancelled)
            assert {Outcome.FAILED: 1} == after.outcomes


@awaited
async def test_a_cancel_between_two_ends_is_seen(redis_url: str) -> None:
    """A batch that has ended anew as cancelled is not taken for the end that a retry has read."""
    async with ledger_at(redis_url) as ledger:
        batch = await cancelled_batch(ledger)
        first = await take_step(ledger, batch, 0)
        await ledger.batches.cancel("b")
        ledger.now_ms += 1
        closed = await ledger.finish(0, [FAILED])
        second = await take_step(ledger, batch, 1)

        assert ((1, 0), Closed.FINISHED, None) == (first, closed, second)
        assert (await ledger.batches.get("b")).cancelled


@awaited
async def test_a_cancelled_batch_is_retried_by_two(redis_url: str) -> None:
    """Two retries that have read the same end both queue their part, and end the cancel once."""
    async with ledger_at(redis_url) as ledger:
        batch = await cancelled_batch(ledger, 3)
        steps = [await take_step(ledger, batch, number) for number in (1, 0)]
        goes_on = await ledger.batches.get("b")
        await ledger.batches.cancel("b")
        steps.append(await take_step(ledger, batch, 2))

        assert [(1, 0), (1, 0), None] == steps
        assert (False, 2, 0) == (goes_on.cancelled, goes_on.open, goes_on.finished_at_ms)
        assert (await ledger.batches.get("b")).cancelled


@awaited
async def test_a_cancel_that_a_retry_has_not_seen(redis_url: str) -> None:
    """A retry that has read a batch under way queues nothing when that was cancelled since."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, 1)
        await ledger.finish(0, [FAILED])
        batch = await ledger.batches.get("b")
        await ledger.batches.cancel("b")
        while_open = await take_step(ledger, batch, 0)
        await ledger.finish(1)
        when_ended = await take_step(ledger, batch, 0)
        read_since = await take_step(ledger, await ledger.batches.get("b"), 0)

        assert (None, None, (1, 0)) == (while_open, when_ended, read_since)


@awaited
async def test_a_batch_that_is_finished_between_two_slices(redis_url: str) -> None:
    """While a retry is at it, a batch that happens to be finished can be paused and cancelled."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 3)
        before = await ledger.batches.cancel("b")
        await take_step(ledger, batch, 0)
        closed = await ledger.finish(0)
        paused = await ledger.batches.pause("b", paused=True)
        await take_step(ledger, batch, 1)
        held = await ledger.batches.get("b")
        cancelled = await ledger.batches.cancel("b")
        last = await take_step(ledger, batch, 2)

        assert (Flagged.FINISHED, Closed.FINISHED) == (before, closed)
        assert (Flagged.CHANGED, True) == (paused, held.paused)
        assert (Flagged.CHANGED, None) == (cancelled, last)


@awaited
async def test_a_finished_batch_keeps_its_flags(redis_url: str) -> None:
    """When a retry is over and its batch finished, no flag can be changed; nor one of no batch."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 1)
        await take_step(ledger, batch, 0)
        await ledger.retries.end_retry("b")
        await ledger.finish(0)
        answers = [await ledger.batches.cancel("b"), await ledger.batches.pause("b", paused=True)]
        answers.append(await ledger.batches.cancel("none"))

        assert [Flagged.FINISHED, Flagged.FINISHED, Flagged.GONE] == answers
        assert not (await ledger.batches.get("b")).cancelled
        assert await ledger.batches.find("none") is None


@awaited
async def test_a_retry_that_died_holds_no_flag_open(redis_url: str, redis: Redis) -> None:
    """Some time after the last step of a retry whose end nobody noted, the batch is finished."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 1)
        await take_step(ledger, batch, 0)
        await ledger.finish(0)
        redis.hincrby(keys.batch("b"), "retrying", -RETRYING_MS)
        answers = [await ledger.batches.cancel("b"), await ledger.batches.pause("b", paused=True)]

        assert [Flagged.FINISHED, Flagged.FINISHED] == answers
        assert not (await ledger.batches.get("b")).cancelled


# Expiry


def pass_days(redis: Redis) -> None:
    """Let more than 30 days pass: whatever expires has expired."""
    for key in list(redis.scan_iter("bulkrsvp:batch:*")):
        if redis.ttl(key) != -1:
            redis.pexpire(key, 0)


def expires(redis: Redis) -> set[bool]:
    """Say whether what there is of batches expires: all of it, nothing, or both."""
    return {redis.ttl(key) != -1 for key in redis.scan_iter("bulkrsvp:batch:*")}


async def endings(ledger: Ledger) -> list[object]:
    """List how each response of the batch has ended."""
    batch = await ledger.batches.get("b")
    return [each.record.ending async for part in ledger.batches.lines(batch) for each in part]


@awaited
async def test_what_a_retry_goes_on_with_is_kept(redis_url: str, redis: Redis) -> None:
    """After the first step of a retry, even of one that dies then, nothing of its batch expires."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 3)
        await ledger.batches.announce(batch)
        before = expires(redis)
        await take_step(ledger, batch, 1)
        after = expires(redis)
        pass_days(redis)

        assert ({True}, {False}) == (before, after)
        assert [FAILED, None, FAILED] == await endings(ledger)
        assert (1, 0) == await take_step(ledger, batch, 0)


@awaited
async def test_what_a_retry_has_ended_is_forgotten(redis_url: str, redis: Redis) -> None:
    """Finished again, between two steps or after them, all of a batch expires together."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 3)
        for number in (0, 2):
            await take_step(ledger, batch, number)
            closed = await ledger.finish(number)
            await ledger.batches.announce(await ledger.batches.get("b"))

            assert (Closed.FINISHED, {True}) == (closed, expires(redis))
        await ledger.retries.end_retry("b")
        pass_days(redis)

        assert [] == list(redis.scan_iter("bulkrsvp:batch:*"))
        assert [] == await ledger.batches.all()


@awaited
async def test_a_batch_that_expires_under_a_retry(redis_url: str, redis: Redis) -> None:
    """A retry that comes too late says that the batch is gone, and leaves nothing behind."""
    async with ledger_at(redis_url) as ledger:
        batch = await failed_batch(ledger, 1)
        (lines,) = [part async for part in ledger.batches.lines(batch)]
        pass_days(redis)
        with pytest.raises(InputError, match="there is no batch 'b'"):
            await ledger.retries.reopen(batch, 0, lines, LATER)

        assert [] == list(redis.scan_iter("bulkrsvp:batch:*"))


LEFT = {
    "records": (lambda redis: redis.persist(keys.slice_records("b", 1))),
    "ends not logged": (lambda redis: redis.sadd(keys.unlogged("b", 0), 1)),
    "slices not done": (lambda redis: redis.sadd(keys.released("b"), 0, 7)),
    "a pause": (lambda redis: redis.zadd(keys.throttled("b"), {"user0@contoso.com": 2 * NOW})),
    "a claim": (lambda redis: redis.set(keys.announcing("b"), "1")),
    "a flag": (lambda redis: redis.hset(keys.batch("b"), "cancelled", 1)),
}


@pytest.mark.parametrize("what", LEFT)
@awaited
async def test_a_batch_inherits_nothing(redis_url: str, redis: Redis, what: str) -> None:
    """The same rows 30 days later are sent once, whatever an older batch of that id has left."""
    async with ledger_at(redis_url) as ledger:
        await failed_batch(ledger)
        if what != "records":  # which are what is left of a retry that died
            pass_days(redis)
        LEFT[what](redis)
        pass_days(redis)
        left = list(redis.scan_iter("bulkrsvp:batch:*"))
        fresh = await ledger.submit(1, 1)
        released = await ledger.batches.release("b", 9)
        parts = [await ledger.open(number) for number in released]

        assert 1 == len(left)
        assert {keys.batch("b"), keys.rows("b"), keys.released("b")} | {
            keys.slice_records("b", number) for number in (0, 1)
        } == {key.decode() for key in redis.scan_iter("bulkrsvp:batch:*")}
        assert (2, False, [0, 1]) == (fresh.open, fresh.cancelled, released)
        assert [([1], []), ([2], [])] == [
            ([entry.row for entry in part.entries], part.unlogged) for part in parts
        ]
        assert NO_PAUSES == await ledger.batches.pauses("b", NOW)
        assert await ledger.batches.claim_announcement("b")
        assert [Closed.DONE, Closed.FINISHED] == [await ledger.finish(n) for n in released]
        assert {Outcome.SENT: 2} == (await ledger.batches.get("b")).outcomes


@awaited
async def test_a_batch_of_many_slices_is_kept_and_swept_whole(redis_url: str, redis: Redis) -> None:
    """Also of more slices than are touched in one step all are kept, and all are swept."""
    size = 2 * AT_ONCE + 1
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(*[1] * size)
        for number in range(1, size):
            redis.hset(keys.slice_records("b", number), "done", "1")
        redis.hset(keys.batch("b"), "open", "1")
        await ledger.finish(0, [FAILED])
        batch = await ledger.batches.get("b")
        await ledger.batches.announce(batch)
        finished = expires(redis)
        await take_step(ledger, batch, 0)
        kept = expires(redis)
        redis.delete(keys.batch("b"))
        await ledger.submit(*[1] * size)

        assert ({True}, {False}) == (finished, kept)
    assert {keys.batch("b"), keys.rows("b")} == {
        key.decode() for key in redis.scan_iter("bulkrsvp:batch:*")
    }


@awaited
async def test_a_slice_that_is_put_away_late(redis_url: str, redis: Redis) -> None:
    """A slice that is closed while a retry keeps all of them does not expire by itself."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        late = await ledger.open()
        await ledger.settle(late, late.entries[0], FAILED)
        late.logged.append(1)
        redis.hset(keys.batch("b"), mapping={"finished_at_ms": NOW, "kept_ms": NOW})
        await ledger.slices.close(late)

        assert {False} == expires(redis)


@awaited
async def test_a_submit_that_comes_second_deletes_nothing(redis_url: str) -> None:
    """Who stages the same rows while another has made the batch leaves alone what it has by now."""
    async with ledger_at(redis_url) as ledger:
        await failed_batch(ledger)
        commit = await ledger.batches.commit(order(2), slices(1, 1), NOW)

        assert (Commit.SAME, [FAILED] * 2) == (commit, await endings(ledger))
