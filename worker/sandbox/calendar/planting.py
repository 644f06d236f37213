"""
What a test or a user posts to put events into a calendar, or to change one that is there.

The keys are Graph's where Graph has them. A `Change` says some of it, for an event that exists; a
`Planting` says enough for a new one. Both are values; `planted.py` keeps what comes of them.
"""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from worker.sandbox.calendar.event import DAY, Event, Person, Series, plain_event
from worker.sandbox.calendar.traits import Answer, EventState, trait_of

_DATE_LENGTH: Final = len("2026-12-01")
_STATE: Final = frozenset(EventState.model_fields)
STATE_KEYS: Final = _STATE | {to_camel(name) for name in _STATE}
"""What can be said of an event that is in no calendar."""


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _as_person(given: Any) -> Any:
    if isinstance(given, str):
        return {"name": given.partition("@")[0], "address": given}
    return given


_Moment = Annotated[datetime, AfterValidator(_in_utc)]
_Party = Annotated[Person, BeforeValidator(_as_person)]


class Change(EventState):
    """
    Some facts of an event, some of its state, or both; only what is set counts.

    Times without an offset are UTC. A new start without an end keeps the length. `organizer` and
    `attendees` are addresses, or names and addresses; what the user organizes is theirs
    (`is_organizer`) unless that says otherwise. `is_all_day` wants midnights, and is meant by a
    start that is a mere date.
    """

    subject: str = ""
    start: _Moment | None = None
    end: _Moment | None = None
    is_all_day: bool = False
    original_start_time_zone: str = "UTC"
    organizer: _Party | None = None
    attendees: tuple[_Party, ...] = ()
    calendar: str | None = None
    i_cal_uid: str = Field("", alias="iCalUId")

    @model_validator(mode="before")
    @classmethod
    def _mean_whole_days_by_dates(cls, data: Any) -> Any:
        if isinstance(data, dict) and _is_date(data.get("start")) and "is_all_day" not in data:
            return {"isAllDay": True} | data
        return data

    def state_in(self, user: str) -> dict[str, Any]:
        """Return what is set of the state; an event that its user organizes is theirs."""
        said = {name: getattr(self, name) for name in _STATE & self.model_fields_set}
        if self.organizer is not None:
            said.setdefault("is_organizer", _is_same(self.organizer, user))
        if said.get("is_organizer"):
            said.setdefault("response", Answer.ORGANIZER)
        return said

    def apply(self, event: Event, user: str) -> Event:
        """Return `event` with the facts that are set; `ValueError` for a wrong pair of times."""
        given = self.model_fields_set
        changed = {name: getattr(self, field) for name, field in _FACTS.items() if field in given}
        if self.is_organizer and self.organizer is None:
            changed["organizer"] = Person(user.partition("@")[0], user)
        if self.start is not None and self.end is None:
            length = event.end - event.start
            changed["end"] = self.start + (max(length, DAY) if self.is_all_day else length)
        return _checked(replace(event, **changed))


_FACTS: Final = {
    "subject": "subject",
    "start": "start",
    "end": "end",
    "is_all_day": "is_all_day",
    "time_zone": "original_start_time_zone",
    "organizer": "organizer",
    "attendees": "attendees",
    "calendar": "calendar",
    "i_cal_uid": "i_cal_uid",
}
"""The facts of an event, and the fields of a change that say them."""


class Recurrence(BaseModel):
    """A series: how often and how far apart, and the occurrences that differ, by index from 0."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    every_days: int = Field(ge=1)
    count: int = Field(ge=1, le=10_000)
    exceptions: dict[int, Change] = Field(default_factory=dict)


class Planting(Change):
    """
    A new event; it replaces one that has the same id.

    Without an end it lasts an hour, or a day; without `attendees` the user is the only one. Its
    state is what its name says (`traits.py`), and what is set here.
    """

    id: str = Field(min_length=1)
    start: _Moment
    series: Recurrence | None = None

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        whole = self.event_of("")
        for index, change in ({} if self.series is None else self.series.exceptions).items():
            if whole.series is None or not 0 <= index < whole.series.count:
                raise ValueError(f"the series has no occurrence {index}")
            change.apply(whole.occurrence(index), "")
        return self

    def event_of(self, user: str) -> Event:
        """Return the event as it stands in a user's calendar."""
        event = self.apply(plain_event(self.id, user), user)
        if self.series is None:
            return event
        return replace(event, series=Series(self.series.every_days, self.series.count))

    def first_state(self, user: str) -> EventState:
        """Return what the user's calendar shows before any answer."""
        return trait_of(self.id).state.model_copy(update=self.state_in(user))


def told(event: Event, state: EventState) -> dict[str, Any]:
    """Return an event in the keys that are posted, with its type and its series."""
    series = event.series and {"everyDays": event.series.every_days, "count": event.series.count}
    return state.model_dump(by_alias=True) | {
        "subject": event.subject,
        "start": event.start.isoformat(),
        "end": event.end.isoformat(),
        "isAllDay": event.is_all_day,
        "originalStartTimeZone": event.time_zone,
        "organizer": asdict(event.organizer),
        "attendees": [person.address for person in event.attendees],
        "calendar": event.calendar,
        "iCalUId": event.i_cal_uid,
        "series": series,
        "type": event.type,
        "seriesMasterId": event.master,
    }


def _is_date(start: Any) -> bool:
    return type(start) is date or (isinstance(start, str) and len(start) == _DATE_LENGTH)


def _is_same(person: Person, user: str) -> bool:
    return person.address.casefold() == user.casefold()


def _checked(event: Event) -> Event:
    if event.end < event.start:
        raise ValueError("an event must not end before it starts")
    midnights = (event.start.timetuple()[3:6], event.end.timetuple()[3:6])
    if event.is_all_day and (any(map(any, midnights)) or event.start == event.end):
        raise ValueError("isAllDay wants a start and an end at midnight, a day or more apart")
    return event
