"""Which events a selection answers: pure choosing, out of what a calendar shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.outcome import Ending, Outcome, Reason
from jobs.rows.choosing import (
    UNREADABLE,
    Invitation,
    Item,
    Kind,
    Unreadable,
    choose,
    series_within,
    widened,
)
from jobs.rows.selection import Selection, Window

DAY = datetime(2026, 12, 1, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=10))
HOUR = timedelta(hours=1)


def selection(user: str = "ada@contoso.com", **events: Any) -> Selection:
    """Make a selection of declines."""
    return Selection.from_json({"user": user, "events": events, "action": "decline"})


def invitation(name: str = "e", day: float = 1, **changes: Any) -> Invitation:
    """Make an invitation of one hour."""
    start = DAY + timedelta(days=day)
    standard = Invitation(
        id=name,
        kind=Kind.SINGLE,
        series=None,
        subject="Budget",
        start=start,
        end=start + HOUR,
        all_day=False,
        organizer="olga@fabrikam.com",
        is_organizer=False,
        is_cancelled=False,
        response_requested=True,
        response="notResponded",
        alone=False,
    )
    return replace(standard, **changes)


def of_series(name: str, day: float, kind: Kind = Kind.OCCURRENCE, **changes: Any) -> Invitation:
    """Make an event of the series `m`."""
    return invitation(name, day, kind=kind, series="m", **changes)


def chosen(*events: Item, **wanted: Any) -> list[str]:
    """Return the ids that are found."""
    return [found.event for found in choose(events, {}, selection(**wanted), WINDOW)]


@pytest.mark.parametrize(
    ("day", "found"),
    [(-1, False), (-1 / 24, False), (-0.5 / 24, True), (0, True), (9.99, True), (10, False)],
)
def test_what_touches_the_window_is_found(day: float, found: bool) -> None:  # noqa: FBT001  # what is expected
    """What touches the window is found; what ends where it begins, or begins where it ends, not."""
    assert (["e"] if found else []) == chosen(invitation(day=day))


def test_an_event_without_length_is_found_where_it_starts() -> None:
    """An event that ends when it starts is found where it starts."""
    assert ["e"] == chosen(invitation(day=0, end=DAY))


@pytest.mark.parametrize(("offset_h", "found"), [(-8, ["d1"]), (0, []), (9, [])])
def test_days_are_those_of_the_window(offset_h: int, found: list[str]) -> None:
    """A whole day is compared on the calendar of whoever wrote the window."""
    start = datetime.fromisoformat("2026-12-02T01:00:00+00:00")
    zone = datetime.fromisoformat(f"2026-12-01T00:00:00{offset_h:+03}:00").tzinfo
    window = Window(start.astimezone(zone), start.astimezone(zone) + HOUR)
    event = invitation("d1", 0, all_day=True, end=DAY + timedelta(days=1))
    assert found == [each.event for each in choose([event], {}, selection(), window)]
    asked = widened(window)
    assert asked.start < event.end
    assert asked.end > event.start


def master(**changes: Any) -> Invitation:
    """Make the series `m` itself, which begins before the window."""
    return invitation("m", -20, kind=Kind.MASTER, subject="Weekly", **changes)


def test_a_series_is_answered_once() -> None:
    """Of a series in the window the master is answered, and the master says what it is."""
    events = [
        of_series("m.0", -1, subject="Last week"),
        of_series("m.1", 1, Kind.EXCEPTION, subject="Moved", is_cancelled=True),
        of_series("m.2", 8, subject="Next week"),
    ]
    (found,) = choose(events, {"m": master()}, selection(subject="weekly"), WINDOW)
    assert ("m", None, ("Weekly", "2026-12-02T00:00:00Z", "olga@fabrikam.com")) == (
        found.event,
        found.ending,
        found.shown,
    )
    assert ["m"] == series_within(events, selection(), WINDOW)
    assert [] == series_within(events, selection(series="occurrences"), WINDOW)


def test_the_master_decides() -> None:
    """Whether a series is meant, and may be answered, is its master's to say."""
    own = {"m": master(is_organizer=True)}
    (found,) = choose([of_series("m.1", 1)], own, selection(), WINDOW)
    assert Ending(Outcome.SKIPPED, Reason.ORGANIZER) == found.ending
    assert [] == choose([of_series("m.1", 1)], own, selection(subject="Budget"), WINDOW)


def test_orphans_stand_by_themselves() -> None:
    """When the master is gone, each event of the window is answered, one after the other."""
    events = [
        of_series("m.0", -1),
        of_series("m.1", 1),
        invitation("e", 2),
        of_series("m.2", 8, Kind.EXCEPTION),
    ]
    found = choose(events, {"m": None}, selection(), WINDOW)
    assert [("m.1", "m"), ("e", None), ("m.2", "m")] == [(f.event, f.series) for f in found]


def test_a_master_that_cannot_be_read() -> None:
    """It is a line of its own, once, with what its first event shows; nothing of it is answered."""
    events = [of_series("m.1", 1), of_series("m.2", 8), invitation("e", 2)]
    for series in ("m", "another"):
        found = choose(events, {"m": Unreadable(series)}, selection(), WINDOW)
        assert [("e", None), ("m", UNREADABLE)] == [(f.event, f.ending) for f in found]
        assert ("Budget", "2026-12-02T00:00:00Z", "olga@fabrikam.com") == found[1].shown


def test_what_cannot_be_read_is_told() -> None:
    """It comes last, once, and no filter leaves it out; the latest page says how an event is."""
    odd = Unreadable("odd", ("Lunch", None, None))
    events: list[Item] = [
        odd,
        invitation("e", 1),
        invitation("later-odd", 2),
        odd,
        Unreadable("later-odd"),
    ]
    found = choose(events, {}, selection(organizer="external"), WINDOW)
    assert [("e", None), ("odd", UNREADABLE), ("later-odd", UNREADABLE)] == [
        (each.event, each.ending) for each in found
    ]
    assert [UNREADABLE] * 2 == [each.planned().ending for each in found[1:]]
    assert ["odd"] == chosen(Unreadable("odd"), invitation("odd", 30), Unreadable("odd"))


@pytest.mark.parametrize("kind", [Kind.MASTER, Kind.SINGLE])
def test_a_whole_series_is_not_answered_for_one_occurrence(kind: Kind) -> None:
    """An answer to it would reach occurrences that nobody selected, so it is none that is sent."""
    events = [invitation("m", 1, kind=kind), of_series("m.1", 2)]
    found = choose(events, {}, selection(series="occurrences"), WINDOW)
    assert [("m.1", None), ("m", UNREADABLE)] == [(each.event, each.ending) for each in found]
    assert ["m"] == chosen(invitation("m", 1, kind=Kind.MASTER))


def test_a_series_outside_the_window_is_left_alone() -> None:
    """A series with no occurrence in the window is left alone, and its master is not read."""
    events = [of_series("m.0", -2, Kind.EXCEPTION), of_series("m.9", 12)]
    assert ([], []) == (chosen(*events), series_within(events, selection(), WINDOW))


def test_occurrences_are_found_by_themselves() -> None:
    """Each occurrence in the window is found; those of a series are told to be of one."""
    events = [of_series("m.0", -2), of_series("m.1", 1), of_series("m.2", 2, Kind.EXCEPTION)]
    found = choose([*events, invitation()], {}, selection(series="occurrences"), WINDOW)
    assert [("m.1", "m"), ("e", None), ("m.2", "m")] == [(f.event, f.series) for f in found]


PASSED_OVER: list[tuple[dict[str, Any], tuple[Outcome, Reason | None] | None]] = [
    ({}, None),
    ({"alone": True, "is_organizer": True}, (Outcome.SKIPPED, Reason.NO_ATTENDEES)),
    ({"alone": True, "organizer": "ada@contoso.com"}, (Outcome.SKIPPED, Reason.NO_ATTENDEES)),
    ({"alone": True, "organizer": ""}, (Outcome.SKIPPED, Reason.NO_ATTENDEES)),
    ({"alone": True}, None),
    ({"is_organizer": True, "is_cancelled": True}, (Outcome.SKIPPED, Reason.ORGANIZER)),
    ({"is_cancelled": True, "response": "declined"}, (Outcome.SKIPPED, Reason.CANCELLED)),
    ({"response": "declined"}, (Outcome.ALREADY, None)),
    ({"response": "tentativelyAccepted"}, None),
    ({"response": "accepted"}, None),
    ({"response_requested": False}, None),
]


@pytest.mark.parametrize(("shown", "ending"), PASSED_OVER)
def test_what_must_not_be_answered_ends_at_once(
    shown: dict[str, Any], ending: tuple[Outcome, Reason | None] | None
) -> None:
    """What must not be answered has its end at once, with the first reason there is."""
    (found,) = choose([invitation(**shown)], {}, selection(), WINDOW)
    assert (ending and Ending(*ending)) == found.ending
    assert found.quiet is (shown.get("response_requested") is False)


def test_who_wants_no_answer_can_be_skipped() -> None:
    """With `ifNotRequested` skip nothing is sent to who wants no answer."""
    row = {"user": "a@c.com", "events": {}, "action": "decline", "ifNotRequested": "skip"}
    events = [invitation(response_requested=False)]
    (found,) = choose(events, {}, Selection.from_json(row), WINDOW)
    assert Ending(Outcome.SKIPPED, Reason.NOT_REQUESTED) == found.ending


@pytest.mark.parametrize(
    ("organizer", "wanted", "found"),
    [
        ("olga@fabrikam.com", "external", True),
        ("olga@fabrikam.com", "internal", False),
        ("grace@contoso.com", "internal", True),
        ("grace@mail.contoso.com", "internal", False),
        ("/o=exchangelabs/cn=grace", "internal", True),
        ("olga@fabrikam.com", "@fabrikam.com", True),
        ("olga@notfabrikam.com", "@fabrikam.com", False),
        ("olga@fabrikam.com", ["x@y.com", "OLGA@fabrikam.com"], True),
    ],
)
def test_an_organizer_is_meant_by_address_domain_or_side(
    organizer: str,
    wanted: object,
    found: bool,  # noqa: FBT001  # what is expected
) -> None:
    """An organizer is meant by address, by domain, or as inside or outside the user's own."""
    assert found is bool(chosen(invitation(organizer=organizer), organizer=wanted))


def test_an_event_on_two_pages_is_found_once() -> None:
    """An event that two pages show is found once, in the order of the starts."""
    late, early = invitation("late", 5), invitation("early", 2)
    assert ["early", "late"] == chosen(late, early, late)


def test_the_ends_of_time() -> None:
    """A window at the end of the calendar is asked for as far as there is one."""
    last = datetime(9999, 12, 31, 12, tzinfo=UTC)
    assert Window(last - timedelta(days=1), last) == widened(Window(last, last))


def test_what_is_kept_of_what_was_found() -> None:
    """A subject is kept for plans only, where what would be sent has ended."""
    found = choose([invitation(), invitation("own", 3, is_organizer=True)], {}, selection(), WINDOW)
    assert [None] * 2 == [each.discreet().shown[0] for each in found]
    planned, own = Ending(Outcome.PLANNED), Ending(Outcome.SKIPPED, Reason.ORGANIZER)
    assert [planned, own] == [each.planned().ending for each in found]
