"""
A worker on a machine whose time of day is wrong; nothing of the worker itself is changed.

    python strayed_worker.py SECONDS [options of `bulkrsvp worker`]
"""

import sys
import time


def stray(ahead_s: int) -> None:
    """Put the time of day of this process forward, or back."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + ahead_s
    time.time_ns = lambda: nanoseconds() + ahead_s * 1_000_000_000


if __name__ == "__main__":
    stray(int(sys.argv[1]))

    from worker.commands import main

    main(["worker", *sys.argv[2:]])
