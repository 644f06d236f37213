"""Many selections that read at once share one room; none waits for another for ever."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.rows.choosing import Invitation, Kind
from jobs.rows.selection import Window
from worker.graph.page import Page, read_page
from worker.slice.calls.events_read import MAX_TEXTS, ROOM, EventsRead, ReadMemory

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


def test_when_the_memory_is_full_only_the_first_reads_on() -> None:
    """Then the first one reads on alone, and when it is done the next one does."""
    read_memory, readings = ReadMemory(), [EventsRead(WINDOW) for _ in range(3)]
    for reading in readings:
        read_memory.enter(reading)
    assert [True] * 3 == [read_memory.has_room(each) for each in readings]
    for number, reading in enumerate(readings):
        reading.take(page(number, ROOM // 2))
    assert [True, False, False] == [read_memory.has_room(each) for each in readings]
    read_memory.leave(readings[0])
    assert [True, False] == [read_memory.has_room(each) for each in readings[1:]]
    read_memory.leave(readings[1])
    assert read_memory.has_room(readings[2])


EVENT: dict[str, Any] = {
    "start": {"dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC"},
    "end": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
    "subject": "Weekly",
    "organizer": {"emailAddress": {"address": "olga@fabrikam.com"}},
}
FACE = "\N{GRINNING FACE}"
EVENTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "wide subjects": {"subject": f"{FACE}{{}}{1_000 * 'x'}"},
    "wide organizers": {"organizer": {"emailAddress": {"address": f"{FACE}{{}}{1_000 * 'x'}"}}},
    "odd": {"isAllDay": 1, "subject": f"{{}}{1_000 * 'x'}"},
    "odd, alike": {"isAllDay": 1, "subject": f"{1_000 * 'x'}"},
    "odd and wide": {"isAllDay": 1, "subject": f"{FACE}{{}}{1_000 * 'x'}"},
    "of a series": {"seriesMasterId": f"{{}}{1_000 * 'x'}", "type": "occurrence"},
}


def numbered(value: Any, number: int) -> Any:
    """Return a value with a number in each of its texts that has a place for it."""
    if isinstance(value, dict):
        return {key: numbered(each, number) for key, each in value.items()}
    return value.replace("{}", str(number)) if isinstance(value, str) else value


def pages(name: str, count: int) -> list[Page]:
    """Make pages with one event each."""
    event = EVENT | EVENTS[name]
    read = [read_page(numbered(event | {"id": f"{n:0150}"}, n)) for n in range(count)]
    return [each for each in read if each is not None]


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_kept_weighs_what_it_takes(name: str) -> None:
    """What is kept weighs what it takes, whatever it is."""
    reading = EventsRead(WINDOW)
    tracemalloc.start()
    for each in pages(name, 2_000):
        reading.take(each)
    del each
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken * 0.8 < reading.weight < taken * 2
    weight = reading.weight
    for each in pages(name, 2_000):
        reading.take(each)
    assert weight == reading.weight


@pytest.mark.parametrize("name", ["odd", "wide subjects"])
def test_nothing_is_kept_without_end(name: str) -> None:
    """Nothing is kept without an end, least of all what cannot be read."""
    reading = EventsRead(WINDOW)
    for each in pages(name, MAX_TEXTS // 1_000):
        reading.take(each)
    assert reading.overflows
