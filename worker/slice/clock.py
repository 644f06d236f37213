"""
How much time has passed, whatever the machine did meanwhile.

`time.monotonic` and asyncio's loop read a clock that stops while the machine is suspended. Leases
in Redis run out all the same, and other workers take over. So what must not be believed for too
long is measured here; what may simply come later, as time limits of calls, is not.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC
"""
The clock that never goes back, and does not stop either.

Linux: clock_gettime(2), BOOTTIME also counts the time that the system is suspended. macOS has
this in CLOCK_MONOTONIC, and `time.monotonic` does not read it there.
"""


def unstopped_s() -> float:
    """Return seconds that never go back, and count the time that the machine is suspended."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as both clocks showed it, in seconds."""

    unstopped_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Clocks:
    """
    Two clocks that seldom err together; both return seconds.

    `unstopped` never goes back, but stands while a hypervisor pauses the machine. `wall`, the time
    of day, is set right after such a pause; it may also be set back, and shows nothing then.
    """

    unstopped: Callable[[], float] = unstopped_s
    wall: Callable[[], float] = time.time

    def now(self) -> Moment:
        """Return the moment that it is now."""
        return Moment(self.unstopped(), self.wall())

    def passed_s(self, since: Moment) -> float:
        """Return how many seconds have passed since a moment, by the clock that shows more."""
        return max(self.unstopped() - since.unstopped_s, self.wall() - since.wall_s)
