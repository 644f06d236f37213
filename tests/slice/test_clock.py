"""How much time has passed when a clock errs, and how long a worker believes in its lease."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jobs.ledger import keys
from jobs.ledger.workers.facts import NO_FACTS
from jobs.ledger.workers.leases import LEASE_S
from tests.support.awaited import awaited
from tests.support.small_ledger import Ledger, events, ledger_at, listening
from worker.slice.clock import Clocks, unstopped_s
from worker.slice.lease import SAFETY_S, WorkerLease

HOUR_S = 3600.0
GOOD_S = LEASE_S - SAFETY_S - 0.01
OVER_S = LEASE_S - SAFETY_S + 0.01
CLOSE_S = 3.0
"""The clock of Redis goes on while a beat asks for it; no clock of a test does."""


class Watch:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.unstopped_s = 1_000.0
        self.wall_s = time.time()
        self.clocks = Clocks(lambda: self.unstopped_s, lambda: self.wall_s)

    def go_on(self, unstopped_s: float, wall_s: float) -> None:
        """Let each clock go on by so much."""
        self.unstopped_s += unstopped_s
        self.wall_s += wall_s


@pytest.mark.skipif(sys.platform != "linux", reason="needs CLOCK_BOOTTIME")
def test_the_clock_that_does_not_stop() -> None:
    """On Linux time is measured by the clock that also counts suspension."""
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    now_s = unstopped_s()
    assert before_s <= now_s <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize(
    ("unstopped_s", "wall_s", "passed_s"),
    [(2, 2, 2), (2, 0, 2), (0, 2, 2), (2, HOUR_S, HOUR_S), (2, -HOUR_S, 2)],
)
def test_the_clock_that_shows_more_counts(
    unstopped_s: float, wall_s: float, passed_s: float
) -> None:
    """As much time has passed as the clock says that shows more."""
    watch = Watch()
    since = watch.clocks.now()
    watch.go_on(unstopped_s, wall_s)
    assert passed_s == watch.clocks.passed_s(since)


class Holder:
    """A worker's lease under clocks that a test sets; Redis never ends it by itself."""

    def __init__(self, ledger: Ledger) -> None:
        self.watch = Watch()
        log, self.heard = listening()
        self.lease = WorkerLease(ledger.leases, lambda: NO_FACTS, self.watch.clocks, log)
        self._redis = ledger.redis

    @property
    def held(self) -> bool:
        """Whether the worker believes that it has its lease."""
        return self.lease.holds(self.lease.name)

    async def beat(self, ahead_s: float) -> None:
        """Beat with a time of day that is so far ahead."""
        self.watch.wall_s = time.time() + ahead_s
        await self.lease.beat()

    async def lives(self) -> bool:
        """Whether Redis knows the lease."""
        return bool(await self._redis.exists(keys.worker(self.lease.name)))

    async def lose(self) -> None:
        """End the lease in Redis."""
        await self._redis.delete(keys.worker(self.lease.name))


@asynccontextmanager
async def enlisted(redis_url: str) -> AsyncIterator[Holder]:
    """Take a lease for the length of a block."""
    async with ledger_at(redis_url) as ledger:
        holder = Holder(ledger)
        await holder.lease.enlist()
        await ledger.redis.persist(keys.worker(holder.lease.name))
        yield holder


@pytest.mark.parametrize(
    ("unstopped_s", "wall_s", "held"),
    [
        (GOOD_S, GOOD_S, True),
        (OVER_S, OVER_S, False),
        (OVER_S, 0.1, False),  # the time of day was set back, or stood still
        (0.1, OVER_S, False),  # paused by a hypervisor, and set right since
        (0.1, HOUR_S, False),
        (0.1, -HOUR_S, True),  # set back: no pause does that
    ],
)
@awaited
async def test_how_long_a_lease_is_believed_in(
    redis_url: str,
    unstopped_s: float,
    wall_s: float,
    held: bool,  # noqa: FBT001  # a case
) -> None:
    """A lease is believed in while both clocks say that it cannot have ended."""
    async with enlisted(redis_url) as holder:
        holder.watch.go_on(unstopped_s, wall_s)
        assert held is holder.held


@awaited
async def test_a_new_worker_beats_before_it_opens_a_slice(redis_url: str) -> None:
    """When it is known for long enough it notes a moment first: by that a loss is measured."""
    async with enlisted(redis_url) as holder:
        holder.lease.settles_in_ms = 1_000
        await holder.lease.beat()
        settled_in = [holder.lease.settled_in]
        holder.watch.go_on(1.5, 1.5)
        settled_in.append(holder.lease.settled_in)
        await holder.lease.beat()
        settled_in.append(holder.lease.settled_in)

        assert [False, False, True] == settled_in
        assert holder.lease.noted_ms > 0


@awaited
async def test_after_a_jump_redis_has_the_word(redis_url: str) -> None:
    """After a jump of the time of day nothing is held until Redis says that the lease lives."""
    async with enlisted(redis_url) as holder:
        first = holder.lease.name
        holder.watch.go_on(0.1, OVER_S)
        before = holder.held
        await holder.lease.beat()
        renewed = holder.lease.name, holder.held
        await holder.lose()
        await holder.lease.beat()

        assert (False, (first, True)) == (before, renewed)
        assert (False, True) == (holder.lease.holds(first), holder.held)
        assert ["worker.lease_lost"] == events(holder.heard)


@awaited
async def test_a_lease_that_was_given_back(redis_url: str) -> None:
    """What was given back is not held."""
    async with enlisted(redis_url) as holder:
        await holder.lease.resign()
        assert not holder.held


@pytest.mark.parametrize("off_s", [HOUR_S, 10.0, -10.0, -HOUR_S])
@awaited
async def test_a_clock_that_is_wrong(redis_url: str, off_s: float) -> None:
    """A worker whose clock is off has no lease until it is right, and says so once."""
    async with enlisted(redis_url) as holder:
        first = holder.lease.name
        for _ in range(2):
            await holder.beat(off_s)
        without = holder.held, await holder.lives()
        await holder.beat(0)

        assert (False, False) == without
        assert (True, True) == (holder.held, await holder.lives())
        assert first != holder.lease.name
        wrong, _ = (call.kwargs for call in holder.heard.calls)
        assert ["worker.clock_wrong", "worker.clock_right"] == events(holder.heard)
        assert ("error", first) == (holder.heard.calls[0].method_name, wrong["worker"])
        assert off_s == pytest.approx(wrong["ahead_s"], abs=CLOSE_S)


@pytest.mark.parametrize("off_s", [2.0, -2.0])
@awaited
async def test_a_clock_that_is_right_enough(redis_url: str, off_s: float) -> None:
    """A worker whose clock is off by little keeps its lease."""
    async with enlisted(redis_url) as holder:
        await holder.beat(off_s)
        assert holder.held
        assert [] == events(holder.heard)
