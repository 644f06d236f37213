"""One mailbox's responses in order, a few at a time."""

import asyncio

import pytest
from awaited import awaited

from jobs.ledger.entries import Entry
from jobs.record import QUEUED
from jobs.response import Action, Response
from worker.lane import Lane, all_of


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
    await lane.walk(answer)

    assert (list(range(count)), expected) == (answered, most)


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

    await Lane("ada@c.com", entries(9), 2).walk(answer)

    assert [0, 1, 2, 3] == begun == ended


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
