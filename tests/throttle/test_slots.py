"""Slots for a few at a time, and which call gets the next one."""

import asyncio

from tests.support.awaited import awaited
from worker.throttle.slots import SlotPool, SlotQueue


class Line:
    """People who come to places and stay until they are told to leave."""

    def __init__(self) -> None:
        self.served = list[str]()
        self.leave = asyncio.Event()

    async def come(self, queue: SlotQueue, name: str) -> None:
        """Wait for a place, and stay."""
        async with queue:
            self.served.append(name)
            await self.leave.wait()


@awaited
async def test_no_more_than_there_are_places() -> None:
    """No more have a place at once than there are, whichever way they came."""
    places = SlotPool(3)
    now = most = 0

    async def come(queue: SlotQueue) -> None:
        nonlocal now, most
        async with queue:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(come(q) for _ in range(9) for q in (places.ahead, places.behind)))
    assert (3, 0) == (most, now)


@awaited
async def test_some_go_ahead() -> None:
    """The next place is for those who go ahead; among themselves they keep their order."""
    places, line = SlotPool(1), Line()
    order = ["first", "second", "third", "urgent", "urgent too"]
    comers = [
        asyncio.create_task(line.come(places.ahead if "urgent" in name else places.behind, name))
        for name in order
    ]
    await asyncio.sleep(0.01)
    assert ["first"] == line.served
    line.leave.set()
    await asyncio.gather(*comers)

    assert ["first", "urgent", "urgent too", "second", "third"] == line.served


@awaited
async def test_who_leaves_the_queue_takes_no_place() -> None:
    """A place goes to the next who waits, though one before was cancelled, even when served."""
    places, line = SlotPool(1), Line()
    comers = [asyncio.create_task(line.come(places.behind, name)) for name in "abcd"]
    await asyncio.sleep(0.01)
    comers[1].cancel()
    await asyncio.sleep(0.01)
    comers[0].cancel()
    await asyncio.sleep(0)  # the place is c's now, who has not learned of it
    comers[2].cancel()
    line.leave.set()
    await asyncio.gather(*comers, return_exceptions=True)

    assert ["a", "d"] == line.served
    await asyncio.wait_for(line.come(places.behind, "last"), 1)
    assert ["a", "d", "last"] == line.served
