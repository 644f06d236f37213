"""
What a mailbox says to an invitation, and the rules that one response must keep by itself.

Everything that reaches Graph has passed these checks and those of `jobs/rows/fields.py`, from a row
and again from the ledger: what Graph is known to refuse is not built. Rules between several rows
stand in `jobs/draft/draft.py`; paths and bodies of requests are `worker/graph/client.py`'s.
"""

import re
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)

from jobs.quoting import abbreviated
from jobs.rows.fields import Asked, Calendar, CalendarGroup, Comment, EventId, Frozen
from jobs.rows.hints.zone_names import SUMMERLESS
from jobs.rows.hints.zones import why_no_zone
from jobs.rows.timezones import find_zone

__all__ = ["Action", "GivenAction", "LocalTime", "Response", "TimeSlot"]

_LOCAL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,7})?)?",
)


class Action(StrEnum):
    """What a response does; the values are the names of Graph's calls."""

    DECLINE = "decline"
    TENTATIVELY_ACCEPT = "tentativelyAccept"


_ACTIONS = {action.value: action for action in Action} | {"tentative": Action.TENTATIVELY_ACCEPT}


def _read_action(text: object) -> Action:
    action = _ACTIONS.get(text) if isinstance(text, str) else None
    if action is not None:
        return action
    raise ValueError(f"must be decline or tentativelyAccept{_action_hint(text)}")


def _action_hint(text: object) -> str:
    if not isinstance(text, str):
        return ""
    if text.casefold() in {"accept", "accepted", "cancel"}:
        return f"; bulkrsvp does not send {abbreviated(text)}"
    known = {name.casefold(): name for name in _ACTIONS}
    near = get_close_matches(text[:64].casefold(), known, n=1)
    hint = f"; did you mean {known[near[0]]}?" if near else ""
    return f", not {abbreviated(text)}{hint}"


GivenAction = Annotated[Action, BeforeValidator(_read_action)]
"""An action by its name, or by its short form."""


def _check_date_time(text: str) -> str:
    if not _LOCAL.fullmatch(text):
        raise ValueError(
            f"{abbreviated(text)} is not YYYY-MM-DDTHH:MM:SS; "
            "write local time without an offset or Z, the zone stands in timeZone"
        )
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{abbreviated(text)} is not in the calendar; correct it") from None
    return text


def _check_time_zone(name: str, info: ValidationInfo) -> str:
    if find_zone(name) and not (info.context and name in SUMMERLESS):
        return name
    raise ValueError(why_no_zone(name, info.data.get("date_time", "")[:10]))


class LocalTime(Frozen):
    """A time on the clock of a zone (Graph: dateTimeTimeZone)."""

    date_time: Annotated[str, AfterValidator(_check_date_time)] = Field(alias="dateTime")
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = Field(alias="timeZone")

    def to_utc(self) -> datetime:
        """Return the naive time in UTC. Raises `OverflowError` at the ends of the calendar."""
        local = datetime.fromisoformat(self.date_time)
        zone = find_zone(self.time_zone)
        offset = zone.utcoffset(local) if zone else None
        return local - offset if offset else local


class TimeSlot(Frozen):
    """A proposed time; its end comes after its start, whatever their zones (Graph: timeSlot)."""

    start: LocalTime
    end: LocalTime

    @field_validator("end")
    @classmethod
    def _check_order(cls, end: LocalTime, info: ValidationInfo) -> LocalTime:
        start: LocalTime | None = info.data.get("start")
        try:
            ordered = start is None or start.to_utc() < end.to_utc()
        except OverflowError:
            raise ValueError("the years 1 and 9999 cannot be used; correct the date") from None
        if not ordered:
            raise ValueError("must come after the start; correct one of them")
        return end


class Response(Asked):
    """
    One response: who answers which invitation, and how.

    `event` is the event's id in that user's own mailbox, URL-safe. `calendar` is None, `default`
    or a calendar's id, and with `calendar_group` always an id.
    """

    event: EventId
    action: GivenAction
    comment: Comment | None = None
    send_response: StrictBool = Field(default=True, alias="sendResponse")
    proposed_new_time: TimeSlot | None = Field(default=None, alias="proposedNewTime")
    calendar: Calendar | None = None
    calendar_group: CalendarGroup | None = Field(default=None, alias="calendarGroup")

    @field_validator("proposed_new_time")
    @classmethod
    def _check_told(cls, slot: TimeSlot | None, info: ValidationInfo) -> TimeSlot | None:
        if slot and info.data.get("send_response") is False:
            raise ValueError("needs sendResponse true: Graph refuses it else; drop one of them")
        return slot

    @property
    def target(self) -> str:
        """What is answered; unique among the responses of a mailbox in a batch."""
        return self.event
