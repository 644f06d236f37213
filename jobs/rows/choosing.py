"""
Which of a calendar's events a selection answers, and why it skips the others.

Pure: it is given what the calendar shows, and returns what was found, each with its end where
nothing is to be sent. `worker/slice/calls/finding.py` reads calendars.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from jobs.outcome import Ending, Outcome, Reason
from jobs.rows.response import Action, Response
from jobs.rows.selection import Selection, Series, Window

UNREADABLE: Final = Ending(Outcome.FAILED, Reason.UNREADABLE_EVENT)

ANSWERS: Final = {Action.DECLINE: "declined", Action.TENTATIVELY_ACCEPT: "tentativelyAccepted"}
"""What Graph's `responseStatus.response` shows after each action."""

Shown = tuple[str | None, str | None, str | None]
"""Subject, start and organizer, as far as known; the subject of a plan only."""


class Kind(StrEnum):
    """What an event is in a series, or outside of any (Graph: eventType)."""

    SINGLE = "singleInstance"
    OCCURRENCE = "occurrence"
    EXCEPTION = "exception"
    MASTER = "seriesMaster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """
    An event as a calendar shows it.

    `start` and `end` are aware; of an all-day event they are midnights without a place, written
    as UTC. `organizer` is an address, in lower case, or empty. `alone` is true where the list of
    those invited is empty.
    """

    id: str
    kind: Kind
    series: str | None
    subject: str
    start: datetime
    end: datetime
    all_day: bool
    organizer: str
    is_organizer: bool
    is_cancelled: bool
    response_requested: bool
    response: str
    alone: bool

    @property
    def starts(self) -> str:
        """When it starts, for people: ISO 8601 in UTC, or a date."""
        return written_start(self.start, all_day=self.all_day)

    @property
    def shown(self) -> Shown:
        """What a reviewer sees of it."""
        return self.subject, self.starts, self.organizer

    def lies_in(self, window: Window) -> bool:
        """
        Whether it touches the window.

        An all-day event has no zone: its day is taken in that of the window's ends, as the one
        who wrote them would.
        """
        start, end = self.start, self.end
        first, last = window.start, window.end
        if self.all_day:
            first, last = (edge.replace(tzinfo=start.tzinfo) for edge in (first, last))
        return start < last and (end > first or start >= first)

    def sharing(self, share: Callable[[str], str]) -> Self:
        """Return it with texts that events have in common replaced by what `share` returns."""
        return replace(
            self,
            series=self.series and share(self.series),
            subject=share(self.subject),
            organizer=share(self.organizer),
            response=share(self.response),
        )


def written_start(start: datetime, *, all_day: bool) -> str:
    """Return when an event starts, for people: ISO 8601 in UTC, or a date."""
    return f"{start:%Y-%m-%d}" if all_day else f"{start:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """
    An event, or a series itself, that cannot be read: it may or may not be meant.

    `id` is its own, or a placeholder where it has none that can be used.
    """

    id: str
    shown: Shown = (None, None, None)

    def sharing(self, share: Callable[[str], str]) -> Self:
        """Return it with texts that events have in common replaced by what `share` returns."""
        subject, starts, organizer = (text and share(text) for text in self.shown)
        return replace(self, shown=(subject, starts, organizer))


Item = Invitation | Unreadable

Master = Item | None
"""A series itself; None if it is gone and only its events are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    An event that a selection has found.

    `ending` is how its response ends without a call, if it does. With `quiet` the organizer
    wants no answer. `seen` is the answer that the calendar showed; `series` names those that
    must be answered one after the other.
    """

    event: str
    quiet: bool
    seen: str
    ending: Ending | None
    series: str | None
    shown: Shown

    def response(self, selection: Selection) -> Response:
        """Return the response that the selection gives to this event."""
        return selection.response(self.event, quiet=self.quiet)

    def planned(self) -> Self:
        """Return it as in a plan, where what would be sent has ended."""
        return replace(self, ending=self.ending or Ending(Outcome.PLANNED))

    def discreet(self) -> Self:
        """Return it without its subject, which is kept for plans only."""
        return replace(self, shown=(None, *self.shown[1:]))


def widened(window: Window) -> Window:
    """Return the window to ask for: Graph matches all-day events as midnights in UTC."""
    day = timedelta(days=1)
    return Window(_moved(window.start, -day), _moved(window.end, day))


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:  # the calendar ends here
        return moment


def series_within(events: Iterable[Item], selection: Selection, window: Window) -> list[str]:
    """Return the series with an event in the window, whose masters have to be read."""
    if selection.events.series is Series.OCCURRENCES:
        return []
    inside = (each for each in events if isinstance(each, Invitation) and each.lies_in(window))
    return list(dict.fromkeys(each.series for each in inside if each.series is not None))


def choose(
    events: Iterable[Item],
    masters: Mapping[str, Master],
    selection: Selection,
    window: Window,
) -> list[Found]:
    """
    Return what the selection answers or passes over, in the order of their starts.

    `events` are what a view of the widened window shows, `masters` the series that
    `series_within` names. What the filters leave out is not returned at all. What cannot be read
    comes last, whatever the filters say: it might be meant.
    """
    each = {event.id: event for event in events}.values()  # a page may repeat what moved meanwhile
    readable = sorted((e for e in each if isinstance(e, Invitation)), key=lambda e: e.start)
    chosen = list(_answerable(readable, masters, selection, window))
    odd = [e for e in (*chosen, *each) if isinstance(e, Unreadable)]
    meant = (e for e in chosen if isinstance(e, Invitation) and _is_meant(e, selection))
    return [_find(e, selection) for e in meant] + [_find_unreadable(e) for e in odd]


def _answerable(
    events: list[Invitation],
    masters: Mapping[str, Master],
    selection: Selection,
    window: Window,
) -> Iterator[Item]:
    """Yield the events of the window; a whole series once, as its master shows it."""
    inside = [event for event in events if event.lies_in(window)]
    if selection.events.series is Series.OCCURRENCES:
        series = {event.series for event in events}
        yield from (_by_itself(event, series) for event in inside)
        return
    answered = set[str]()
    for event in inside:
        master = None if event.series is None else masters[event.series]
        if event.series is None or master is None:
            yield event
        elif event.series not in answered:
            answered.add(event.series)
            yield _whole(event, event.series, master)


def _by_itself(event: Invitation, series: Collection[str | None]) -> Item:
    """Return an event from a view of occurrences, where a whole series does not belong."""
    is_whole = event.kind is Kind.MASTER or event.id in series
    return Unreadable(event.id, event.shown) if is_whole else event


def _whole(first: Invitation, series: str, master: Item) -> Item:
    if isinstance(master, Unreadable):
        return Unreadable(series, first.shown)
    return replace(master, id=series, series=None, start=first.start)


def _is_meant(event: Invitation, selection: Selection) -> bool:
    wanted = selection.events
    if wanted.subject and wanted.subject.casefold() not in event.subject.casefold():
        return False
    home = selection.user.rpartition("@")[2].casefold()
    return not wanted.organizer or any(
        _organizes(event.organizer, who.casefold(), home) for who in wanted.organizer
    )


def _organizes(organizer: str, who: str, home: str) -> bool:
    # Exchange shows some people of its own organization by a name without a domain.
    internal = "@" not in organizer or organizer.endswith(f"@{home}")
    match who:
        case "internal":
            return internal
        case "external":
            return not internal
        case _:
            return organizer.endswith(who) if who.startswith("@") else organizer == who


def _find(event: Invitation, selection: Selection) -> Found:
    return Found(
        event=event.id,
        quiet=not event.response_requested,
        seen=event.response,
        ending=_passed_over(event, selection),
        series=event.series,
        shown=event.shown,
    )


def _find_unreadable(event: Unreadable) -> Found:
    return Found(
        event=event.id, quiet=True, seen="none", ending=UNREADABLE, series=None, shown=event.shown
    )


def _passed_over(event: Invitation, selection: Selection) -> Ending | None:
    own = event.is_organizer or event.organizer in {"", selection.mailbox}
    if event.alone and own:  # else somebody asks, and the list is merely not shown
        return Ending(Outcome.SKIPPED, Reason.NO_ATTENDEES)
    if event.is_organizer:
        return Ending(Outcome.SKIPPED, Reason.ORGANIZER)
    if event.is_cancelled:
        return Ending(Outcome.SKIPPED, Reason.CANCELLED)
    if event.response == ANSWERS[selection.action]:
        return Ending(Outcome.ALREADY)
    if not event.response_requested and selection.if_not_requested == "skip":
        return Ending(Outcome.SKIPPED, Reason.NOT_REQUESTED)
    return None
