"""Many selections that read at once share one room; none waits for another for ever."""

from datetime import UTC, datetime, timedelta

from jobs.choosing import Invitation, Kind
from jobs.selection import Window
from worker.harvest import ROOM, Barn, Harvest
from worker.page import Page

NOW = datetime(2026, 12, 1, tzinfo=UTC)
WINDOW = Window(NOW, NOW + timedelta(days=1))


def page(number: int, length: int) -> Page:
    """Make a page with one event, whose id has a length."""
    event = Invitation(
        id=f"{number}".ljust(length, "x"),
        kind=Kind.SINGLE,
        series=None,
        subject="",
        start=NOW,
        end=NOW + timedelta(hours=1),
        all_day=False,
        organizer="olga@fabrikam.com",
        is_organizer=False,
        is_cancelled=False,
        response_requested=True,
        response="none",
        alone=False,
    )
    return Page((event,))


def test_a_barn_that_is_full() -> None:
    """Then the first one reads on alone, and when it is done the next one does."""
    barn, harvests = Barn(), [Harvest(WINDOW) for _ in range(3)]
    for harvest in harvests:
        barn.enter(harvest)
    assert [True] * 3 == [barn.has_room(each) for each in harvests]
    for number, harvest in enumerate(harvests):
        harvest.take(page(number, ROOM // 2))
    assert [True, False, False] == [barn.has_room(each) for each in harvests]
    barn.leave(harvests[0])
    assert [True, False] == [barn.has_room(each) for each in harvests[1:]]
    barn.leave(harvests[1])
    assert barn.has_room(harvests[2])
