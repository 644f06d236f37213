"""
Slots for a few calls at a time: first come, first served, but some go ahead of the others.

`SlotPool` is a semaphore with two queues, and knows nothing of calls; `Slots` are those of one
process, and what its slices want of them.
"""

import asyncio
import math
from collections import deque
from collections.abc import Hashable
from types import TracebackType

OVERBOOKED = 1.5
"""Slices are taken for so many more calls than there are slots, so that no slot waits for one."""

AHEAD_OVERBOOKED = 2.25
"""The same for slices that go ahead of others: they need not wait until one of those is left."""

READY = 1.25
"""So many more calls than there are slots may have a mark, so that no slot waits for one."""


class Slots:
    """
    The calls that this process may have in flight, and what its slices want of them.

    A call that wants one of the `free` slots first takes one of the `ready` ones, for its mark.
    """

    def __init__(self, max_calls: int) -> None:
        self.free = SlotPool(max_calls)
        self.ready = SlotPool(math.ceil(max_calls * READY))
        self._max_calls = max_calls
        self._wanted: dict[Hashable, int] = {}

    def want(self, who: Hashable, calls: int) -> None:
        """Note how many calls a slice could have in flight."""
        self._wanted[who] = calls

    def change(self, who: Hashable, calls: int) -> None:
        """Note that a slice could have so many calls more in flight, or fewer."""
        if who in self._wanted:
            self._wanted[who] += calls

    def unwant(self, who: Hashable) -> None:
        """Forget a slice that has been left."""
        self._wanted.pop(who, None)

    def room(self, *, ahead: bool = False) -> int:
        """Return how many more calls slices may be taken for."""
        limit = self._max_calls * (AHEAD_OVERBOOKED if ahead else OVERBOOKED)
        return max(0, math.ceil(limit - sum(self._wanted.values())))


class SlotPool:
    """So many slots, in one running event loop; `ahead` and `behind` are the queues for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self.ahead = SlotQueue(self)
        self.behind = SlotQueue(self)

    def take(self) -> bool:
        """Take a free slot; return whether there was one. There is none while anybody waits."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Pass a slot on to the next in the queues, if anybody waits."""
        if not (self.ahead.serve() or self.behind.serve()):
            self._free += 1


class SlotQueue:
    """A queue for slots; `async with` waits for one and holds it until the end of the block."""

    def __init__(self, pool: SlotPool) -> None:
        self._pool = pool
        self._waiting = deque[asyncio.Future[None]]()

    async def __aenter__(self) -> None:
        if self._pool.take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment, and another may want it
                self._pool.give_back()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.give_back()

    def serve(self) -> bool:
        """Give a slot to the first that still waits; return whether there was one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return True
        return False
