"""
The consumer's end of arq: what we override does what it is for, and arq still needs it.

Its batches are past their deadline, so that their slices are worked on without any call. A bare
`arq.Worker` is the control: where it behaves by itself some day, an override can go.
"""

import asyncio
import gc
import inspect
import os
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from arq import Worker, func
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from config.settings import Settings
from jobs.ledger import keys
from jobs.ledger.forms.batch import PLAIN, VERSIONS
from jobs.ledger.queue import FIRST_SLICES, JOB
from jobs.ledger.workers.leases import LEASE_S
from jobs.outcome import Outcome
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import harnessed, queued
from tests.support.redis.redis_proxy import Failure, redis_proxy
from tests.support.small_ledger import NOW, events
from tests.support.waiting import PATIENCE_S
from worker.process.consumer import READ_LIMIT, SLICE_ROWS, Consumer, _Begun
from worker.slice.shift import Shift
from worker.throttle.slots import AHEAD_OVERBOOKED, OVERBOOKED

MAX_CALLS = Settings().max_calls


FIRST_STEP = "INCR"
"""With this command arq begins to run a job that it has started."""


def bare_worker(redis: ArqRedis) -> Worker:
    """Make the worker that arq has by itself, as far as it can read our jobs."""

    async def work_on_slice(_: dict[Any, Any], *ids: Any) -> None:
        """Do nothing."""

    return Worker(
        [func(cast("Any", work_on_slice), name=JOB)],
        redis_pool=redis,
        queue_name=keys.QUEUE,
        handle_signals=False,
        job_serializer=redis.job_serializer,
        job_deserializer=orjson.loads,
    )


# The contract


@pytest.mark.parametrize("name", ["_poll_iteration", "start_jobs", "heart_beat"])
def test_what_is_overridden_is_there(name: str) -> None:
    """What we override is a coroutine of arq's worker that takes the same arguments."""
    theirs, ours = getattr(Worker, name), getattr(Consumer, name)

    assert inspect.iscoroutinefunction(theirs)
    assert theirs is not ours
    assert list(inspect.signature(theirs).parameters) == list(inspect.signature(ours).parameters)


@awaited
async def test_what_is_leaned_on_is_there(redis_url: str) -> None:
    """The fields and steps of arq's worker that we lean on are there."""
    async with harnessed(redis_url) as harness:
        bare = bare_worker(harness.consumer.pool)
        names = ["in_progress_timeout_s", "job_counter", "sem", "tasks", "allow_pick_jobs"]

        assert [] == [name for name in names if name not in vars(bare)]
        assert LEASE_S == harness.consumer.in_progress_timeout_s
        assert READ_LIMIT == harness.consumer.queue_read_limit
        before = bare.job_counter
        await bare.sem.acquire()
        bare.job_counter += 1
        bare._release_sem_dec_counter_on_complete()
        assert (before, bare.max_jobs + 1) == (bare.job_counter, bare.sem._value)


@awaited
async def test_a_slice_is_worked_off(redis_url: str, redis: "Redis") -> None:
    """A job takes its slice to the end, leaves the queue, and leaves nothing of arq's behind."""
    async with harnessed(redis_url) as harness:
        await harness.submit(3, 2)
        await harness.poll()
        batch = await harness.ledger.batches.get("b")

        assert {Outcome.EXPIRED: 5} == batch.outcomes
        assert (0, 0) == harness.slots_taken
        assert ["batch.submitted", *["response.settled"] * 5, "batch.finished"] == sorted(
            events(harness.heard),
            key=["batch.submitted", "response.settled", "batch.finished"].index,
        )
    left: Any = redis.keys("arq:*")
    assert ([], []) == (left, queued(redis))


@awaited
async def test_a_job_is_leased_for_a_short_time(
    redis_url: str, redis: "Redis", tmp_path: Path
) -> None:
    """A running job is marked as such for as long as a worker's lease, and renewed with it."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        await harness.submit(1)
        harness.consumer.in_progress_timeout_s = 1000 * LEASE_S  # arq's own part, on a slow machine
        proxy.fail(FIRST_STEP, Failure.HOLD)
        await harness.consumer._poll_iteration()
        key = in_progress_key_prefix + "b:0"
        begun: Any = redis.pttl(key)
        redis.persist(key)
        await harness.consumer.renew_leases()
        renewed: Any = redis.pttl(key)
        busy = [harness.consumer.busy]
        proxy.fail(None)
        await harness.poll()
        busy.append(harness.consumer.busy)

    lease_ms = int(1000 * LEASE_S)
    assert 0 < begun <= 1000 * lease_ms
    assert renewed <= lease_ms
    assert renewed != -1
    assert [True, False] == busy


@awaited
async def test_what_runs_elsewhere_is_not_started(redis_url: str, redis: "Redis") -> None:
    """A job that another worker runs is passed over, and takes no slot."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, 1)
        redis.set(in_progress_key_prefix + "b:0", 1)
        await harness.poll()

        assert (["b:0"], (0, 0)) == (queued(redis), harness.slots_taken)
        assert 1 == (await harness.ledger.batches.get("b")).open


@awaited
async def test_no_job_is_started_without_room(redis_url: str, redis: "Redis") -> None:
    """While the slices under way want all calls, and while it drains, nothing is taken."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1)
        harness.context.calls.slots.want("others", 10_000)
        await harness.poll()
        full = queued(redis)
        harness.context.calls.slots.unwant("others")
        await harness.consumer.drain(asyncio.Event(), 1)
        await harness.poll()

        assert ["b:0"] == full == queued(redis)
        assert (0, 0) == harness.slots_taken


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (int(MAX_CALLS * AHEAD_OVERBOOKED), 0),
        (int(MAX_CALLS * AHEAD_OVERBOOKED) - 2 * SLICE_ROWS + 1, 2),
        (int(MAX_CALLS * OVERBOOKED), FIRST_SLICES),
        (int(MAX_CALLS * OVERBOOKED) - 6 * SLICE_ROWS, 6),
    ],
    ids=["no room", "for two of the first", "for the first", "for all"],
)
@awaited
async def test_slices_are_taken_as_far_as_there_is_room(
    redis_url: str, tmp_path: Path, wanted: int, expected: int
) -> None:
    """Of many slices only as many are begun as would find calls; a batch's first find more."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        harness.context.calls.slots.want("others", wanted)
        await harness.submit(*[1] * 8)
        proxy.fail(FIRST_STEP, Failure.HOLD)
        await harness.consumer._poll_iteration()
        begun = len(harness.consumer.tasks)
        proxy.fail(None)
        await harness.poll()

        assert expected == begun


@awaited
async def test_first_slices_do_not_wait_for_what_others_ask(redis_url: str, tmp_path: Path) -> None:
    """While the answer to others' questions is held up, a batch's first slices go on."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        await harness.ledger.submit(*[1] * (FIRST_SLICES + 1))
        name, later = (
            harness.worker,
            harness.context.for_slice(FIRST_SLICES),
        )
        proxy.fail(keys.batch("another"), Failure.HOLD)
        held = asyncio.create_task(later.ledger.batches.find("another"))
        await proxy.failing.wait()
        behind = asyncio.create_task(later.ledger.slices.open(name, "b", FIRST_SLICES))
        ahead = harness.context.for_slice(FIRST_SLICES - 1)
        first = await asyncio.wait_for(ahead.ledger.slices.open(name, "b", 0), PATIENCE_S)
        waited = not behind.done()
        proxy.fail(None)
        last = await behind

        assert (0, FIRST_SLICES) == (first and first.number, last and last.number)
        assert (True, None) == (waited, await held)


@awaited
async def test_a_paused_batch_comes_back_later(redis_url: str, redis: "Redis") -> None:
    """A slice that cannot go on stands in the queue for later, and holds no slot meanwhile."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=3_600_000)
        await harness.ledger.batches.pause("b", paused=True)
        before = now_ms()
        await harness.poll()
        score: Any = redis.zscore(keys.QUEUE, "b:0")

        assert before + Shift.PAUSED_MS // 2 < score < before + 3_600_000
        assert (0, 0) == harness.slots_taken


@awaited
async def test_a_job_of_another_version_waits(redis_url: str, redis: "Redis") -> None:
    """A job of another version is left for who understands it, and nothing of its batch changes."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1)
        before = {key: redis.dump(key) for key in redis.scan_iter("bulkrsvp:batch:*")}
        await harness.consumer.pool.enqueue_job(JOB, max(VERSIONS) + 1, "b", 0, _job_id="b:0")
        await harness.poll()

        assert ["b:0"] == queued(redis)
        assert before == {key: redis.dump(key) for key in redis.scan_iter("bulkrsvp:batch:*")}
        assert ["slice.foreign"] == events(harness.heard)


@awaited
async def test_a_job_of_a_batch_that_is_gone(redis_url: str, redis: "Redis") -> None:
    """A job whose batch is gone is told once and done with."""
    async with harnessed(redis_url) as harness:
        await harness.consumer.pool.enqueue_job(JOB, PLAIN, "b", 0, _job_id="b:0")
        await harness.poll()

        assert ([], ["batch.gone"]) == (queued(redis), events(harness.heard))


@awaited
async def test_done_slices_release_the_next(redis_url: str, redis: "Redis") -> None:
    """Each slice that is done makes room in the window for the next one."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(1, 1, 1, not_before_ms=NOW - 100_000_000_000, allowed_ms=1)
        await harness.ledger.batches.release("b", 1)
        await harness.queue.restore(await harness.ledger.batches.get("b"), [0])
        before = queued(redis)
        await harness.poll()

        assert (["b:0"], ["b:1", "b:2"]) == (before, queued(redis))


# Redis goes away


@pytest.mark.parametrize("command", ["ZRANGEBYSCORE", "ZSCORE"])
@awaited
async def test_a_poll_survives_redis(redis_url: str, tmp_path: Path, command: str) -> None:
    """Wherever in a poll Redis fails, no slot is lost, and the next poll goes on."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        await harness.submit(1)
        proxy.fail(command)
        await harness.poll()
        away = harness.slots_taken
        proxy.fail(None)
        await harness.poll()

        assert (1, (0, 0), (0, 0)) == (proxy.failed, away, harness.slots_taken)
        assert 0 == (await harness.ledger.batches.get("b")).open
    assert ["redis.away"] == [e for e in events(harness.heard) if "redis" in e]


@awaited
async def test_arq_alone_loses_the_slot(redis_url: str, tmp_path: Path) -> None:
    """The control: a bare worker's poll ends in the same error, and its slot is gone for good."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        await harness.submit(1)
        bare = bare_worker(harness.consumer.pool)
        proxy.fail("ZSCORE")
        with pytest.raises(RedisError):
            await bare._poll_iteration()

        assert (1, bare.max_jobs) == (bare.job_counter, bare.sem._value)


@awaited
async def test_a_slice_survives_redis(redis_url: str, tmp_path: Path, redis: "Redis") -> None:
    """A slice that Redis fails comes back soon, and its job is not lost."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(proxy.url) as harness:
        await harness.submit(1)
        proxy.fail("EVALSHA")
        await harness.poll()
        score: Any = redis.zscore(keys.QUEUE, "b:0")

        assert (1, (0, 0)) == (proxy.failed, harness.slots_taken)
        assert score < now_ms() + 5_000
    assert ["redis.away"] == events(harness.heard)


@awaited
async def test_silence_before_a_job_is_started(
    redis_url: str, redis: "Redis", tmp_path: Path
) -> None:
    """A Redis that falls silent while jobs are claimed costs no slot, and they start later."""
    async with redis_proxy(redis_url, tmp_path) as proxy, harnessed(redis_url) as harness:
        await harness.submit(1)
        direct = harness.consumer._pool
        proxy.fail("ZSCORE", Failure.SILENCE)
        async with impatient(proxy.url) as pool:
            harness.consumer._pool = pool
            with pytest.raises(RedisError):
                await harness.consumer.start_jobs([b"b:0"])
            gc.collect()
        silent = harness.slots_taken
        harness.consumer._pool = direct
        await harness.poll()

        assert [(0, 0), (0, 0)] == [silent, harness.slots_taken]
        assert [] == queued(redis)


@pytest.mark.parametrize("later", [True, False])
@awaited
async def test_a_job_that_is_not_due_any_more(
    redis_url: str, redis: "Redis", *, later: bool
) -> None:
    """What was put off or finished since the queue was read is not started, nor held."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, 1)
        if later:
            redis.zadd(keys.QUEUE, {"b:0": now_ms() + 3_600_000})
        else:
            redis.zrem(keys.QUEUE, "b:0")
        await harness.consumer.start_jobs([b"b:0", b"b:1"])
        begun = list(harness.consumer.tasks)
        held = redis.exists(in_progress_key_prefix + "b:0")
        await harness.poll()

        assert (["b:1"], 0, (0, 0)) == (begun, held, harness.slots_taken)


@asynccontextmanager
async def impatient(url: str) -> AsyncIterator[ArqRedis]:
    """Connect to Redis as a worker does, but wait for no answer for long."""
    pool = BlockingConnectionPool.from_url(url, socket_timeout=0.3)
    redis = ArqRedis(pool, default_queue_name=keys.QUEUE)
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


# The heartbeat


@awaited
async def test_our_heart_beats_elsewhere(redis_url: str, redis: "Redis") -> None:
    """A poll of ours leaves no health check behind, which a bare worker does."""
    async with harnessed(redis_url) as harness:
        await harness.poll()
        ours: Any = redis.keys("*health-check")
        await bare_worker(harness.consumer.pool)._poll_iteration()
        theirs: Any = redis.keys("*health-check")

        assert (0, 1) == (len(ours), len(theirs))


# Bytes that are no job


class Bomb:
    """What leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


HOSTILE: list[bytes] = [
    b"",
    b"\x00\xff",
    b"null",
    b"[]",
    b"{}",
    b'{"t":null,"f":"unknown","a":[],"k":{},"et":0}',
    b'{"t":null,"f":"work_on_slice","a":[1],"k":{},"et":0}',
    b'{"t":null,"f":"work_on_slice","a":7,"k":{},"et":0}',
    b'{"t":null,"f":"work_on_slice","a":[1,"b",0],"k":{"version":1},"et":0}',
    b'{"t":null,"f":[],"a":[],"k":{},"et":0}',
    b'{"t":"x","f":"work_on_slice","a":[1,"b",0],"k":{},"et":0}',
    b'{"t":null,"f":"work_on_slice","a":[1,"b",0],"k":{},"et":"x"}',
    b'{"t":null,"f":"work_on_slice","a":[1,"b",0],"k":{},"et":1e300}',
]


@pytest.mark.parametrize("body", HOSTILE)
@awaited
async def test_a_body_that_is_no_job(redis_url: str, redis: "Redis", body: bytes) -> None:
    """Whatever stands in the place of a job does not end the worker, and the slice comes back."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, 1)
        redis.set(job_key_prefix + "b:0", body)
        await harness.poll()
        await harness.poll()
        after_hostility = (await harness.ledger.batches.get("b")).open
        for _ in range(2):
            await harness.rescue.look_round()
        await harness.poll()

        assert (1, 0) == (after_hostility, (await harness.ledger.batches.get("b")).open)
        assert (0, 0) == harness.slots_taken


@awaited
async def test_an_id_that_is_no_text(redis_url: str, redis: "Redis") -> None:
    """Bytes in the queue that are no id are dropped, told, and hide no job behind them."""
    async with harnessed(redis_url) as harness:
        redis.zadd(keys.QUEUE, {b"\xff": 1})
        await harness.submit(1)
        await harness.poll()

        assert ([], (0, 0)) == (redis.zrange(keys.QUEUE, 0, -1), harness.slots_taken)
        assert 0 == (await harness.ledger.batches.get("b")).open
    assert 1 == events(harness.heard).count("job.dropped")


@awaited
async def test_a_pickle_is_not_obeyed(redis_url: str, redis: "Redis", tmp_path: Path) -> None:
    """Who can write to Redis cannot run code here: a pickle is bytes that are no job."""
    bomb = pickle.dumps(
        {"t": None, "f": JOB, "a": (1, "b", 0), "k": {}, "et": Bomb(tmp_path / "x")}
    )
    async with harnessed(redis_url) as harness:
        await harness.submit(1)
        redis.set(job_key_prefix + "b:0", bomb)
        await harness.poll()

        assert (False, []) == ((tmp_path / "x").exists(), queued(redis))
        assert [0] == await harness.ledger.batches.released("b")
    with pytest.raises(KeyError):
        pickle.loads(bomb)["nothing"]
    assert (tmp_path / "x").exists()


@awaited
async def test_a_job_that_two_have_had(redis_url: str, redis: Redis) -> None:
    """A slice whose lease Redis has forgotten comes back when it wants to, not an hour later."""
    async with harnessed(redis_url) as harness:
        await harness.submit(2, not_before_ms=now_ms(), allowed_ms=10**9)
        await harness.ledger.batches.pause("b", paused=True)
        other = Consumer(harness.consumer.pool, harness.context, harness.queue)
        name = queued(redis)[0]
        for consumer in (harness.consumer, other):
            ((_, score),) = await consumer._claim([name])
            redis.delete(in_progress_key_prefix + name)
            consumer._begun[name] = _Begun(harness.worker, score)
        for consumer in (harness.consumer, other):
            await consumer.run_job(name, score)
        due_ms: Any = redis.zscore(keys.QUEUE, name)

    assert 0 < due_ms - now_ms() <= Shift.PAUSED_MS
