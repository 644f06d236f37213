"""An event loop that runs what is ready and then stands: nothing comes from outside by itself."""

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Over(BaseException):
    """The actor is gone; what its coroutines still try on their way out has no effect."""


class SteppedLoop(asyncio.AbstractEventLoop):
    """The loop of one actor; `clock` returns seconds, and timers fire by it when told to."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.errors: list[str] = []
        self._clock = clock
        self._ready = deque[asyncio.Handle]()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._over = False

    def run_until_idle(self) -> None:
        """Run callbacks until none is ready; timers fire that are due by now."""
        now_s = self._clock()
        while self._timers and self._timers[0][0] <= now_s:
            self._ready.append(heappop(self._timers)[2])
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(before)

    @property
    def next_timer_s(self) -> float | None:
        """When the next timer fires, by the clock."""
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def abandon(self) -> None:
        """Let go of all coroutines: none of them runs on, and none complains."""
        self._over = True
        self._ready.clear()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(BaseException):
                    task.get_coro().close()
        self._tasks.clear()
        self._timers.clear()

    def time(self) -> float:
        """Return the clock's seconds."""
        return self._clock()

    def call_soon(  # type: ignore[override]  # asyncio's own is not written down like this
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback before the loop stands again."""
        self._refuse_if_over()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback when so many seconds have passed by the clock."""
        return self.call_at(self._clock() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a moment of the clock."""
        self._refuse_if_over()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._order), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        self._refuse_if_over()
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """Make a task of this loop."""
        if self._over:
            coro.close()
        self._refuse_if_over()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        if len(self._tasks) > 64:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        """Say that nothing is to be checked besides."""
        return False

    def is_running(self) -> bool:
        """Say that it runs."""
        return True

    def is_closed(self) -> bool:
        """Say whether it was let go."""
        return self._over

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        """Pass over it: it is dropped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody else hears of."""
        if not self._over:
            error = context.get("exception")
            self.errors.append(f"{context.get('message')}: {error!r}")

    def _refuse_if_over(self) -> None:
        if self._over:
            raise Over
