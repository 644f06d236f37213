"""How much time has passed when a clock errs, and how long a worker believes in its lease."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from awaited import awaited
from small_ledger import Ledger, ledger_at, listening

from jobs.ledger import keys
from jobs.ledger.leases import LEASE_S, NO_FACTS
from worker.clock import Clocks, unstopped_s
from worker.presence import SAFETY_S, Presence

HOUR_S = 3600.0
GOOD_S = LEASE_S - SAFETY_S - 0.01
OVER_S = LEASE_S - SAFETY_S + 0.01


class Watch:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.unstopped_s = 1_000.0
        self.wall_s = 1_800_000_000.0
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
def test_what_has_passed(unstopped_s: float, wall_s: float, passed_s: float) -> None:
    """As much time has passed as the clock says that shows more."""
    watch = Watch()
    since = watch.clocks.now()
    watch.go_on(unstopped_s, wall_s)
    assert passed_s == watch.clocks.passed_s(since)


@asynccontextmanager
async def enlisted(redis_url: str) -> AsyncIterator[tuple[Presence, Watch, Ledger]]:
    """Take a worker's lease under clocks that a test sets; Redis never ends it by itself."""
    watch, (log, _) = Watch(), listening()
    async with ledger_at(redis_url) as ledger:
        presence = Presence(ledger.leases, lambda: NO_FACTS, watch.clocks, log)
        await presence.enlist()
        await ledger.redis.persist(keys.worker(presence.name))
        yield presence, watch, ledger


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
    async with enlisted(redis_url) as (presence, watch, _):
        watch.go_on(unstopped_s, wall_s)
        assert held is presence.holds(presence.name)


@awaited
async def test_after_a_jump_redis_has_the_word(redis_url: str) -> None:
    """After a jump of the time of day nothing is held until Redis says that the lease lives."""
    async with enlisted(redis_url) as (presence, watch, ledger):
        first = presence.name
        watch.go_on(0.1, HOUR_S)
        before = presence.holds(first)
        await presence.beat()
        renewed = presence.name, presence.holds(first)
        watch.go_on(0.1, HOUR_S)
        await ledger.redis.delete(keys.worker(first))
        await presence.beat()

        assert (False, (first, True)) == (before, renewed)
        assert first != presence.name
        assert (False, True) == (presence.holds(first), presence.holds(presence.name))


@awaited
async def test_a_lease_that_was_given_back(redis_url: str) -> None:
    """What was given back is not held."""
    async with enlisted(redis_url) as (presence, _, __):
        await presence.resign()
        assert not presence.holds(presence.name)
