"""
A page of a calendar, read: the events on it, and where the next page is.

One odd event must not hide the others. What cannot be read keeps its place as an `Unreadable`, so
that a selection never finds less than there is without reporting it. Absent values have Graph's
documented defaults; a value of the wrong type makes its event unreadable.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from jobs.rows.choosing import Invitation, Kind, Shown, Unreadable, written_start
from jobs.rows.fields import Id
from jobs.rows.timezones import find_zone

SELECT: Final = (
    "id,type,seriesMasterId,subject,start,end,isAllDay,organizer,attendees,"
    "isOrganizer,isCancelled,responseRequested,responseStatus"
)
"""The properties that choosing goes by (Graph: event)."""

MAX_EVENTS: Final = 50_000
"""Events of one selection: 27 a day in the longest window. A page is read no further either."""

MAX_TEXT: Final = 2_048
"""Characters of a subject or an address; Outlook allows 255 in a subject."""

PLACEHOLDER: Final = "~unreadable~"
"""Begins the id that we give to an event without one; no id of Outlook holds a tilde."""

NEXT_LINK: Final = "@odata.nextLink"

_ID: Final = TypeAdapter[str](Id)
_KINDS: Final = frozenset(Kind)
_UTC_NAMES: Final = frozenset({"utc", "tzone://microsoft/utc"})
_ODD: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Page:
    """
    Some events of a calendar; `next_link` is Graph's address of the next page, as it is.

    `single` is whether it is one event instead, as Graph shows what was asked for by its id.
    """

    events: tuple[Invitation | Unreadable, ...]
    next_link: str | None = None
    single: bool = False


def read_page(answer: dict[str, Any]) -> Page | None:
    """Return the page that a reply holds, one event alone included; None if it is neither."""
    if "value" not in answer:
        return Page(tuple(_read([answer])), single=True) if "id" in answer else None
    items, link = answer["value"], answer.get(NEXT_LINK)
    if not isinstance(items, list) or not (link is None or isinstance(link, str)):
        return None
    return Page(tuple(_read(items[: MAX_EVENTS + 1])), link)


def read_showing(event: Any) -> Shown:
    """Return subject, start and organizer as far as an event shows them, for a person."""
    return _readable(_subject, event), _readable(_starts, event), _readable(_organizer, event)


def _read(items: Iterable[Any]) -> Iterator[Invitation | Unreadable]:
    nameless = Counter[bytes]()
    for item in items:
        try:
            yield _read_event(item)
        except _ODD:
            name = _readable(_own_id, item) or _placeholder(item, nameless)
            yield Unreadable(name, read_showing(item))


def _read_event(item: dict[str, Any]) -> Invitation:
    """Return an event; one of the errors in `_ODD` is raised for whatever is not as documented."""
    status = _object(item, "responseStatus")
    attendees = item.get("attendees")
    if attendees is not None and not _are_objects(attendees):
        raise TypeError("attendees are objects in a list")
    event = Invitation(
        id=_own_id(item),
        kind=Kind(_text(item, "type") or Kind.SINGLE),
        series=_ID.validate_python(series) if (series := _text(item, "seriesMasterId")) else None,
        subject=_subject(item),
        start=_time(item, "start"),
        end=_time(item, "end"),
        all_day=_flag(item, "isAllDay"),
        organizer=_organizer(item),
        is_organizer=_flag(item, "isOrganizer"),
        is_cancelled=_flag(item, "isCancelled"),
        response_requested=_flag(item, "responseRequested", default=True),
        response=_text(status, "response") or "none",
        alone=attendees == [],
    )
    if event.id == event.series or (event.series and item.get("type") == Kind.SINGLE):
        raise ValueError("an answer to it might be one to a whole series")
    return event


def _own_id(item: dict[str, Any]) -> str:
    return _ID.validate_python(item["id"])


def _subject(item: dict[str, Any]) -> str:
    return _text(item, "subject")


def _organizer(item: dict[str, Any]) -> str:
    return _text(_object(_object(item, "organizer"), "emailAddress"), "address").casefold()


def _starts(item: dict[str, Any]) -> str:
    return written_start(_time(item, "start"), all_day=_flag(item, "isAllDay"))


def _time(item: dict[str, Any], name: str) -> datetime:
    """Read Graph's dateTimeTimeZone; it writes UTC unless it was asked for something else."""
    time = _object(item, name)
    read = datetime.fromisoformat(_text(time, "dateTime"))
    if read.tzinfo is not None:
        return read.astimezone(UTC)
    zone_name = _text(time, "timeZone") or "UTC"
    zone = UTC if zone_name.casefold() in _UTC_NAMES else find_zone(zone_name)
    if zone is None:
        raise ValueError("an unknown time zone")
    return read.replace(tzinfo=zone).astimezone(UTC)


def _text(item: dict[str, Any], name: str) -> str:
    """Return a text; an absent one is empty."""
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError(f"{name} is not a text of a usual length")
    return value


def _flag(item: dict[str, Any], name: str, *, default: bool = False) -> bool:
    value = item.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise TypeError(f"{name} is neither true nor false")
    return value


def _object(item: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object; an absent one is empty."""
    value = item.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{name} is not an object")
    return value


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _readable(read: Callable[[Any], str], item: Any) -> str | None:
    """Return what can be read of one part of an event; None where that is nothing."""
    try:
        return read(item) or None
    except _ODD:
        return None


def _placeholder(item: Any, nameless: Counter[bytes]) -> str:
    """
    Name an event that has no usable id by its content: the same on every page that shows it.

    Equal ones on one page are numbered in `nameless`, for they are several events.
    """
    try:
        content = orjson.dumps(item)
    except TypeError:  # nested too deeply to be written again
        content = b""
    digest = sha256(content).digest()[:8]
    nameless[digest] += 1
    number = f".{nameless[digest]}" if nameless[digest] > 1 else ""
    return f"{PLACEHOLDER}{digest.hex()}{number}"
