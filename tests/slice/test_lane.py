"""One mailbox's responses in order, a few at a time."""

import asyncio

import pytest

from jobs.ledger.forms.entries import Entry
from jobs.record import QUEUED
from jobs.rows.response import Action, Response
from tests.support.awaited import awaited
from worker.slice.lane import Lane, all_of


def entries(count: int) -> list[Entry]:
    """Make the responses of one mailbox."""
    return [
        Entry(row, Response(user="ada@c.com", event=f"E{row}", action=Action.DECLINE), QUEUED)
        for row in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "width", "expected"), [(9, 4, 4), (2, 4, 2), (0, 4, 0), (5, 1, 1)]
)
@awaited
async def test_a_lane_is_never_wider(count: int, width: int, expected: int) -> None:
    """All entries are answered in order, and never more at once than the lane is wide."""
    answered, most, now = list[object](), 0, 0

    async def answer(_: Lane, entry: Entry) -> None:
        nonlocal most, now
        answered.append(entry.row)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    lane = Lane("ada@c.com", entries(count), width)
    assert expected == lane.width
    changes = list[int]()
    await lane.walk(answer, changes.append)

    assert (list(range(count)), expected) == (answered, most)
    assert [-1] * expected == changes


@awaited
async def test_a_closed_lane_begins_nothing() -> None:
    """What is under way when a lane closes ends; what is ahead is not begun."""
    begun, ended = list[object](), list[object]()

    async def answer(lane: Lane, entry: Entry) -> None:
        begun.append(entry.row)
        if entry.row == 3:
            lane.close()
        await asyncio.sleep(0)
        ended.append(entry.row)

    changes = list[int]()
    await Lane("ada@c.com", entries(9), 2).walk(answer, changes.append)

    assert [0, 1, 2, 3] == begun == ended
    assert [-1, -1] == changes


@awaited
async def test_a_lane_tells_when_its_end_comes_into_sight() -> None:
    """As soon as nothing is ahead it wants fewer calls, not when the slowest has ended."""
    changes, slow = list[int](), asyncio.Event()

    async def answer(_: Lane, entry: Entry) -> None:
        if entry.row == 0:
            await slow.wait()

    walk = asyncio.create_task(Lane("ada@c.com", entries(9), 4).walk(answer, changes.append))
    await asyncio.sleep(0.01)
    assert [-1, -1, -1] == changes
    slow.set()
    await walk

    assert [-1] * 4 == changes


@awaited
async def test_a_lane_becomes_wider_with_what_is_added() -> None:
    """One entry that brings others in its place is one call, then as many as the lane is wide."""
    changes = list[int]()

    async def answer(lane: Lane, entry: Entry) -> None:
        if entry.row == 0:
            lane.add(entries(9)[1:])

    await Lane("ada@c.com", entries(1), 4).walk(answer, changes.append)

    assert [-1, 4, -1, -1, -1, -1] == changes


@awaited
async def test_an_error_cuts_nothing_off() -> None:
    """A walk that breaks is told only when the others have come to their end."""
    ended = list[object]()

    async def walk(number: int) -> None:
        if number == 0:
            raise ValueError(number)
        for _ in range(5):
            await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="0"):
        await all_of(walk(number) for number in range(3))
    assert [1, 2] == ended
