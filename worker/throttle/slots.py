"""
Places for a few at a time: first come, first served, but some go ahead of the others.

A semaphore with two queues before it. It knows nothing of what is done at a place.
"""

import asyncio
from collections import deque
from types import TracebackType


class Places:
    """So many places, in one running event loop; `ahead` and `behind` are the ways to one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self.ahead = Queue(self)
        self.behind = Queue(self)

    def take(self) -> bool:
        """Take a free place, if there is one; there is none while anybody waits."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Hand a place on to who is next, if anybody waits."""
        if not (self.ahead.serve() or self.behind.serve()):
            self._free += 1


class Queue:
    """Those who wait; who enters with `async with` has a place until the end of the block."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._waiting = deque[asyncio.Future[None]]()

    async def __aenter__(self) -> None:
        if self._places.take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment, and somebody else may want it
                self._places.give_back()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._places.give_back()

    def serve(self) -> bool:
        """Give a place to the first who still waits; return whether there was one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return True
        return False
