"""
A row that does not name an event but says which ones: the selection that a worker looks up.

A selection has the fields of a response, and `events` in the place of the event. This module
knows what may be asked and how long a window may be; it knows no calendar, and what is found in
one is judged by the worker.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from math import ceil
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from config.errors import InputError
from jobs.quoting import abbreviated
from jobs.rows.fields import TORN, Asked, Calendar, CalendarGroup, Comment, Frozen, torn
from jobs.rows.hints.addresses import is_organizer, why_no_organizer
from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.response import GivenAction, Response
from jobs.times import read_moment

__all__ = ["DEFAULT_DAYS", "MAX_DAYS", "Events", "Selection", "Series", "Window"]

MAX_DAYS: Final = 1825
"""The longest window that Graph shows the occurrences of (Graph: calendar-list-calendarview)."""

DEFAULT_DAYS: Final = 730

NOW: Final = "now"
INTERNAL: Final = "internal"
EXTERNAL: Final = "external"

MAX_SUBJECT: Final = 255
"""Characters: Outlook's own limit for a subject."""

MAX_ORGANIZERS: Final = 100
MAX_ORGANIZER: Final = 320


class Series(StrEnum):
    """What is answered of a recurring series that has an occurrence in the window."""

    WHOLE = "whole"
    OCCURRENCES = "occurrences"


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which events are looked for; the offsets are those of the row."""

    start: datetime
    end: datetime


def _read_time(text: str) -> str:
    if text.strip().casefold() == NOW:
        return NOW
    try:
        return read_moment(text).isoformat().replace("+00:00", "Z")
    except InputError as error:
        raise ValueError(f"{error}, or now") from None


def _read_series(text: object) -> Series:
    try:
        return Series(text)  # type: ignore[arg-type]  # whatever it is
    except ValueError:
        told = f", not {abbreviated(text)}" if isinstance(text, str) else ""
        raise ValueError(f"must be whole or occurrences{told}") from None


def _read_list(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _read_organizer(text: str, info: ValidationInfo) -> str:
    folded = text.casefold()
    if is_organizer(folded) or (not info.context and _is_like_an_address(folded)):
        return folded
    raise ValueError(TORN if torn(text) else why_no_organizer(text))


def _is_like_an_address(text: str) -> bool:
    _, sign, domain = text.partition("@")
    plain = text.isprintable() and " " not in text and len(text) <= MAX_ORGANIZER
    return plain and bool(sign and domain and "@" not in domain)


def _sort_organizers(organizers: tuple[str, ...]) -> tuple[str, ...]:
    if not organizers:
        raise ValueError("is an empty list; name an organizer, or leave it out")
    if len(organizers) > MAX_ORGANIZERS:
        raise ValueError(f"has {len(organizers)} entries, and {MAX_ORGANIZERS} are allowed")
    return tuple(sorted(set(organizers)))


def _check_subject(subject: str, info: ValidationInfo) -> str:
    if torn(subject):
        raise ValueError(TORN)
    if not subject.strip():
        raise ValueError("is empty; give text that the subject contains, or leave it out")
    if len(subject) > MAX_SUBJECT:
        raise ValueError(f"has {len(subject)} characters, and {MAX_SUBJECT} are allowed")
    if info.context and (why := why_unwritten(subject)):
        raise ValueError(f"{why}; give text that the subject contains, or leave it out")
    return subject


_Time = Annotated[str, AfterValidator(_read_time)]
_Organizer = Annotated[str, AfterValidator(_read_organizer)]


class Events(Frozen):
    """
    Which events: those with a part in the window, of these organizers, with this subject.

    Times are ISO 8601 with an offset, or `now`; without `to`, the window is 730 days long.
    Organizers are addresses, `@domain`, `internal` or `external`, in small letters and sorted;
    none given, all are meant. Of `subject` letter case is ignored.
    """

    from_: _Time = Field(default=NOW, alias="from")
    to: _Time | None = None
    series: Annotated[Series, BeforeValidator(_read_series)] = Series.WHOLE
    organizer: Annotated[
        tuple[_Organizer, ...], BeforeValidator(_read_list), AfterValidator(_sort_organizers)
    ] = ()
    subject: Annotated[str, AfterValidator(_check_subject)] | None = None

    @property
    def by_domain(self) -> bool:
        """Whether the user's own domain decides which organizers are meant."""
        return not {INTERNAL, EXTERNAL}.isdisjoint(self.organizer)

    def window(self, now: datetime) -> Window:
        """Return the window as of `now`. Raises `ValueError` if it is empty or too long."""
        now = now.astimezone(UTC)
        start = _resolve(self.from_, now)
        end = start + timedelta(days=DEFAULT_DAYS) if self.to is None else _resolve(self.to, now)
        if end <= start:
            raise ValueError(f"must come after from, which is {_written(start)}")
        if end - start > timedelta(days=MAX_DAYS):
            days = ceil((end - start) / timedelta(days=1))
            raise ValueError(f"is {days:,} days after from, and {MAX_DAYS:,} are allowed")
        return Window(start, end)

    @model_serializer(mode="wrap")
    def _leave_out_absent(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value}


def _resolve(text: str, now: datetime) -> datetime:
    return now if text == NOW else read_moment(text)


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class Selection(Asked):
    """
    What a mailbox says to all the events of a kind: one response each, once they are found.

    `if_not_requested` says what becomes of an event whose organizer wants no response: None, and
    it is answered without a mail and without the comment. Without a calendar, the user's default
    one is meant.
    """

    events: Events
    action: GivenAction
    comment: Comment | None = None
    send_response: StrictBool = Field(default=True, alias="sendResponse")
    if_not_requested: Literal["skip"] | None = Field(default=None, alias="ifNotRequested")
    calendar: Calendar | None = None
    calendar_group: CalendarGroup | None = Field(default=None, alias="calendarGroup")

    @field_validator("events")
    @classmethod
    def _check_domain(cls, events: Events, info: ValidationInfo) -> Events:
        if events.by_domain and "@" not in info.data.get("user", "@"):
            raise ValueError(
                "an organizer internal or external is told by the user's domain, and an object id "
                "has none; give the user principal name"
            )
        return events

    @property
    def target(self) -> str:
        """What is answered: equal for selections of the same events, and never an id."""
        subject = self.events.subject and self.events.subject.casefold()
        events = self.events.model_copy(update={"subject": subject})
        same = (events.model_dump_json(by_alias=True), self.calendar, self.calendar_group)
        return f"?{sha256(repr(same).encode()).hexdigest()[:32]}"

    def response(self, event: str, *, quiet: bool) -> Response:
        """Return the response for an event that was found; if `quiet`, without mail and comment."""
        return Response(
            user=self.user,
            event=event,
            action=self.action,
            comment=None if quiet else self.comment,
            send_response=self.send_response and not quiet,
            calendar=self.calendar,
            calendar_group=self.calendar_group,
        )
