"""
Signals that ask a command to end: SIGTERM and SIGHUP are treated like SIGINT.

Without this they kill a process on the spot, and what it has open stays as it is. A worker, which
drains instead, sets handlers of its own. Knows no command.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What an operator, a service manager and a closing terminal send."""


def heeded() -> list[signal.Signals]:
    """Return the signals that a process with handlers of its own handles: perhaps not SIGHUP."""
    outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # started with nohup
    return [each for each in ENDING if not (each is signal.SIGHUP and outlives_terminal)]


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `KeyboardInterrupt` in the block, as SIGINT does."""
    ours = []
    if current_thread() is main_thread():  # no other thread may set a handler
        ours = [each for each in ENDING if signal.getsignal(each) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, signal.SIG_DFL)


def is_cut_off() -> bool:
    """
    Whether the running task is being cancelled, as by a signal.

    redis-py may turn a cancellation into an error of its own, or swallow it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _interrupt(_: int, frame: FrameType | None) -> None:
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):  # ignored, as a shell has it for what runs in the background
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)  # asyncio's own while a loop runs: it cancels first
