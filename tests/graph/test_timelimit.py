"""The time limit that many calls share: who is cut off, when, and with what error."""

import asyncio

import pytest

from worker.graph.timelimit import TimeLimit

LONG_S = 60.0


async def wait_under(limit: TimeLimit, wait_s: float) -> None:
    """Wait in a block under a limit."""
    with limit.begin():
        await asyncio.sleep(wait_s)


def test_what_takes_too_long_is_cut_off_where_it_waits() -> None:
    """Those that were begun end as timed out, in their order; who is done in time does not."""

    async def scenario() -> list[str]:
        limit = TimeLimit(0.1)
        ended = list[str]()

        async def block(name: str, wait_s: float) -> None:
            try:
                await wait_under(limit, wait_s)
                ended.append(f"{name} done")
            except TimeoutError:
                ended.append(f"{name} cut off")

        async with asyncio.TaskGroup() as tasks:
            for name, wait_s in [("first", LONG_S), ("quick", 0.0), ("second", LONG_S)]:
                tasks.create_task(block(name, wait_s))
        return ended

    assert asyncio.run(scenario()) == ["quick done", "first cut off", "second cut off"]


def test_each_has_its_own_time() -> None:
    """A block that began later is over later, though there is one timer for both."""

    async def scenario() -> tuple[float, float]:
        limit, clock = TimeLimit(0.2), asyncio.get_running_loop().time

        async def ended_s() -> float:
            begun_s = clock()
            with pytest.raises(TimeoutError):
                await wait_under(limit, LONG_S)
            return clock() - begun_s

        early = asyncio.create_task(ended_s())
        await asyncio.sleep(0.1)
        late = asyncio.create_task(ended_s())
        return await early, await late

    assert min(asyncio.run(scenario())) >= 0.19  # a clock may be coarse


def test_it_is_used_again_and_again() -> None:
    """After all blocks have ended, the next is cut off as well."""

    async def scenario() -> None:
        limit = TimeLimit(0.05)
        for _ in range(3):
            await wait_under(limit, 0)
            with pytest.raises(TimeoutError):
                await wait_under(limit, LONG_S)
            await asyncio.sleep(0.06)

    asyncio.run(scenario())


def test_a_cancellation_stays_one() -> None:
    """Whoever cancels a task sees it cancelled, and a block that has ended cuts nobody off."""

    async def scenario() -> None:
        limit = TimeLimit(0.05)
        task = asyncio.create_task(wait_under(limit, LONG_S))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_under(limit, 0)
        await asyncio.sleep(0.1)

    asyncio.run(scenario())


def test_cancelled_while_it_is_cut_off_it_is_cancelled() -> None:
    """A task that is cancelled in the same moment does not mistake that for its time."""

    async def scenario() -> None:
        limit = TimeLimit(LONG_S)
        blocks = []

        async def waiting() -> None:
            with limit.begin() as block:
                blocks.append(block)
                await asyncio.sleep(LONG_S)

        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        blocks[0].cut_off()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    asyncio.run(scenario())


def test_an_error_in_a_block_comes_through() -> None:
    """What fails by itself is not renamed."""

    async def scenario() -> None:
        limit = TimeLimit(LONG_S)
        with pytest.raises(LookupError), limit.begin():
            raise LookupError
        limit.close()

    asyncio.run(scenario())


def test_closed_it_waits_for_nothing() -> None:
    """Nothing keeps the loop's timer once the calls are over."""

    async def scenario() -> None:
        limit = TimeLimit(0.01)
        with limit.begin():
            limit.close()
            await asyncio.sleep(0.05)

    asyncio.run(scenario())
