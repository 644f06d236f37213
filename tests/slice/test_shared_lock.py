"""Who is at work in one process: side by side, or one alone."""

import asyncio
from dataclasses import replace

from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import harnessed
from worker.slice.calls.page_call import PageCall
from worker.slice.lane import Lane
from worker.slice.shared_lock import SharedLock
from worker.slice.shift import SHIFT_MS, Shift


@awaited
async def test_who_is_alone_has_nobody_beside() -> None:
    """Who wants to be alone waits until all others have left, and nobody joins meanwhile."""
    process_lock, beside, seen = SharedLock(), set[str](), list[tuple[str, set[str]]]()
    over = asyncio.Event()

    async def work(name: str, *, alone: bool, waits: bool = False) -> None:
        async with process_lock.shared():
            if alone:
                async with process_lock.exclusive():
                    seen.append((name, set(beside)))
                    beside.add(name)
                    await asyncio.sleep(0)
                    beside.discard(name)
            beside.add(name)
            if waits:
                await over.wait()
            await asyncio.sleep(0)
            beside.discard(name)

    first = asyncio.create_task(work("first", alone=False, waits=True))
    await asyncio.sleep(0)
    hermits = [asyncio.create_task(work(name, alone=True)) for name in ("one", "two")]
    await asyncio.sleep(0.01)
    late = asyncio.create_task(work("late", alone=False))
    await asyncio.sleep(0.01)
    during = (process_lock.wanted, set(beside), list(seen))
    over.set()
    await asyncio.gather(first, *hermits, late)

    assert (True, {"first"}, []) == during
    assert [("one", set()), ("two", set())] == seen
    assert not process_lock.wanted


@awaited
async def test_who_is_cut_off_keeps_nobody_out() -> None:
    """Whoever is cancelled while alone, or on the way there, leaves the others as they were."""
    process_lock, forever = SharedLock(), asyncio.Event()

    async def stay(*, alone: bool) -> None:
        async with process_lock.shared():
            if alone:
                async with process_lock.exclusive():
                    await forever.wait()
            await forever.wait()

    hermits = [asyncio.create_task(stay(alone=True)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for hermit in hermits:
        hermit.cancel()
    await asyncio.gather(*hermits, return_exceptions=True)

    assert not process_lock.wanted
    async with process_lock.shared(), process_lock.exclusive():
        pass


@awaited
async def test_a_long_reading_makes_way(redis_url: str) -> None:
    """A reading that outlasts its shift goes on, but not while a response waits to be alone."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=86_400_000)
        part = await harness.ledger.open()
        clock = [now_ms()]
        signals = replace(harness.context.signals, now_ms=lambda: clock[0])
        shift = Shift(replace(harness.context, signals=signals), part)
        clock[0] += SHIFT_MS
        calls = [
            PageCall(shift, Lane("m", [], 1), part.entries[0], "https://graph", first=False)
            for _ in range(2)
        ]
        process_lock = harness.context.calls.process_lock
        async with process_lock.shared():
            beside = calls[0]._may_begin()
            async with process_lock.exclusive():
                meanwhile = calls[1]._may_begin()

        assert (True, False) == (beside, meanwhile)
