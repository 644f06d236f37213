"""What nobody else would notice: jobs that are lost, ends that were not announced, nonsense."""

from typing import Any

from arq.constants import job_key_prefix
from redis import Redis

from jobs.ledger import keys
from jobs.ledger.forms.batch import VERSIONS
from jobs.ledger.queue import WINDOW
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import harnessed, queued
from tests.support.small_ledger import FAILED, NOW, SENT, events
from worker.process.main import nothing_left
from worker.process.rescue import ANNOUNCED_LATE_MS, LOOKED_AT


@awaited
async def test_a_job_whose_body_is_lost(redis_url: str, redis: "Redis") -> None:
    """Arq drops a job without a body; two rounds later its slice has a new one, and it is told."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1)
        redis.delete(job_key_prefix + "b:0")
        await harness.poll()
        seen = [queued(redis)]
        for _ in range(3):
            await harness.rescue.look_round()
            seen.append(queued(redis))
        await harness.poll()

        assert [[], [], ["b:0"], ["b:0"]] == seen
        assert 0 == (await harness.ledger.batches.get("b")).open
    assert 1 == events(harness.heard).count("slice.rescued")


@awaited
async def test_a_job_that_is_being_queued_is_not_lost(redis_url: str, redis: "Redis") -> None:
    """What has no job at one round, and one at the next, was about to be queued."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1)
        jobs: Any = redis.zrange(keys.QUEUE, 0, -1, withscores=True)
        ((name, score),) = jobs
        for _ in range(2):
            redis.zrem(keys.QUEUE, name)
            await harness.rescue.look_round()
            redis.zadd(keys.QUEUE, {name: score})
            await harness.rescue.look_round()

        assert [] == events(harness.heard)


LATER_MS = 3_600_000


@awaited
async def test_slices_that_wait_hold_up_none(redis_url: str, redis: "Redis") -> None:
    """While slices wait for mailboxes others take their room, but not while everything waits."""
    size = WINDOW + 10
    async with harnessed(redis_url) as harness:
        await harness.submit(*[1] * size, not_before_ms=now_ms() - 5, allowed_ms=LATER_MS)
        released = [len(queued(redis))]
        for name in queued(redis)[:20]:
            redis.zadd(keys.QUEUE, {name: now_ms() + LATER_MS})
        await harness.context.ledger.leases.pause_graph(now_ms() + LATER_MS)
        await harness.context.calls.gate.refresh()
        await harness.rescue.look_round()
        released.append(len(queued(redis)))
        await harness.context.ledger.leases.open_graph()
        await harness.context.calls.gate.refresh()
        await harness.rescue.look_round()

        assert [WINDOW, WINDOW, size] == [*released, len(queued(redis))]


@awaited
async def test_a_batch_that_was_never_released(redis_url: str, redis: "Redis") -> None:
    """A batch whose submit died before its release is released by the next round."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, not_before_ms=now_ms() - 5)
        await harness.rescue.look_round()

        assert ["b:0"] == queued(redis)


@awaited
async def test_an_end_that_was_not_announced(redis_url: str) -> None:
    """The end of a batch whose last worker died is announced a little later, and once."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(2, not_before_ms=NOW - 100_000_000_000)
        harness.ledger.now_ms = now_ms() - 2 * ANNOUNCED_LATE_MS
        await harness.ledger.batches.release("b", 9)
        await harness.ledger.finish(0, [SENT, FAILED])
        for _ in range(2):
            await harness.rescue.look_round()

        assert ["batch.finished"] == events(harness.heard)
        assert [] == await harness.ledger.batches.active()


@awaited
async def test_a_batch_that_is_gone_is_told_once(redis_url: str, redis: "Redis") -> None:
    """A batch that Redis has lost is told of and forgotten."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1)
        redis.delete(keys.batch("b"))
        for _ in range(2):
            await harness.rescue.look_round()

        assert ["batch.gone"] == events(harness.heard)


@awaited
async def test_a_batch_of_nonsense_is_told_once(redis_url: str, redis: "Redis") -> None:
    """A batch with nonsense in it ends no worker, is told of once, and hides no other batch."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, batch="a")
        await harness.ledger.submit(1, batch="b", not_before_ms=now_ms() - 5)
        redis.hset(keys.batch("a"), "total", "nonsense")
        for _ in range(3):
            await harness.rescue.look_round()

        assert ["b:0"] == queued(redis)
        assert ["a", "b"] == await harness.ledger.batches.active()
    assert ["batch.unreadable"] == events(harness.heard)
    assert "a" == harness.heard.calls[0].kwargs["batch"]


@awaited
async def test_a_batch_of_another_version_is_left_alone(redis_url: str, redis: "Redis") -> None:
    """A batch in another version's form is told of once, and kept for who understands it."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, not_before_ms=now_ms() - 5)
        redis.hset(keys.batch("b"), "version", f"{max(VERSIONS) + 1}")
        before = redis.hgetall(keys.batch("b"))
        for _ in range(3):
            await harness.rescue.look_round()

        assert (before, []) == (redis.hgetall(keys.batch("b")), queued(redis))
        assert ["b"] == await harness.ledger.batches.active()
    assert ["batch.unreadable"] == events(harness.heard)


@awaited
async def test_a_batch_for_later_is_not_released(redis_url: str, redis: "Redis") -> None:
    """A round leaves a batch alone until its time has come."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, not_before_ms=now_ms() + 3_600_000)
        await harness.rescue.look_round()

        assert ([], []) == (queued(redis), events(harness.heard))


@awaited
async def test_more_batches_than_one_round_looks_at(redis_url: str, redis: Any) -> None:
    """Round after round takes the next of them, and the last one is looked after as the first."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, batch="z", not_before_ms=now_ms() - 5)
        facts: Any = redis.hgetall(keys.batch("z"))
        facts[b"not_before_ms"] = now_ms() + 3_600_000
        with redis.pipeline(transaction=False) as pipe:
            for number in range(2 * LOOKED_AT):
                pipe.hset(keys.batch(f"later-{number}"), mapping=facts)
                pipe.sadd(keys.ACTIVE, f"later-{number}")
            pipe.execute()
        found = list[list[str]]()
        for _ in range(3):
            await harness.rescue.look_round()
            found.append(queued(redis))

        assert [[], [], ["z:0"]] == found
        assert ([], False) == (events(harness.heard), await nothing_left(harness.context))
