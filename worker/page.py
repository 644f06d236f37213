"""
A page of a calendar, read: the events on it, and where the next page is.

What Graph leaves out has its documented default; what is no event makes the page unreadable, for
a selection must not silently find less than there is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter

from jobs.choosing import Invitation
from jobs.fields import Id
from jobs.timezones import find_zone

SELECT: Final = (
    "id,type,seriesMasterId,subject,start,end,isAllDay,organizer,attendees,"
    "isOrganizer,isCancelled,responseRequested,responseStatus"
)
"""The properties that choosing goes by (Graph: event)."""

_ID: Final = TypeAdapter[str](Id)
NEXT_LINK: Final = "@odata.nextLink"


@dataclass(frozen=True, slots=True)
class Page:
    """Some events of a calendar; `next_link` is Graph's address of the next page, as it is."""

    events: tuple[Invitation, ...]
    next_link: str | None = None


def read_page(answer: dict[str, Any]) -> Page | None:
    """Return the page that a reply holds, one event alone included; None if it is neither."""
    items = answer.get("value")
    link = answer.get(NEXT_LINK)
    if items is None and "id" in answer:
        items = [answer]
    if not isinstance(items, list) or not (link is None or isinstance(link, str)):
        return None
    try:
        return Page(tuple(_read_event(item) for item in items), link)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def read_showing(event: dict[str, Any]) -> tuple[str | None, ...]:
    """Return subject, start and organizer as far as an event shows them, for a person."""
    try:
        found = _read_event({"id": "-", **event, "end": event["start"]})
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None, None, None
    return found.subject, found.starts, found.organizer


def _read_event(item: dict[str, Any]) -> Invitation:
    attendees = item.get("attendees")
    series = item.get("seriesMasterId")
    status = item.get("responseStatus") or {}
    return Invitation(
        id=_ID.validate_python(item["id"]),
        kind=item.get("type") or "singleInstance",
        series=None if series is None else _ID.validate_python(series),
        subject=item.get("subject") or "",
        start=_read_time(item["start"]),
        end=_read_time(item["end"]),
        all_day=item.get("isAllDay") is True,
        organizer=_read_address(item.get("organizer")),
        is_organizer=item.get("isOrganizer") is True,
        is_cancelled=item.get("isCancelled") is True,
        response_requested=item.get("responseRequested") is not False,  # Graph: default true
        response=status.get("response") or "none",
        alone=attendees is not None and not attendees,
    )


def _read_time(time: dict[str, str]) -> datetime:
    """Read Graph's dateTimeTimeZone; it writes UTC unless it was asked for something else."""
    local = datetime.fromisoformat(time["dateTime"])
    return local.replace(tzinfo=find_zone(time.get("timeZone") or "UTC") or UTC).astimezone(UTC)


def _read_address(recipient: dict[str, Any] | None) -> str:
    address = ((recipient or {}).get("emailAddress") or {}).get("address") or ""
    return str(address).casefold()
