"""A retry takes its batch slice by slice: what may come in between, and what wins."""

import asyncio
from pathlib import Path

from awaited import awaited
from ordeal import rows_of
from program import Program
from redis import Redis
from redis_proxy import Failure, redis_proxy
from sandbox_client import SandboxClient
from small_ledger import FAILED, NOW, Ledger, ledger_at

from jobs.ledger import keys
from jobs.ledger.batches import Flagged
from jobs.ledger.facts import Batch
from jobs.ledger.slices import Closed
from jobs.outcome import Outcome

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
    return await ledger.batches.reopen(batch, number, failed, LATER)


@awaited
async def test_a_cancel_ends_what_a_retry_has_queued(
    program: Program, sandbox: SandboxClient, redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    """Cancelled while `retry` is at its second slice, nothing is sent, and it says so."""
    batch = await asyncio.to_thread(program.submit, rows_of(400, 400))
    redis.hset(keys.batch(batch), "deadline_ms", "1")  # it has passed; a retry's has not
    await asyncio.to_thread(program.burst)
    async with redis_proxy(redis_url, tmp_path) as proxy:
        proxy.fail(keys.slice_records(batch, 1), Failure.HOLD)
        retry = asyncio.create_task(asyncio.to_thread(program, "retry", batch, REDIS_URL=proxy.url))
        await proxy.failing.wait()
        cancel = await asyncio.to_thread(program, "cancel", batch)
        proxy.fail(None)
        retried = await retry
    await asyncio.to_thread(program.burst)
    status = program("status", batch, "--json").json

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
        await ledger.batches.end_retry("b")
        await ledger.finish(0)
        answers = [await ledger.batches.cancel("b"), await ledger.batches.pause("b", paused=True)]
        answers.append(await ledger.batches.cancel("none"))

        assert [Flagged.FINISHED, Flagged.FINISHED, Flagged.GONE] == answers
        assert not (await ledger.batches.get("b")).cancelled
        assert await ledger.batches.find("none") is None
