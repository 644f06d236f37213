"""One response keeps its rules by itself, and can never address another path."""

import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.rows.response import Action, LocalTime, Response, TimeSlot
from jobs.rows.timezones import find_zone

OBJECT_ID = "6f1c0b1e-3f0a-4c59-9d3e-0a8f5d1c2b3a"
ROW: dict[str, Any] = {"user": "ada@contoso.com", "event": "AAMkAGI2", "action": "decline"}


def slot(
    start: str = "2026-12-02T18:00:00",
    end: str = "2026-12-02T19:00:00",
    zone: str = "Pacific Standard Time",
    end_zone: str | None = None,
) -> dict[str, Any]:
    """Return a time slot."""
    return {
        "start": {"dateTime": start, "timeZone": zone},
        "end": {"dateTime": end, "timeZone": end_zone or zone},
    }


def complaints(**changes: Any) -> dict[str, str]:
    """Return what is said of ROW with `changes`, by field."""
    with pytest.raises(ValidationError) as caught:
        Response.from_row(ROW | changes)
    return {
        ".".join(map(str, error["loc"])): str(error.get("ctx", {}).get("error", error["type"]))
        for error in caught.value.errors()
    }


def test_canonical_form_has_a_fixed_order_and_no_absent_fields() -> None:
    """However a response came about, its canonical form is the same bytes."""
    shuffled = {"action": "tentative", "comment": "", "event": "a/b+c=", "user": "Ada@contoso.com"}

    assert (
        Response.from_json(shuffled).to_json()
        == b'{"user":"Ada@contoso.com","event":"a-b_c=","action":"tentativelyAccept",'
        b'"sendResponse":true}'
    )


def test_a_full_response_survives_the_ledger() -> None:
    """Every field comes back from canonical JSON as it went in."""
    response = Response(
        user=OBJECT_ID,
        event="AAMkAGI2",
        action=Action.TENTATIVELY_ACCEPT,
        comment="Späť o 5 minút\n🙂",
        proposed_new_time=TimeSlot(
            start=LocalTime(date_time="2026-12-02T18:00", time_zone="Europe/Oslo"),
            end=LocalTime(date_time="2026-12-02T18:30:00.0000000", time_zone="UTC"),
        ),
        calendar="AAMkCal=",
        calendar_group="AAMkGrp=",
    )

    assert response == Response.from_json(response.to_json())


def test_mailbox_ignores_letter_case() -> None:
    """One mailbox is one mailbox, however its name is written."""
    assert Response.from_json(ROW | {"user": "ADA@Contoso.com"}).mailbox == "ada@contoso.com"


def test_the_target_is_the_event() -> None:
    """What two responses of a mailbox must not both answer is the event."""
    assert "a-b" == Response.from_json(ROW | {"event": "a/b"}).target


@pytest.mark.parametrize(
    "user",
    [OBJECT_ID, OBJECT_ID.upper(), "o'brien@contoso.com", "g_x.com#EXT#@contoso.onmicrosoft.com"],
)
def test_object_ids_and_principal_names_are_users(user: str) -> None:
    """Both kinds of name are taken, those of guests included."""
    assert user == Response.from_json(ROW | {"user": user}).user


@pytest.mark.parametrize(
    ("user", "part"),
    [
        ("", "is neither an object id"),
        ("me", "an application has no 'me'"),
        ("ME", "an application has no 'me'"),
        ("ada", "is neither an object id"),
        ("@contoso.com", "is neither an object id"),
        ("ada@", "is neither an object id"),
        ("a@b@c", "is neither an object id"),
        ("..", "is neither an object id"),
        ("ada@contoso.com/events", "holds '/events' beside an address"),
        ("ada@contoso.com\\x", "beside an address"),
        ("ada@contoso.com?x", "give the object id"),
        ("ada%40contoso.com", "did you mean ada@contoso.com?"),
        (" ada@contoso.com", "did you mean ada@contoso.com?"),
        ("ada@contoso.com\n", "did you mean ada@contoso.com?"),
        ("ada\u200b@contoso.com", "did you mean ada@contoso.com?"),
        ("ada\udce9@contoso.com", "is not UTF-8"),
        ("$7ada@contoso.com", "begins with $"),
        ("a" * 320 + "@b", "320 are allowed"),
        (OBJECT_ID + "0", "is neither an object id"),
        (7, "string_type"),
    ],
)
def test_what_is_no_user_is_refused(user: object, part: str) -> None:
    """Whatever cannot be a user in a path is refused, with the reason."""
    assert part in complaints(user=user)["user"]


@pytest.mark.parametrize("field", ["event", "calendar", "calendarGroup"])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        (".", "is not an id"),
        ("..", "is not an id"),
        ("a" * 1025, "1024 are allowed"),
        ("a%2Fb", "'%'"),
        ("a?b", "'?'"),
        ("a#b", "'#'"),
        ("a\\b", "'\\\\'"),
        ("a b", "' '"),
        ("a\nb", "'\\n'"),
        ("a\n", "did you mean a?"),
        ("aé", "'\\xe9'"),
        ("a\udce9", "is not UTF-8"),
    ],
)
def test_what_could_leave_its_segment_is_no_id(field: str, text: str, part: str) -> None:
    """Every id that stands in a path has the same letters and no others."""
    changes = {"calendar": "AAMkCal="} | {field: text}

    assert part in complaints(**changes)[field]


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_=.~/+-]{1,30}", fullmatch=True))
def test_an_accepted_id_is_one_segment_of_a_path(text: str) -> None:
    """Whatever string is accepted, quoting it gives one segment, and that segment gives it back."""
    try:
        event = Response.from_json(ROW | {"event": text}).event
    except ValidationError:
        return
    path = urlsplit(f"https://graph.example/v1.0/users/u/events/{quote(event, safe='')}/decline")

    assert ["", "v1.0", "users", "u", "events", event, "decline"] == [
        unquote(segment) for segment in path.path.split("/")
    ]
    assert event not in {".", ".."}
    assert (path.query, path.fragment) == ("", "")


@settings(deadline=None)
@given(st.from_regex(r"[^@]{1,8}@[^@]{1,8}", fullmatch=True) | st.emails())
def test_an_accepted_user_is_one_segment_of_a_path(text: str) -> None:
    """Whatever user is accepted, quoting it gives one segment, and that segment gives it back."""
    try:
        user = Response.from_json(ROW | {"user": text}).user
    except ValidationError:
        return
    path = urlsplit(f"https://graph.example/v1.0/users/{quote(user, safe='')}/events")

    assert ["", "v1.0", "users", user, "events"] == [unquote(s) for s in path.path.split("/")]
    assert re.fullmatch(r"[^\s/\\?%]+", user)


def test_the_default_calendar_is_known_in_any_case() -> None:
    """`default` is a word, not an id."""
    assert Response.from_json(ROW | {"calendar": "Default"}).calendar == "default"


@pytest.mark.parametrize("calendar", [None, "default"])
def test_a_calendar_group_needs_a_calendar_id(calendar: str | None) -> None:
    """Graph has no path from a group to an event without the calendar between them."""
    changes = {"calendarGroup": "AAMkGrp="} | ({"calendar": calendar} if calendar else {})

    assert (complaints(**changes)) == {
        "calendarGroup": "needs a calendar id in calendar; add it or drop the group"
    }


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (
            "Decline",
            "must be decline or tentativelyAccept, not 'Decline'; did you mean decline?",
        ),
        (
            "tentativelyAcept",
            (
                "must be decline or tentativelyAccept, not 'tentativelyAcept'; "
                "did you mean tentativelyAccept?"
            ),
        ),
        (
            "accept",
            "must be decline or tentativelyAccept; bulkrsvp does not send 'accept'",
        ),
        ("xyz", "must be decline or tentativelyAccept, not 'xyz'"),
        (1, "must be decline or tentativelyAccept"),
    ],
)
def test_an_unknown_action_names_the_nearest(action: object, text: str) -> None:
    """The two actions and the short form are all; anything else is refused with a hint."""
    assert {"action": text} == complaints(action=action)


def test_a_comment_is_measured_in_bytes() -> None:
    """8,192 bytes of UTF-8 are a comment, one more is none."""
    assert Response.from_json(ROW | {"comment": "é" * 4096}).comment == "é" * 4096
    assert (complaints(comment="é" * 4096 + "x")) == {
        "comment": "has 8193 bytes of UTF-8, and 8192 are allowed"
    }


@pytest.mark.parametrize("comment", ["a\0b", "a\ud800b", 7])
def test_a_comment_is_text(comment: object) -> None:
    """What cannot be written as text is no comment."""
    assert list(complaints(comment=comment)) == ["comment"]


def test_silence_cannot_carry_a_message() -> None:
    """Without a mail to the organizer there is neither comment nor proposal."""
    assert complaints(sendResponse=False, comment="x") == {
        "sendResponse": "must not be false with a comment: Graph refuses it; drop one of them"
    }
    assert complaints(sendResponse=False, proposedNewTime=slot()) == {
        "proposedNewTime": "needs sendResponse true: Graph refuses it else; drop one of them"
    }
    assert Response.from_json(ROW | {"sendResponse": False, "comment": ""}).send_response is False


@pytest.mark.parametrize("told", ["true", 1, None])
def test_send_response_is_a_boolean(told: object) -> None:
    """JSON has booleans; nothing else is taken for one."""
    assert complaints(sendResponse=told) == {"sendResponse": "bool_type"}


@pytest.mark.parametrize(
    ("changed", "place", "part"),
    [
        (slot(start="2026-12-02T18:00:00Z"), "start.dateTime", "without an offset"),
        (slot(start="2026-12-02T18:00:00+01:00"), "start.dateTime", "without an offset"),
        (slot(start="2026-12-02"), "start.dateTime", "is not YYYY-MM-DD"),
        (slot(start="2026-12-02 18:00"), "start.dateTime", "is not YYYY-MM-DD"),
        (slot(start="2026-02-29T18:00"), "start.dateTime", "not in the calendar"),
        (slot(start="2026-12-02T24:01"), "start.dateTime", "not in the calendar"),
        (slot(end="2026-12-02T18:00:00"), "end", "must come after the start"),
        (slot(end="2026-12-02T17:00:00"), "end", "must come after the start"),
        (slot(end_zone="UTC"), "end", "must come after the start"),
        (slot(start="0001-01-01T00:00", zone="Asia/Tokyo"), "end", "cannot be used"),
        (slot(zone="europe/oslo"), "start.timeZone", "did you mean Europe/Oslo?"),
        (slot(zone="qqq"), "start.timeZone", "give the zone of a city"),
        (slot(zone="../../etc/passwd"), "start.timeZone", "is neither a Windows nor"),
        ({"start": slot()["start"]}, "end", "missing"),
        (slot() | {"middle": 1}, "middle", "extra_forbidden"),
        (slot() | {"start": {"date_time": "2026-12-02T18:00"}}, "start.date_time", "extra"),
    ],
)
def test_a_wrong_time_slot_is_refused(changed: dict[str, Any], place: str, part: str) -> None:
    """A proposal is two real local times in zones that exist, the end after the start."""
    assert part in complaints(proposedNewTime=changed)[f"proposedNewTime.{place}"]


def test_order_is_judged_in_true_time() -> None:
    """An end that reads earlier on its own clock can still come after the start."""
    later = slot("2026-12-02T18:00", "2026-12-02T10:00", "Europe/Oslo", "Pacific Standard Time")

    assert later == Response.from_json(ROW | {"proposedNewTime": later}).model_dump(
        by_alias=True, include={"proposed_new_time"}
    ).get("proposedNewTime")


def test_errors_never_repeat_a_comment() -> None:
    """What an administrator wrote to people does not turn up in a message."""
    with pytest.raises(ValidationError) as caught:
        Response.from_json(ROW | {"comment": "secret\0", "x": "secret"})

    assert "secret" not in str(caught.value)


def test_windows_and_iana_names_mean_the_same_zones() -> None:
    """Outlook's names and the IANA's are both known, by their exact letters."""
    assert find_zone("America/Los_Angeles") == find_zone("Pacific Standard Time")
    assert [find_zone("pacific standard time"), find_zone("localtime")] == [None, None]
