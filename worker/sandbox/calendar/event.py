"""
One event of a simulated calendar: what it is, when it is, and who takes part.

How the user has answered it stands apart, in `EventState` (`traits.py`); how Graph spells it
stands in `properties.py`. A series is one event here, and makes its occurrences when asked.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

DAY: Final = timedelta(days=1)


class EventType(StrEnum):
    """What `type` can show (Graph: eventType)."""

    SINGLE = "singleInstance"
    OCCURRENCE = "occurrence"
    EXCEPTION = "exception"
    MASTER = "seriesMaster"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a mail address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Series:
    """How an event comes again: `count` times in all, `every_days` apart."""

    every_days: int
    count: int


@dataclass(frozen=True, slots=True)
class Event:
    """
    An event, a whole series, or one occurrence of it; times are in UTC.

    An event of whole days lasts from midnight to midnight in UTC, whatever `time_zone` it was
    made in, as Graph stores it. `calendar` is none for the user's default calendar.
    """

    id: str
    subject: str
    start: datetime
    end: datetime
    organizer: Person
    attendees: tuple[Person, ...]
    i_cal_uid: str
    is_all_day: bool = False
    time_zone: str = "UTC"
    calendar: str | None = None
    series: Series | None = None
    master: str | None = None
    is_exception: bool = False

    @property
    def type(self) -> EventType:
        """Its place in a series, or outside of any."""
        if self.series is not None:
            return EventType.MASTER
        if self.master is None:
            return EventType.SINGLE
        return EventType.EXCEPTION if self.is_exception else EventType.OCCURRENCE

    def starts(self, index: int) -> datetime:
        """Return when the occurrence numbered `index`, from 0, starts by the rule."""
        every_days = 0 if self.series is None else self.series.every_days
        return self.start + index * every_days * DAY

    def occurrence(self, index: int) -> "Event":
        """Return one occurrence of this series, as the rule has it."""
        start = self.starts(index)
        return replace(
            self,
            id=occurrence_id(self.id, index),
            i_cal_uid=f"{self.i_cal_uid}-{index}",
            start=start,
            end=start + (self.end - self.start),
            series=None,
            master=self.id,
        )


def occurrence_id(master: str, index: int) -> str:
    """Name an occurrence after its series."""
    return f"{master}.{index}"


_ORGANIZER: Final = Person("Olga Organizer", "olga@fabrikam.example")
_STARTS: Final = datetime(2026, 12, 1, 10, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)


def plain_event(event: str, user: str) -> Event:
    """Return an invitation of which nothing is known but its id, and whose calendar it is in."""
    return Event(
        id=event,
        subject=f"Meeting {event[:16]}",
        start=_STARTS,
        end=_STARTS + _HOUR,
        organizer=_ORGANIZER,
        attendees=_alone(user),
        i_cal_uid=f"uid-{event}",
    )


@lru_cache(maxsize=1024)
def _alone(user: str) -> tuple[Person, ...]:
    return (Person(user.partition("@")[0], user),)
