"""
A time limit that many calls are under at once, with one timer for all of them.

It ends a block as `asyncio.timeout` does, which sets a timer for each: with hundreds of calls in
flight that costs as much as writing the requests. All limits here are of one length, so what was
begun first is over first, and only the first has to be waited for.

The time that the machine is suspended is not counted: a call that was under way goes on after it.
Whether one may still begin is asked elsewhere (`permitted`), of a clock that does not stop.
"""

import asyncio
from types import TracebackType
from typing import Self


class TimeLimit:
    """
    So many seconds for each block; used in one running event loop.

    `with limit.begin():` raises `TimeoutError` where the block waits when its time is over. A
    cancellation from elsewhere goes through it as what it is.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._running: dict[Block, None] = {}  # in the order in which they will be over
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> "Block":
        """Return a block that may take as long as this from now on; enter it at once."""
        loop = asyncio.get_running_loop()
        block = Block(self, loop.time() + self._limit_s)
        self._running[block] = None
        if self._timer is None:
            self._timer = loop.call_at(block.over_s, self._end_overdue, loop)
        return block

    def end(self, block: "Block") -> None:
        """Let a block go that is done."""
        self._running.pop(block, None)

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._running:
            first = next(iter(self._running))
            if first.over_s > loop.time():
                self._timer = loop.call_at(first.over_s, self._end_overdue, loop)
                return
            del self._running[first]
            first.cut_off()
        self._timer = None


class Block:
    """One block under a limit, in the task that began it."""

    __slots__ = ("_cancelled_before", "_cut_off", "_limit", "_task", "over_s")

    def __init__(self, limit: TimeLimit, over_s: float) -> None:
        self.over_s = over_s
        self._limit = limit
        self._task = _current_task()
        self._cancelled_before = self._task.cancelling()
        self._cut_off = False

    def cut_off(self) -> None:
        """End it where it waits."""
        self._cut_off = True
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._limit.end(self)
        # As in asyncio.timeout: the cancellation was ours, unless the task has had another one.
        ours = self._cut_off and self._task.uncancel() <= self._cancelled_before
        if ours and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc


def _current_task() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a time limit holds inside a task")
    return task
