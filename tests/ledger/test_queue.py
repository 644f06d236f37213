"""The producer's end of arq: which jobs stand in the queue, and what Redis must be for that."""

from typing import Any

import orjson
import pytest
from arq.constants import job_key_prefix
from redis import Redis

from jobs.ledger import keys
from jobs.ledger.forms.batch import CODED, Batch
from jobs.ledger.queue import AHEAD_MS, FIRST_SLICES, JOB, WINDOW, Queue, goes_ahead, job_id
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.small_ledger import Ledger, ledger_at

DAY_MS = 86_400_000


def queued(redis: "Redis") -> dict[str, float]:
    """Return the queue: job ids with their scores."""
    found: Any = redis.zrange(keys.QUEUE, 0, -1, withscores=True)
    return {name.decode(): score for name, score in found}


def bodies(redis: "Redis") -> dict[str, bytes]:
    """Return the jobs' bodies."""
    names: Any = redis.keys(job_key_prefix + "*")
    return {name.decode().removeprefix(job_key_prefix): bytes_of(redis, name) for name in names}


def bytes_of(redis: Any, name: bytes) -> bytes:
    """Read one string."""
    text: bytes = redis.get(name)
    return text


async def released(ledger: Ledger, count: int, batch: str = "b", **changes: Any) -> Queue:
    """Submit a batch of slices of one row and release it."""
    queue = Queue(ledger.redis, ledger.batches)
    await queue.release(await ledger.submit(*[1] * count, batch=batch, **changes))
    return queue


@awaited
async def test_a_job_carries_ids_only(redis_url: str, redis: "Redis") -> None:
    """A job is JSON: the version, the batch and the slice, and nothing of any response."""
    async with ledger_at(redis_url) as ledger:
        await released(ledger, 2)
    jobs = {name: orjson.loads(body) for name, body in bodies(redis).items()}

    assert {job_id("b", number): (JOB, [CODED, "b", number], {}) for number in range(2)} == {
        name: (job["f"], job["a"], job["k"]) for name, job in jobs.items()
    }
    assert queued(redis).keys() == jobs.keys()


@awaited
async def test_a_jobs_body_outlives_the_deadline(redis_url: str, redis: "Redis") -> None:
    """The body of a job is there for as long as its batch may be sent, and a month longer."""
    async with ledger_at(redis_url) as ledger:
        await released(ledger, 1, not_before_ms=now_ms(), allowed_ms=40 * DAY_MS)

    assert redis.pttl(job_key_prefix + "b:0") in range(69 * DAY_MS, 70 * DAY_MS + 1)


@awaited
async def test_a_window_is_in_the_queue(redis_url: str, redis: "Redis") -> None:
    """Of a huge batch no more than the window stands in the queue; releasing again adds nothing."""
    async with ledger_at(redis_url) as ledger:
        queue = await released(ledger, WINDOW + 5)
        before = (queued(redis), bodies(redis))
        await queue.release(await ledger.batches.get("b"))

        assert before == (queued(redis), bodies(redis))
        assert WINDOW == len(before[0])
        await ledger.finish(3)
        await queue.release(await ledger.batches.get("b"))
        assert {job_id("b", WINDOW)} == queued(redis).keys() - before[0].keys()


@awaited
async def test_first_slices_go_ahead(redis_url: str, redis: "Redis") -> None:
    """The first slices of a batch stand before the later ones of a batch that came earlier."""
    async with ledger_at(redis_url) as ledger:
        await released(ledger, FIRST_SLICES + 2, "huge")
        await released(ledger, FIRST_SLICES + 1, "small")
    names = list(queued(redis))
    ahead = {job_id(batch, n) for batch in ("huge", "small") for n in range(FIRST_SLICES)}

    assert ahead == set(names[: len(ahead)])
    assert now_ms() - AHEAD_MS >= queued(redis)[names[len(ahead) - 1]]


@pytest.mark.parametrize(
    ("job", "ahead"),
    [
        (job_id("b", 0), True),
        (job_id("b", FIRST_SLICES - 1), True),
        (job_id("b", FIRST_SLICES), False),
        (job_id("b", 10 * FIRST_SLICES), False),
        ("b", False),
        ("b:", False),
        ("b:-1", False),
        ("b:" + "9" * 5_000, False),
    ],
)
def test_the_first_slices_are_known_by_their_names(job: str, *, ahead: bool) -> None:
    """Who reads the queue can tell them, whatever else stands there."""
    assert ahead is goes_ahead(job.encode())


@awaited
async def test_a_batch_for_later_is_not_due_early(redis_url: str, redis: "Redis") -> None:
    """No job of a batch for later is due before its time, not even those that go ahead."""
    at_ms = now_ms() + DAY_MS
    async with ledger_at(redis_url) as ledger:
        await released(ledger, FIRST_SLICES + 2, not_before_ms=at_ms)

    assert {at_ms} == set(queued(redis).values())


async def lost(queue: Queue, batch: Batch) -> list[int]:
    """Name the slices that are released and have no job."""
    return [number for number, due in (await queue.places(batch)).items() if due is None]


@awaited
async def test_lost_jobs_are_restored(redis_url: str, redis: "Redis") -> None:
    """What was released and has no job is found and gets one again; the rest stays as it is."""
    async with ledger_at(redis_url) as ledger:
        queue = await released(ledger, 3)
        batch = await ledger.batches.get("b")
        before = (queued(redis), bodies(redis))
        missing = [await lost(queue, batch)]
        redis.zrem(keys.QUEUE, "b:1")
        missing.append(await lost(queue, batch))
        await queue.restore(batch, missing[-1])
        missing.append(await lost(queue, batch))
        after = queued(redis)

        assert {name: after[name] for name in ("b:0", "b:2")} == {
            name: before[0][name] for name in ("b:0", "b:2")
        }
        assert [[], [1], []] == missing
        assert before[0].keys() == after.keys() == bodies(redis).keys()


@awaited
async def test_nothing_is_missing_that_was_not_released(redis_url: str, redis: "Redis") -> None:
    """A batch whose slices are not released yet, or are done, lacks no job."""
    async with ledger_at(redis_url) as ledger:
        queue = Queue(ledger.redis, ledger.batches)
        fresh = await lost(queue, await ledger.submit(1))
        await ledger.batches.release("b", 9)
        await ledger.finish()
        done = await lost(queue, await ledger.batches.get("b"))

        assert ([], []) == (fresh, done)
    assert {} == queued(redis)


@awaited
async def test_waking_a_batch_makes_its_jobs_due_at_once(redis_url: str, redis: "Redis") -> None:
    """Jobs that wait are due at once when their batch is woken, and twice is as good as once."""
    async with ledger_at(redis_url) as ledger:
        queue = await released(ledger, 6)
        first = queued(redis)["b:0"]
        later = now_ms() + DAY_MS
        redis.zadd(keys.QUEUE, {"b:4": later, "b:5": later})
        redis.zrem(keys.QUEUE, "b:1")
        await queue.wake(await ledger.batches.get("b"))
        woken = queued(redis)
        await queue.wake(await ledger.batches.get("b"))

        assert {job_id("b", number) for number in range(6)} == woken.keys()
        assert max(woken.values()) <= now_ms()
        assert first == woken["b:0"]
        assert woken == queued(redis)
