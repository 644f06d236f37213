"""
Redis killed, stopped, set back, full, read-only, flushed.

The worker lives through all of it, and sends nothing that it could not note before.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.program import Program, Worker
from tests.support.redis.own_redis import OwnRedis
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until

ROWS, MAILBOXES = 300, 12
LATENCY_S = 0.1
STEPS = (40, 100, 160)
"""After how many calls something happens."""


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Run a Redis that the test may do anything to."""
    server = OwnRedis(tmp_path / "own")
    server.start()
    yield server
    server.close()


@pytest.fixture
def ordeal(program: Program, sandbox: SandboxClient, own_redis: OwnRedis) -> Ordeal:
    """Submit a batch to that Redis."""
    program.environment["REDIS_URL"] = own_redis.url
    sandbox.options(latency_s=LATENCY_S)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    return ordeal


def finish(ordeal: Ordeal, worker: Worker) -> None:
    """Let the worker finish the batch, which it does by itself, and compare all records."""
    ordeal.program.wait_until_finished(ordeal.batch)
    ordeal.wait_for_the_end()
    assert 0 == worker.stop()
    assert [] == ordeal.violations()


def test_a_redis_killed_and_restarted_sends_nothing_twice(
    ordeal: Ordeal, own_redis: OwnRedis
) -> None:
    """Redis is killed three times in the middle of the work and comes back with its data."""
    with ordeal.worker() as worker:
        for times, calls in enumerate(STEPS, start=1):
            ordeal.wait_for_calls(calls)
            own_redis.kill()
            worker.wait_for("redis.away", times)
            own_redis.start()
            worker.wait_for("redis.back", times)
        finish(ordeal, worker)
    assert [] == worker.events("redis.went_back")


@pytest.mark.parametrize("still_s", [pytest.param(n, marks=pytest.mark.chaos) for n in (4, 12)])
def test_a_redis_that_stands_still_sends_nothing_twice(
    ordeal: Ordeal, own_redis: OwnRedis, still_s: float
) -> None:
    """Redis stands still for longer than a lease, and than the worker waits for an answer."""
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(STEPS[0])
        own_redis.stand_still()
        time.sleep(still_s)
        own_redis.go_on()
        finish(ordeal, worker)


def test_after_an_older_copy_what_seems_unsent_is_looked_at(
    ordeal: Ordeal, sandbox: SandboxClient, own_redis: OwnRedis
) -> None:
    """What Redis calls unsent after its data went back is looked at before it is sent."""
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(STEPS[0])
        own_redis.keep_copy()
        ordeal.wait_for_calls(STEPS[2])
        ordeal.observe()
        own_redis.kill()
        worker.wait_for("redis.away")
        own_redis.put_copy_back()
        own_redis.start()
        ordeal.program.wait_until_finished(ordeal.batch)
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)
    assert 1 == len(worker.events("redis.went_back"))


def full(redis: OwnRedis) -> None:
    """Leave no room for another key."""
    redis.client.config_set("maxmemory", "1")


def roomy(redis: OwnRedis) -> None:
    """Take the limit away."""
    redis.client.config_set("maxmemory", "0")


def read_only(redis: OwnRedis) -> None:
    """Make it a replica, as a failover does with the one that was the primary."""
    redis.client.replicaof("127.0.0.1", "1")


def writable(redis: OwnRedis) -> None:
    """Make it a primary again."""
    redis.client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        pytest.param(full, roomy, id="full"),
        pytest.param(read_only, writable, id="read-only", marks=pytest.mark.chaos),
    ],
)
def test_while_redis_takes_no_writes_nothing_is_sent(
    ordeal: Ordeal,
    sandbox: SandboxClient,
    own_redis: OwnRedis,
    spoil: Callable[[OwnRedis], None],
    mend: Callable[[OwnRedis], None],
) -> None:
    """While Redis takes no marks nothing is sent; when it does again, all goes on by itself."""
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(STEPS[0])
        spoil(own_redis)
        worker.wait_for("redis.away")
        marked = {record.client_request_id for record in ordeal.observe().values()}
        time.sleep(3)  # longer than a lease
        assert {call.client_request_id for call in sandbox.journal()} <= marked
        mend(own_redis)
        finish(ordeal, worker)


def test_a_flushed_redis_raises_an_alarm(
    ordeal: Ordeal, sandbox: SandboxClient, own_redis: OwnRedis
) -> None:
    """A Redis that was flushed raises an alarm; nothing more is sent, and nothing is rebuilt."""
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(STEPS[0])
        own_redis.client.flushall()
        worker.wait_for("batch.gone")
        wait_until(
            lambda: all(call.ended_s is not None for call in sandbox.journal()),
            "a call does not end",
        )
        called = len(sandbox.journal())
        time.sleep(3)
        assert 0 == worker.stop()
    assert called == len(sandbox.journal()) < ROWS
    assert {"critical"} == {line["level"] for line in worker.events("batch.gone")}
    kept = {key.decode() for key in own_redis.client.keys("*")}
    assert not any(ordeal.batch in key for key in kept), kept


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", pytest.param("volatile-ttl", marks=pytest.mark.chaos)]
)
def test_no_worker_starts_on_a_redis_that_may_evict(
    program: Program, own_redis: OwnRedis, policy: str
) -> None:
    """No worker starts on a Redis that may drop a mark, and the message says what to do."""
    program.environment["REDIS_URL"] = own_redis.url
    own_redis.client.config_set("maxmemory-policy", policy)
    refused = program("worker", "--burst")
    assert 4 == refused.code
    assert f"maxmemory-policy {policy}" in refused.err
    assert "noeviction" in refused.err


@pytest.mark.chaos
def test_a_worker_ends_though_redis_is_gone(
    ordeal: Ordeal, sandbox: SandboxClient, own_redis: OwnRedis
) -> None:
    """A worker that is stopped while Redis is away ends all the same; a successor looks."""
    with ordeal.worker(BULKRSVP_DRAIN_S="1") as worker:
        ordeal.wait_for_calls(STEPS[0])
        own_redis.kill()
        worker.wait_for("redis.away")
        assert 0 == worker.stop(signal.SIGTERM)
    own_redis.start()
    ordeal.burst()
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)
