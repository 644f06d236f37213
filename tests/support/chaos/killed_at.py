"""
A worker that is killed at one exact place: right before or after its Nth send, recv or log line.

    python -u killed_at.py MOMENT N [options of `bulkrsvp worker`]

It is the worker as it stands, in this process. Python's own profiling hook tells of each function
of C that is entered and left, so the place needs no tool of the system, and no part of the worker
is replaced. With 0 for N it is not killed. Whoever comes to the end tells on standard error how
often each moment came. Unbuffered (`-u`), a line is in the log once its write has returned.
"""

import atexit
import json
import os
import signal
import sys
import threading
from collections import Counter
from socket import SocketType
from types import FrameType
from typing import Any, Final

import worker.process.main  # noqa: F401  # loaded by now, so that the hook sees the run alone
from worker.commands import main

SIDES: Final = {"c_call": "before", "c_return": "after"}
KINDS: Final = {
    "send": "send",
    "sendmsg": "send",
    "recv": "recv",
    "recv_into": "recv",
    "write": "write",
}
"""How the functions are called that speak to Redis, Entra and Graph, hear them, and log."""

MOMENTS: Final = tuple(
    f"{side}-{kind}" for kind in ("send", "recv", "write") for side in SIDES.values()
)


def be_killed_at(wanted: str, number: int) -> Counter[str]:
    """Have this process killed as a moment comes for the Nth time; return what counts them all."""
    seen = Counter[str]()
    log = sys.stdout.buffer

    def watch(_: FrameType, event: str, called: Any) -> None:
        if event not in SIDES or called.__name__ not in KINDS:
            return
        if isinstance(called.__self__, SocketType) or called.__self__ is log:
            moment = f"{SIDES[event]}-{KINDS[called.__name__]}"
            seen[moment] += 1
            if moment == wanted and seen[moment] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)
    return seen


def tell(seen: Counter[str]) -> None:
    """Write down how often each moment came."""
    sys.setprofile(None)
    sys.stderr.write(f"{json.dumps(seen)}\n")


if __name__ == "__main__":
    atexit.register(tell, be_killed_at(sys.argv[1], int(sys.argv[2])))
    main(["worker", *sys.argv[3:]])
