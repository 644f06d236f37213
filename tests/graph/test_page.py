"""A page of a calendar is read item by item, whatever stands on it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ledger.forms.found import pack_found, unpack_found
from jobs.rows.choosing import (
    Invitation,
    Item,
    Kind,
    Master,
    Unreadable,
    choose,
    series_within,
)
from jobs.rows.selection import Selection, Series, Window
from worker.graph.page import MAX_EVENTS, Page, read_page, read_showing

EVENT: dict[str, Any] = {
    "id": "AAMk/1+=",
    "type": "occurrence",
    "seriesMasterId": "AAMk",
    "subject": "Weekly",
    "start": {"dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC"},
    "end": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
    "isAllDay": False,
    "organizer": {"emailAddress": {"name": "Olga", "address": "Olga@Fabrikam.com"}},
    "attendees": [{"emailAddress": {"address": "ada@contoso.com"}}],
    "isOrganizer": False,
    "isCancelled": True,
    "responseRequested": False,
    "responseStatus": {"response": "accepted", "time": "2026-11-01T00:00:00Z"},
}

KEYS = ["dateTime", "timeZone", "response", "emailAddress", "address", "id"]

READ = Invitation(
    id="AAMk-1_=",
    kind=Kind.OCCURRENCE,
    series="AAMk",
    subject="Weekly",
    start=datetime(2026, 12, 1, 9, tzinfo=UTC),
    end=datetime(2026, 12, 1, 10, tzinfo=UTC),
    all_day=False,
    organizer="olga@fabrikam.com",
    is_organizer=False,
    is_cancelled=True,
    response_requested=False,
    response="accepted",
    alone=False,
)


def test_a_page_is_read_with_its_link() -> None:
    """Everything that choosing goes by is read, and the link to the next page as it is."""
    answer = {"value": [EVENT], "@odata.nextLink": "https://g/x?%24skip=3"}
    assert Page((READ,), "https://g/x?%24skip=3") == read_page(answer)
    assert Page((READ,), single=True) == read_page(EVENT)
    assert Page(()) == read_page({"value": []})


def read(item: object) -> Item:
    """Read an item as the only one of a page."""
    page = read_page({"value": [item]})
    assert page is not None
    (event,) = page.events
    return event


DEFAULT = Invitation(
    id=READ.id,
    kind=Kind.SINGLE,
    series=None,
    subject="",
    start=READ.start,
    end=READ.end,
    all_day=False,
    organizer="",
    is_organizer=False,
    is_cancelled=False,
    response_requested=True,
    response="none",
    alone=False,
)
NEEDED = ("id", "start", "end")


def test_what_graph_leaves_out() -> None:
    """What is absent or null has its documented default; nobody is taken to be alone for it."""
    assert DEFAULT == read({name: EVENT[name] for name in NEEDED})
    assert DEFAULT == read(dict.fromkeys(EVENT) | {name: EVENT[name] for name in NEEDED})
    empty = {"seriesMasterId": "", "responseStatus": {"response": None}, "organizer": {}}
    assert DEFAULT == read({name: EVENT[name] for name in NEEDED} | empty)


@pytest.mark.parametrize(("attendees", "alone"), [([], True), (None, False), ([{}], False)])
def test_only_an_empty_list_of_attendees_means_alone(attendees: object, alone: bool) -> None:  # noqa: FBT001  # what is expected
    """Only an empty list of attendees says that nobody is invited."""
    event = read(EVENT | {"attendees": attendees})
    assert isinstance(event, Invitation)
    assert alone is event.alone


ODD_VALUES: list[tuple[str, object]] = [
    ("start", None),
    ("end", None),
    ("end", {"dateTime": "9999-12-31T20:00:00", "timeZone": "Pacific Standard Time"}),
    ("start", {"dateTime": "soon"}),
    ("start", {"dateTime": 1}),
    ("start", "2026-12-01T09:00:00"),
    ("start", {"dateTime": "2026-12-01T09:00:00", "timeZone": "Middle-earth"}),
    ("start", {"dateTime": "2026-12-01T09:00:00", "timeZone": 1}),
    ("type", 1),
    ("type", "somethingNew"),
    ("type", "singleInstance"),  # of a series
    ("seriesMasterId", 7),
    ("seriesMasterId", "../me"),
    ("seriesMasterId", EVENT["id"]),
    ("subject", 7),
    ("subject", "a" * 2_049),
    ("isAllDay", "false"),
    ("isOrganizer", 0),
    ("isCancelled", []),
    ("responseRequested", "no"),
    ("responseStatus", "accepted"),
    ("responseStatus", {"response": 1}),
    ("organizer", "olga@fabrikam.com"),
    ("organizer", {"emailAddress": []}),
    ("organizer", {"emailAddress": {"address": 1}}),
    ("attendees", {}),
    ("attendees", [None]),
]


@pytest.mark.parametrize(("name", "value"), ODD_VALUES)
def test_an_odd_event_alone_is_unreadable(name: str, value: object) -> None:
    """An event with one value of the wrong kind is unreadable, and the others are read."""
    page = read_page({"value": [EVENT | {name: value}, EVENT | {"id": "other"}]})
    assert page is not None
    odd, other = page.events
    assert isinstance(odd, Unreadable)
    assert ("AAMk-1_=", "other") == (odd.id, other.id)
    assert isinstance(other, Invitation)
    assert {*odd.shown} - {None} <= {*READ.shown}


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        "e",
        [],
        {},
        EVENT | {"id": None},
        EVENT | {"id": 7},
        EVENT | {"id": ""},
        EVENT | {"id": "../me"},
        EVENT | {"id": "a" * 1_025},
        {"start": EVENT["start"]},
    ],
)
def test_an_event_without_an_id_gets_a_stable_name(item: object) -> None:
    """It gets a name that is no id of Outlook, the same on every page, another for another one."""
    page = read_page({"value": [item, EVENT, item, {"another": "one"}]})
    again = read_page({"value": [{"another": "one"}, item, item]})
    assert page is not None
    assert again is not None
    first, event, second, another = [each.id for each in page.events]
    assert [another, first, second] == [each.id for each in again.events]
    assert READ.id == event
    assert 3 == len({first, second, another})
    assert all(name.startswith("~unreadable~") for name in (first, second, another))


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)
events = st.dictionaries(st.sampled_from(list(EVENT)), values).map(lambda odd: EVENT | odd)


@settings(max_examples=50)
@given(st.lists(values | events), st.sampled_from(Series))
def test_nothing_raises(items: list[Any], series: Series) -> None:
    """Whatever stands on a page, each item is read or told, and what is read can be chosen from."""
    page = read_page({"value": items})
    assert page is not None
    assert len(items) == len(page.events)
    window = Window(READ.start, READ.end)
    asked = Selection.from_json(
        {"user": "ada@contoso.com", "events": {"series": series}, "action": "decline"}
    )
    masters: dict[str, Master] = {}
    for number, name in enumerate(series_within(page.events, asked, window)):
        masters[name] = [None, Unreadable(name), READ][number % 3]
    found = choose(page.events, masters, asked, window)
    assert {e.id for e in page.events if isinstance(e, Unreadable)} <= {f.event for f in found} | {
        e.id for e in page.events if isinstance(e, Invitation)
    }
    assert found == unpack_found(pack_found(found))
    assert all(each.response(asked) for each in found)


def test_deep_nesting_makes_one_odd_item() -> None:
    """An item that is nested as deeply as JSON may be is one odd item."""
    deep: object = 1
    for _ in range(900):
        deep = [deep]
    assert isinstance(read(deep), Unreadable)
    assert isinstance(read(EVENT | {"subject": deep}), Unreadable)


@pytest.mark.parametrize("zone", ["UTC", "utc", "tzone://Microsoft/Utc", "", None])
def test_utc_is_understood_in_every_spelling(zone: str | None) -> None:
    """Graph says UTC in several ways, or not at all."""
    assert read(EVENT | {"start": EVENT["start"] | {"timeZone": zone}}) == READ


def test_times_of_other_zones_are_the_moment_they_say() -> None:
    """A time in another zone, or with an offset of its own, is the moment that it says."""
    for time in (
        {"dateTime": "2026-12-01T01:00:00", "timeZone": "Pacific Standard Time"},
        {"dateTime": "2026-12-01T11:00:00+02:00", "timeZone": "UTC"},
    ):
        assert read(EVENT | {"start": time}) == READ


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"value": None},
        {"value": {}},
        {"value": None, "id": "e"},
        {"value": [EVENT], "@odata.nextLink": 7},
    ],
)
def test_a_page_that_is_none(answer: dict[str, Any]) -> None:
    """What has no list of events, or no link where one is said to be, is no page."""
    assert read_page(answer) is None


def test_a_page_that_is_too_long() -> None:
    """A page is read no further than a selection would go."""
    page = read_page({"value": [None] * (MAX_EVENTS + 1_000)})
    assert page is not None
    assert MAX_EVENTS + 1 == len(page.events)


def test_a_look_shows_what_it_was_asked_for() -> None:
    """A look tells a person what it saw, as far as it was asked for."""
    asked = {key: EVENT[key] for key in ("subject", "start", "organizer", "responseStatus")}
    assert ("Weekly", "2026-12-01T09:00:00Z", "olga@fabrikam.com") == read_showing(asked)
    assert (None, None, None) == read_showing({"responseStatus": {"response": "none"}})
    assert ("Weekly", None, None) == read_showing(asked | {"start": 7, "organizer": 7})
