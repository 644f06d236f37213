"""Waiting for what others do, but not for ever, and not being outlived by what was started."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

PATIENCE_S = 60
"""How long a test waits for what has to come: long, for the machine may be busy."""

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], otherwise: str, *, every_s: float = 0.02) -> T:
    """Wait until something is so, and return it; a test that waits in vain fails, and says why."""
    ends_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < ends_s, otherwise
        time.sleep(every_s)
    return found


@contextmanager
def running(command: Sequence[str | Path], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """
    Run a process for the length of a block; takes the keywords of `subprocess.Popen`.

    What still runs at the end is killed: when a test fails, nobody tells it to end any more.
    """
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()
