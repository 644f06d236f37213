"""
A company made up from a seed: people, and what stands in their calendars around a given time.

It is what an administrator meets: teams with their series, one-to-ones, invitations from outside,
whole days, cancelled meetings, private appointments; some answered, most not. A meeting stands in
the calendar of everyone who takes part, under an id of each mailbox's own. It is made for demos
and benchmarks; the same seed, number of people and day make the same company.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from worker.sandbox.calendar.company_names import (
    CALLS,
    GUESTS,
    MEETINGS,
    PARTNERS,
    PRIVATE,
    STAFF,
    TEAMS,
    make_people,
)
from worker.sandbox.calendar.event import DAY, Person
from worker.sandbox.calendar.planting import Change, Planting, Recurrence
from worker.sandbox.calendar.traits import Answer

LEAST_PEOPLE: Final = 2
MOST_PEOPLE: Final = 2_000

_LEAVING: Final = 0.05
_TEAM: Final = 8
_WEEKEND: Final = 5
_HALF_HOUR: Final = timedelta(minutes=30)
_FIRST_HOUR: Final = timedelta(hours=7)
_ANSWERS: Final = {
    Answer.NOT_RESPONDED: 11,
    Answer.ACCEPTED: 5,
    Answer.TENTATIVELY_ACCEPTED: 3,
    Answer.DECLINED: 1,  # and kept in the calendar
}


class CompanyOrder(BaseModel):
    """What is posted to have a company; `now` is the present time unless it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = Field(200, ge=LEAST_PEOPLE, le=MOST_PEOPLE)
    seed: int = 1
    now: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """People at contoso.com, the addresses of those who leave, and all calendars by address."""

    people: tuple[Person, ...]
    leavers: tuple[str, ...]
    calendars: Mapping[str, Sequence[Planting]]

    @classmethod
    def generate(cls, seed: int, people: int, now: datetime) -> Self:
        """Make a company of 2 to 2,000 people; of `now`, which knows its zone, the day counts."""
        chance = Random(seed)  # noqa: S311  # repeatable chance, no secret
        staff = make_people(chance, people)
        calendars = _Planner(chance, staff, now, seed).fill()
        leavers = chance.sample(staff, max(1, round(people * _LEAVING)))
        return cls(tuple(staff), tuple(sorted(one.address for one in leavers)), calendars)

    def tell(self) -> dict[str, Any]:
        """Return the people, how much stands in their calendars, and who leaves, for JSON."""
        people = [
            {
                "name": one.name,
                "address": one.address,
                "leaver": one.address in self.leavers,
                "events": len(self.calendars[one.address]),
            }
            for one in self.people
        ]
        return {"people": people, "leavers": self.leavers}


@dataclass(frozen=True, slots=True)
class _Meeting:
    """One meeting, before it stands in anybody's calendar."""

    subject: str
    organizer: Person
    guests: Sequence[Person]
    start: datetime
    length: timedelta = 2 * _HALF_HOUR
    series: Recurrence | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


class _Planner:
    """Fills the calendars of all people, with one source of chance."""

    def __init__(self, chance: Random, staff: list[Person], now: datetime, seed: int) -> None:
        self._chance = chance
        self._staff = staff
        now = now.astimezone(UTC)
        self._today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._seed = seed
        self._meetings = 0
        self._calendars: dict[str, list[Planting]] = {one.address: [] for one in staff}

    def fill(self) -> dict[str, list[Planting]]:
        self._meet_all()
        for first in range(0, len(self._staff), _TEAM):
            self._meet_in_team(self._staff[first : first + _TEAM])
        for person in self._staff:
            self._organize(person)
            self._hear_from_outside(person)
            self._be_alone(person)
        return self._calendars

    def _meet_all(self) -> None:
        """Invite everyone, by the address of all, to what wants no answer."""
        series = Recurrence(every_days=28, count=26)
        meeting = _Meeting("All hands", self._staff[0], [STAFF], self._office_hour(-180, -170))
        meeting = replace(meeting, series=series, extras={"response_requested": False})
        self._plant(meeting, self._staff)

    def _meet_in_team(self, team: list[Person]) -> None:
        lead, members, name = team[0], team[1:], self._chance.choice(TEAMS)
        weekly = _Meeting(f"{name}: weekly", lead, members, self._office_hour(-140, -133))
        self._invite(replace(weekly, series=self._series(weekly.start, 7, 80)))
        away = self._day(10, 120)
        days = {"is_all_day": True, "original_start_time_zone": "W. Europe Standard Time"}
        self._invite(_Meeting(f"{name}: away days", lead, members, away, 2 * DAY, extras=days))

    def _organize(self, person: Person) -> None:
        """Let a person invite some colleagues."""
        others = [one for one in self._staff if one != person]
        for subject in self._chance.sample(MEETINGS, 3):
            guests = self._chance.sample(others, min(len(others), self._chance.randint(1, 5)))
            length = self._chance.choice([1, 2, 4]) * _HALF_HOUR
            self._invite(_Meeting(subject, person, guests, self._office_hour(-40, 300), length))
        colleague = self._chance.choice(others)
        talk = _Meeting("One-to-one", person, [colleague], self._office_hour(-60, -46))
        series = self._series(talk.start, 14, 40)
        self._invite(replace(talk, length=_HALF_HOUR, series=series))

    def _hear_from_outside(self, person: Person) -> None:
        """Let partners invite a person: twice, again and again, in vain, and to a broadcast."""
        once, twice, regular, off, broadcast = self._chance.choices(GUESTS, k=5)
        subjects = self._chance.sample(PARTNERS, 4)
        for host, subject in zip((once, twice), subjects, strict=False):
            self._invite(_Meeting(subject, host, [person], self._office_hour(-30, 400)))
        calls = _Meeting(self._chance.choice(CALLS), regular, [person], self._office_hour(-90, -60))
        self._invite(replace(calls, series=self._series(calls.start, 28, 24)))
        cancelled = _Meeting(f"Canceled: {subjects[2]}", off, [person], self._office_hour(2, 90))
        self._invite(replace(cancelled, extras={"is_cancelled": True}))
        webinar = _Meeting(subjects[3], broadcast, [person], self._office_hour(5, 200))
        self._invite(replace(webinar, extras={"response_requested": False}))

    def _be_alone(self, person: Person) -> None:
        """Put in what nobody else takes part in: two appointments, and one from elsewhere."""
        leave, visit, travel = self._chance.sample(PRIVATE, 3)
        days = self._chance.randint(1, 10) * DAY
        whole = {"is_all_day": True}
        self._plant(_Meeting(leave, person, [], self._day(20, 250), days, extras=whole), [person])
        self._plant(_Meeting(visit, person, [], self._office_hour(1, 60)), [person])
        # What was saved from a mail is nobody's meeting, and not the user's either.
        saved = {"is_organizer": False, "response": Answer.NONE}
        self._plant(_Meeting(travel, person, [], self._office_hour(3, 90), extras=saved), [person])

    def _invite(self, meeting: _Meeting) -> None:
        self._plant(meeting, [meeting.organizer, *meeting.guests])

    def _plant(self, meeting: _Meeting, present: Sequence[Person]) -> None:
        """Put a meeting into the calendars of all who are present and work here."""
        self._meetings += 1
        for person in present:
            if person.address in self._calendars:
                self._calendars[person.address].append(self._entry(meeting, person))

    def _entry(self, meeting: _Meeting, person: Person) -> Planting:
        facts: dict[str, Any] = {
            "id": self._id(person.address),
            "subject": meeting.subject,
            "start": meeting.start,
            "end": meeting.start + meeting.length,
            "organizer": meeting.organizer,
            "attendees": tuple(meeting.guests),
            "i_cal_uid": self._id(""),
            "series": meeting.series,
        }
        if person != meeting.organizer:
            facts["response"] = self._answer()
            facts["series"] = self._with_own_answer(meeting.series)
        return Planting(**facts | dict(meeting.extras))

    def _id(self, address: str) -> str:
        """Make an id that looks like one of Graph's, and needs encoding as they do."""
        named = f"{self._seed}/{self._meetings}/{address}".encode()
        return f"AAMkAD{base64.urlsafe_b64encode(hashlib.sha256(named).digest()).decode()}"

    def _answer(self) -> Answer:
        [answer] = self._chance.choices([*_ANSWERS], weights=[*_ANSWERS.values()])
        return answer

    def _series(self, start: datetime, every_days: int, count: int) -> Recurrence:
        """Return a series with one occurrence moved, one cancelled and one taken out."""
        moved, off, out = self._chance.sample(range(count), 3)
        exceptions = {
            moved: Change(start=start + (moved * every_days + 1) * DAY + _HALF_HOUR),
            off: Change(is_cancelled=True),
            out: Change(exists=False),
        }
        return Recurrence(every_days=every_days, count=count, exceptions=exceptions)

    def _with_own_answer(self, series: Recurrence | None) -> Recurrence | None:
        """Let a guest have answered one occurrence by itself, perhaps."""
        if series is None or self._chance.random() < 0.5:  # noqa: PLR2004  # half of them
            return series
        index = self._chance.randrange(series.count)
        own = {index: Change(response=self._answer())}
        return series.model_copy(update={"exceptions": own | series.exceptions})

    def _day(self, least: int, most: int) -> datetime:
        """Return midnight of a day, so many days from now."""
        return self._today + self._chance.randint(least, most) * DAY

    def _office_hour(self, least: int, most: int) -> datetime:
        """Return a half hour on a working day, so many days from now or a little later."""
        day = self._day(least, most)
        day += max(0, 7 - day.weekday()) * DAY if day.weekday() >= _WEEKEND else 0 * DAY
        return day + _FIRST_HOUR + self._chance.randrange(18) * _HALF_HOUR
