"""A Redis that is restarted without its last changes: what is sent again, and what is looked at."""

import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import SUPPORT
from tests.support.chaos.checker import (
    each_row_has_one_outcome,
    nothing_is_left_open,
    outcomes_are_true,
)
from tests.support.chaos.scenario import Figure, Ordeal, changes, rows_of, seeded
from tests.support.program import Program, Worker
from tests.support.rarely import rarely
from tests.support.redis.lossy_redis import LossyRedis, lossy_redis
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S

ROWS, MAILBOXES = 2_000, 400

LONG_S = 3 * PATIENCE_S
"""What is left after so many deaths is tried one by one, on a machine that may be busy."""
SLICE = 200
"""A little more than the responses of a slice."""

BROKEN = SUPPORT / "chaos" / "broken_worker.py"
NARROW = {"BULKRSVP_MAX_CALLS": "16", "BULKRSVP_SETTLE_S": "3"}


@pytest.fixture
def lossy(tmp_path: Path) -> Iterator[LossyRedis]:
    """Run a Redis that loses what it wrote last."""
    with lossy_redis(tmp_path / "lossy") as redis:
        yield redis


def assert_sent_once(sandbox: SandboxClient) -> None:
    """See that Graph has taken each response, and none twice."""
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)


@pytest.mark.parametrize("size", [5_000, rarely(0), rarely(500), rarely(20_000)])
def test_only_what_was_open_is_looked_at(
    program: Program, sandbox: SandboxClient, lossy: LossyRedis, size: int
) -> None:
    """After a restart nothing is sent twice, and what nobody had open is sent without a look."""
    program.environment |= NARROW | {"REDIS_URL": lossy.url}
    sandbox.options(latency_s=0.02)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    with ordeal.worker() as one, ordeal.worker() as other:
        ordeal.wait_for_calls(400)
        lossy.lose(size)
        one.wait_for("redis.away")
        lossy.start()
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()
        changed = one.events("redis.changed") + one.events("redis.went_back")
        changed += other.events("redis.changed") + other.events("redis.went_back")
        assert (0, 0) == (one.stop(), other.stop())

    assert_sent_once(sandbox)
    looks = sum(1 for call in sandbox.journal() if call.method == "GET")
    assert [[ordeal.batch]] == [line["batches"] for line in changed]
    assert 0 < changed[0]["slices"] * SLICE < ROWS
    # What was in flight is looked at as well, whichever slice it was of.
    assert looks <= (changed[0]["slices"] + 1) * SLICE


@pytest.mark.chaos
def test_workers_that_remember_nothing_send_twice(
    program: Program, sandbox: SandboxClient, lossy: LossyRedis
) -> None:
    """What is lost and not remembered is sent twice: without that the tests here would be blind."""
    program.environment |= NARROW | {"REDIS_URL": lossy.url}
    sandbox.options(latency_s=0.02)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    with ordeal.worker(command=(sys.executable, BROKEN, "remembers_nothing")) as worker:
        ordeal.wait_for_calls(400)
        lossy.lose(60_000)
        lossy.start()
        program.wait_until_finished(ordeal.batch)
        worker.stop()
    assert sandbox.stats().duplicates


@pytest.mark.chaos
@pytest.mark.parametrize("survivors", [0, 1])
@pytest.mark.parametrize("size", [500, 20_000])
def test_workers_that_died_with_it(
    program: Program, sandbox: SandboxClient, lossy: LossyRedis, survivors: int, size: int
) -> None:
    """What a worker had open that died with Redis is not sent twice either."""
    program.environment |= NARROW | {"REDIS_URL": lossy.url}
    sandbox.options(latency_s=0.02)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    with ExitStack() as workers:
        running = [workers.enter_context(ordeal.worker()) for _ in range(2)]
        ordeal.wait_for_calls(400)
        for worker in running[survivors:]:
            worker.stop(signal.SIGKILL)
        lossy.lose(size)
        lossy.start()
        ordeal.burst()
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()
        for worker in running[:survivors]:
            assert 0 == worker.stop()
    assert_sent_once(sandbox)


@pytest.mark.chaos
def test_losing_writes_again_and_again_sends_nothing_twice(
    program: Program, sandbox: SandboxClient, lossy: LossyRedis
) -> None:
    """Redis loses its end several times, while workers are killed and started."""
    program.environment |= NARROW | {"REDIS_URL": lossy.url, "BULKRSVP_SETTLE_S": "2"}
    sandbox.options(latency_s=0.02)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    chance = seeded(1)
    with ExitStack() as workers:
        running = [workers.enter_context(ordeal.worker()) for _ in range(3)]
        for step in range(1, 9):
            ordeal.wait_for_calls(150 * step)
            if chance.random() < 0.5:
                running.pop(0).stop(signal.SIGKILL)
                running.append(workers.enter_context(ordeal.worker()))
            lossy.lose(chance.choice([0, 200, 2_000, 20_000]))
            lossy.start()
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()
        for worker in running:
            assert 0 == worker.stop()
    assert_sent_once(sandbox)


ANSWERED = 500
"""So many responses ask for a change of an answer that was given long ago, and as many do not."""

CUT = 20_000
"""Bytes that Redis may lose at once: a hundred changes and more."""

BLOWS = 12

TRUE_AFTER_A_LOSS = (each_row_has_one_outcome, outcomes_are_true, nothing_is_left_open)
"""What holds also where marks and lines are lost together, and nobody remembers a call."""


def batter(
    ordeal: Ordeal, lossy: LossyRedis, workers: ExitStack, chance: random.Random
) -> list[Worker]:
    """Kill workers and Redis at random moments of a batch; return the workers that are left."""
    running = [workers.enter_context(ordeal.worker()) for _ in range(3)]
    for blow in range(BLOWS):
        ordeal.wait_for_calls(int(2 * ANSWERED * (blow + chance.random()) / BLOWS))
        fallen = chance.sample(range(3), k=chance.choice([0, 1, 1, 2, 3]))
        early = [n for n in fallen if chance.random() < 0.5]
        for n in early:
            running[n].stop(signal.SIGKILL)
        if not fallen or chance.random() < 0.7:
            lossy.lose(chance.randint(0, CUT))
            for n in set(fallen) - set(early):
                running[n].stop(signal.SIGKILL)
            lossy.start()
        for n in fallen:
            if running[n].process.poll() is None:
                running[n].stop(signal.SIGKILL)
            running[n] = workers.enter_context(ordeal.worker())
    return running


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "options", [pytest.param([], id="blind"), pytest.param(["--check-first"], id="check-first")]
)
def test_answers_that_change_others(
    program: Program,
    sandbox: SandboxClient,
    lossy: LossyRedis,
    *,
    options: Sequence[str],
    seed: int,
    record_property: Figure,
) -> None:
    """Whatever dies, an older answer is replaced once, and never taken for somebody's wish."""
    chance = seeded(seed)
    program.environment |= NARROW | {"REDIS_URL": lossy.url, "BULKRSVP_SETTLE_S": "2"}
    sandbox.options(latency_s=0.05, latency_sigma=0.5, seed=seed, keep_declined=seed % 2 == 0)
    ordeal = Ordeal(program, sandbox)
    rows = changes(ANSWERED, 100) + rows_of(ANSWERED, 100)
    chance.shuffle(rows)
    ordeal.submit(rows, *options)
    with ExitStack() as workers:
        running = batter(ordeal, lossy, workers, chance)
        program.wait_until_finished(ordeal.batch, LONG_S)
        ordeal.wait_for_the_end()
        for worker in running:
            worker.stop()

    records, stats = ordeal.records(), sandbox.stats()
    record_property("outcomes", dict(records.outcomes))
    record_property("taken", stats.taken)
    assert [] == stats.duplicates
    assert records.outcomes.keys() <= {"sent", "uncertain"}
    assert [] == [found for invariant in TRUE_AFTER_A_LOSS for found in invariant(records)]
