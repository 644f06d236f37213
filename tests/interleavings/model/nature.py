"""What a process finds and does not make: the time, and ids that nobody has had before."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import jobs.times
import worker.slice.quarantine
import worker.slice.walk

BEGIN_MS: Final = 1_700_000_000_000
"""Where time begins in each schedule, ms since the epoch."""


class Nature:
    """
    The time as the running actor sees it, and its next id.

    Ids tell who made them and as which of his, so that they are the same in whatever order the
    actors take turns.
    """

    def __init__(self) -> None:
        self.now_ms = BEGIN_MS
        self.actor: Any = None

    def time_s(self) -> float:
        """Return the time in seconds."""
        return self.now_ms / 1000

    def time_ms(self) -> int:
        """Return the time in ms."""
        return self.now_ms

    def time_ns(self) -> int:
        """Return the time in ns."""
        return self.now_ms * 1_000_000

    def urandom(self, size: int) -> bytes:
        """Return the next id of the running actor."""
        made: bytes = self.actor.next_id()
        return made.ljust(size, b"\0")


NATURE: Final = Nature()


@contextmanager
def staged(*, poison: bool) -> Iterator[None]:
    """
    Have the program see this nature for the length of a block.

    With `poison` fewer deaths are enough for it to suspect a response, and to give it up.
    """
    ids = SimpleNamespace(urandom=NATURE.urandom)
    with (
        patch.object(jobs.times, "time_ns", NATURE.time_ns),
        patch.object(uuid, "os", ids),
        patch.object(worker.slice.walk, "DEATHS", 1 if poison else worker.slice.walk.DEATHS),
        patch.object(
            worker.slice.quarantine, "TRIES", 1 if poison else worker.slice.quarantine.TRIES
        ),
    ):
        yield
