"""
What bulkrsvp is compared with: how each yardstick is queued, run, and asked what is left.

A yardstick that remembers nothing is one script; one with a queue is a command that queues and a
worker. How they send stands in the files `yard_*.py`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PYTHON: Final = sys.executable
SCRIPTS: Final = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Yardstick:
    """
    One way to send responses.

    `work` is its command, to which the file is given unless `enqueue` has queued it before;
    `ends` says whether it ends by itself. Of the rows of a case it is given one in `share`, for
    nobody has all day. `waiting` counts what still stands in its queue; a script that
    runs still has all before it.
    """

    letter: str
    name: str
    work: tuple[str | Path, ...]
    enqueue: tuple[str | Path, ...] = ()
    ends: bool = True
    share: int = 1
    waiting: Callable[[Any], int] = lambda _: sys.maxsize

    @property
    def title(self) -> str:
        """What stands in tables and plots."""
        return f"({self.letter}) {self.name}"


def _waiting_in_arq(redis: Any) -> int:
    return int(redis.zcard("arq:queue"))


def _waiting_in_celery(redis: Any) -> int:
    return int(redis.llen("celery")) + int(redis.hlen("unacked"))


BARE: Final = Yardstick("a", "bare aiohttp", (PYTHON, "yard_aiohttp.py"))
MSGRAPH: Final = Yardstick("b", "msgraph-sdk", (PYTHON, "yard_msgraph.py"), share=10)
ARQ: Final = Yardstick(
    "c",
    "plain arq",
    (SCRIPTS / "arq", "yard_arq.WorkerSettings", "--burst"),
    enqueue=(PYTHON, "yard_arq.py"),
    share=5,
    waiting=_waiting_in_arq,
)
CELERY: Final = Yardstick(
    "d",
    "Celery, 32 threads",
    (
        *(SCRIPTS / "celery", "--app", "yard_celery", "worker"),
        *("--pool", "threads", "--concurrency", "32", "--loglevel", "WARNING"),
    ),
    enqueue=(PYTHON, "yard_celery.py"),
    ends=False,
    share=5,
    waiting=_waiting_in_celery,
)
REQUESTS: Final = Yardstick("e", "requests, one by one", (PYTHON, "yard_requests.py"), share=100)

REMEMBERING_LITTLE: Final = (MSGRAPH, ARQ, CELERY, REQUESTS)

READ_ONLY: Final = (PYTHON, "yard_read.py")
"""What `submit` is compared with."""
