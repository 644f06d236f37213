"""
A worker on a machine that is suspended, as far as a stopped process can show it.

    python suspended_worker.py CLOCKS [options of `bulkrsvp worker`]

SIGSTOP stops a process, but none of its clocks. Here those that are named stop with it, as the
kernel stops them for a machine: `monotonic` where it is suspended, `monotonic,boottime` where its
hypervisor pauses it and the time of day is set right afterwards, and `monotonic,boottime,wall`
where that is not. Nothing of the worker itself is changed.
"""

import sys
import time
from collections.abc import Callable

STILL_S = 3.0
"""A worker reads each clock several times a second; so long between two readings it stood still."""


def stopping(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that does not count the time for which this process stood still."""
    latest_s, still_s = clock(), 0.0

    def read() -> float:
        nonlocal latest_s, still_s
        now_s = clock()
        if now_s - latest_s > STILL_S:
            still_s += now_s - latest_s
        latest_s = now_s
        return now_s - still_s

    return read


def stop_with_the_machine(names: list[str]) -> None:
    """Let these clocks of the kernel stop while this process does."""
    if "monotonic" in names:
        time.monotonic = stopping(time.monotonic)
    if "boottime" in names:
        get = time.clock_gettime
        boottime = stopping(lambda: get(time.CLOCK_BOOTTIME))
        time.clock_gettime = lambda clock: (
            boottime() if clock == time.CLOCK_BOOTTIME else get(clock)
        )
    if "wall" in names:
        time.time = stopping(time.time)


if __name__ == "__main__":
    stop_with_the_machine(sys.argv[1].split(","))

    from worker.commands import main

    main(["worker", *sys.argv[2:]])
