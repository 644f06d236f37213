"""A selection keeps its rules, is the same however it is written, and makes checked responses."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.rows.response import Action, Response
from jobs.rows.selection import DEFAULT_DAYS, MAX_DAYS, Events, Selection, Series, Window

ROW: dict[str, Any] = {"user": "ada@contoso.com", "events": {}, "action": "decline"}
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
OSLO = timezone(timedelta(hours=1))


def selection(events: dict[str, Any] | None = None, **changes: Any) -> Selection:
    """Return the selection that ROW with changes is."""
    return Selection.from_json(ROW | {"events": events or {}} | changes)


def window(**events: Any) -> Window:
    """Return the window of these events, as it is at NOW."""
    return selection({name.strip("_"): value for name, value in events.items()}).events.window(NOW)


def test_the_canonical_form_has_a_fixed_order_and_no_absent_fields() -> None:
    """However a selection came about, its canonical form is the same bytes."""
    shuffled = {
        "ifNotRequested": "skip",
        "action": "tentative",
        "comment": "",
        "user": "Ada@contoso.com",
        "events": {"organizer": ["B@c.d", "@a.b", "b@c.d"], "to": "2027-01-01T00:00+00:00"},
    }

    assert (
        b'{"user":"Ada@contoso.com","events":{"from":"now","to":"2027-01-01T00:00:00Z",'
        b'"series":"whole","organizer":["@a.b","b@c.d"]},"action":"tentativelyAccept",'
        b'"sendResponse":true,"ifNotRequested":"skip"}'
    ) == Selection.from_json(shuffled).to_json()
    assert (
        b'{"user":"ada@contoso.com","events":{"from":"now","series":"whole"},"action":"decline",'
        b'"sendResponse":true}'
    ) == selection().to_json()


def test_a_full_selection_survives_the_ledger() -> None:
    """Every field comes back from canonical JSON as it went in."""
    full = Selection(
        user="ada@contoso.com",
        events=Events(
            from_="2026-12-01T00:00+01:00",
            to="now",
            series=Series.OCCURRENCES,
            organizer=("external", "@contoso.com"),
            subject="Stra\u00dfe \U0001f642",
        ),
        action=Action.TENTATIVELY_ACCEPT,
        send_response=False,
        if_not_requested="skip",
        calendar="AAMkCal=",
        calendar_group="AAMkGrp=",
    )

    assert full == Selection.from_json(full.to_json())
    assert "ada@contoso.com" == full.mailbox


def test_a_window_begins_now_and_is_two_years_long() -> None:
    """What is not said of a window is what an administrator means."""
    assert Window(NOW, NOW + timedelta(days=DEFAULT_DAYS)) == window()
    assert Window(NOW, NOW + timedelta(days=DEFAULT_DAYS)) == window(from_="NOW")


def test_a_window_keeps_the_offset_that_was_given() -> None:
    """What an administrator wrote in their own time stays in it; `now` is UTC wherever it is."""
    start, end = datetime(2027, 1, 1, tzinfo=OSLO), datetime(2027, 2, 1, tzinfo=UTC)
    found = window(from_="2027-01-01T00:00+01:00", to="2027-02-01T00:00Z")
    present = selection().events.window(NOW.astimezone(OSLO)).start

    assert Window(start, end) == found
    assert [timedelta(hours=1), timedelta(0), timedelta(0)] == [
        each.utcoffset() for each in (found.start, found.end, present)
    ]


@pytest.mark.parametrize("days", [0, -1, MAX_DAYS + 1 / 86_400])
def test_what_is_no_window_or_too_long_is_refused(days: float) -> None:
    """A window ends after its beginning, and by Graph's limit."""
    with pytest.raises(ValueError, match=r"must come after from|1,826 days after from"):
        window(to=(NOW + timedelta(days=days)).isoformat())


def test_the_longest_window_is_taken() -> None:
    """Graph's limit itself is allowed."""
    end = NOW + timedelta(days=MAX_DAYS)

    assert Window(NOW, end) == window(to=end.isoformat())


def test_a_window_that_ends_now_can_look_back() -> None:
    """`now` may be the end; what it is relative to is the moment when it is asked."""
    assert Window(NOW - timedelta(days=1), NOW) == window(
        from_=(NOW - timedelta(days=1)).isoformat(), to="now"
    )


SAME: list[dict[str, Any]] = [
    {},
    {"events": {"from": "NOW", "series": "whole"}},
    {"action": "tentative", "comment": "x", "user": "Ada@contoso.com", "ifNotRequested": "skip"},
]
OTHER: list[dict[str, Any]] = [
    {"events": {"from": "2027-01-01T00:00Z"}},
    {"events": {"to": "2027-01-01T00:00Z"}},
    {"events": {"series": "occurrences"}},
    {"events": {"organizer": "@contoso.com"}},
    {"events": {"organizer": "a@contoso.com"}},
    {"events": {"subject": "x"}},
    {"calendar": "AAMk"},
    {"calendar": "default"},
    {"calendar": "AAMk", "calendarGroup": "AAMk"},
]


def test_what_selects_the_same_has_the_same_target() -> None:
    """Two selections conflict by what they select, whatever they say; no target is an event's."""
    targets = [Selection.from_json(ROW | each).target for each in [*SAME, *OTHER]]
    cases = {selection({"subject": text}).target for text in ("Weekly", "WEEKLY")}

    assert [targets[0]] * len(SAME) == targets[: len(SAME)]
    assert 1 + len(OTHER) == len(set(targets))
    assert 1 == len(cases)
    assert all(each.startswith("?") and " " not in each for each in targets)
    with pytest.raises(ValidationError):
        Response.from_json({"user": "a@b.c", "event": targets[0], "action": "decline"})


def test_a_found_event_is_answered_as_the_row_says() -> None:
    """The response for a found event has all that the row asks for, and the row's calendar."""
    asked: dict[str, Any] = {"comment": "x", "calendar": "C", "calendarGroup": "G"}
    expected = {"user": "ada@contoso.com", "event": "a-b", "action": "decline", **asked}

    assert Response.from_json(expected) == selection(**asked).response("a/b", quiet=False)


def test_a_quiet_response_sends_no_mail() -> None:
    """Where the organizer wants no response, there is neither a mail nor a comment."""
    expected = {"user": "ada@contoso.com", "event": "E", "action": "decline", "sendResponse": False}
    quiet = [
        selection(comment="x").response("E", quiet=True),
        selection(sendResponse=False).response("E", quiet=True),
        selection(sendResponse=False).response("E", quiet=False),
    ]

    assert [Response.from_json(expected)] * 3 == quiet


def test_a_found_event_cannot_address_another_path() -> None:
    """An id that no event has is refused, wherever it was found."""
    with pytest.raises(ValidationError):
        selection().response("../messages", quiet=False)


@settings(deadline=None)
@given(st.text(max_size=20) | st.from_regex(r"[a-z ]{0,3}@[a-z.@]{0,5}", fullmatch=True))
def test_an_organizer_is_a_word_an_address_or_a_domain(text: str) -> None:
    """Whatever is taken for an organizer can be compared with an address as Graph shows it."""
    try:
        (found,) = selection({"organizer": text}).events.organizer
    except ValidationError:
        return

    assert found == text.casefold()
    assert found in {"internal", "external"} or 2 == len(found.split("@"))
    assert not found.endswith("@")
    assert " " not in found


def test_organizers_by_domain_need_a_user_with_one() -> None:
    """Who is internal is told by the user's domain; an object id has none."""
    user = "6f1c0b1e-3f0a-4c59-9d3e-0a8f5d1c2b3a"
    for organizer in ("internal", "External"):
        with pytest.raises(ValidationError, match="give the user principal name"):
            selection({"organizer": organizer}, user=user)

    assert user == selection({"organizer": "@contoso.com"}, user=user).user


@pytest.mark.parametrize("text", ["a\ud800@b.c", "a\u200b@b.c", "a@b.c\n", "@" + "x" * 320])
def test_an_organizer_is_printable_and_short(text: str) -> None:
    """What no address holds is refused."""
    with pytest.raises(ValidationError):
        selection({"organizer": text})


def test_errors_never_repeat_a_comment() -> None:
    """What an administrator wrote to people does not turn up in a message."""
    with pytest.raises(ValidationError) as caught:
        selection({"subject": "secret" * 99}, comment="secret\0", x="secret")

    assert "secret" not in str(caught.value)
