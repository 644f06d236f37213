"""
Which of a calendar's events a selection answers, and why it passes over the others.

Pure: it is given what the calendar shows, and returns what was found, each with its end where
nothing is to be sent. How a calendar is read is `worker/finding.py`'s.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

import orjson

from jobs.outcome import Ending, Outcome, Reason
from jobs.response import Action, Response
from jobs.selection import Selection, Series, Window

MAX_UNPACKED: Final = 64 << 20
"""Bytes of JSON that one selection may have found: some 100,000 events."""

ANSWERS: Final = {Action.DECLINE: "declined", Action.TENTATIVELY_ACCEPT: "tentativelyAccepted"}
"""What Graph's `responseStatus.response` shows after each action."""

OCCURRENCE: Final = "occurrence"
"""An event of a series that is as the series says; what differs is an exception."""

Shown = tuple[str | None, str, str]
"""Subject, start and organizer, for a person who reviews; the subject of a plan only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """
    An event as a calendar shows it.

    `start` and `end` are aware; of an all-day event they are midnights without a place, written
    as UTC. `organizer` is an address, in lower case, or empty. `alone` is true where nobody is
    invited.
    """

    id: str
    kind: str
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
        """When it starts, for a person: ISO 8601 in UTC, or a date."""
        return f"{self.start:%Y-%m-%d}" if self.all_day else f"{self.start:%Y-%m-%dT%H:%M:%SZ}"

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
        """Return it as a plan has it: what would be sent has ended."""
        return replace(self, ending=self.ending or Ending(Outcome.PLANNED))

    def discreet(self) -> Self:
        """Return it without its subject, which is kept for plans only."""
        return replace(self, shown=(None, *self.shown[1:]))


def widened(window: Window) -> Window:
    """Return the window to ask for: Graph matches all-day events as midnights in UTC."""
    day = timedelta(days=1)
    return Window(window.start - day, window.end + day)


def unknown_series(events: Iterable[Invitation], selection: Selection, window: Window) -> list[str]:
    """Return the series of which only exceptions were read, so that their masters must be."""
    if selection.events.series is Series.OCCURRENCES:
        return []
    known, wanted = set[str](), dict[str, None]()
    for event in events:
        if event.series is None:
            continue
        if event.kind == OCCURRENCE:
            known.add(event.series)
        if event.lies_in(window):
            wanted[event.series] = None
    return [series for series in wanted if series not in known]


def choose(
    events: Iterable[Invitation],
    masters: Mapping[str, Invitation],
    selection: Selection,
    window: Window,
) -> list[Found]:
    """
    Return what the selection answers or passes over, in the order of their starts.

    `events` are what a view of the widened window shows, `masters` the series that
    `unknown_series` names. What the filters leave out is not returned at all.
    """
    each = {event.id: event for event in events}.values()  # a page may repeat what moved meanwhile
    chosen = _answerable(sorted(each, key=lambda event: event.start), masters, selection, window)
    return [_find(event, selection) for event in chosen if _is_meant(event, selection)]


def _answerable(
    events: list[Invitation],
    masters: Mapping[str, Invitation],
    selection: Selection,
    window: Window,
) -> list[Invitation]:
    """Return the events of the window; a whole series once, as its own occurrences show it."""
    inside = [event for event in events if event.lies_in(window)]
    if selection.events.series is Series.OCCURRENCES:
        return inside
    plain = {e.series: e for e in reversed(events) if e.series and e.kind == OCCURRENCE}
    firsts = dict[str, Invitation]()
    for event in inside:
        firsts.setdefault(event.series or event.id, event)
    series = {**masters, **plain}
    return [
        event if event.series is None else _whole(event, series.get(name, event))
        for name, event in firsts.items()
    ]


def _whole(first: Invitation, series: Invitation) -> Invitation:
    return replace(series, id=first.series or "", series=None, start=first.start)


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
        shown=(event.subject, event.starts, event.organizer),
    )


def _passed_over(event: Invitation, selection: Selection) -> Ending | None:
    if event.alone:
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


def pack_found(found: Iterable[Found]) -> bytes:
    """Return what `unpack_found` reads."""
    return zlib.compress(orjson.dumps([_fields(each) for each in found]))


def _fields(found: Found) -> list[object]:
    ending = found.ending and found.ending.to_fields()
    return [found.event, found.quiet, found.seen, ending, found.series, *found.shown]


def unpack_found(body: bytes) -> list[Found]:
    """
    Return what a selection has found.

    Raises `ValueError` for whatever `pack_found` has not made. The ids are checked again when
    they become responses.
    """
    try:
        text = zlib.decompressobj().decompress(body, MAX_UNPACKED)
        return [_read_fields(*fields) for fields in orjson.loads(text)]
    except (zlib.error, TypeError) as error:
        raise ValueError(f"what was found is not as it was stored: {error}") from None


def _read_fields(event: str, quiet: Any, seen: str, ending: Any, series: Any, *shown: Any) -> Found:
    subject, start, organizer = shown
    return Found(
        event=event,
        quiet=quiet is True,
        seen=str(seen),
        ending=ending and Ending.from_fields(ending),
        series=series if isinstance(series, str) else None,
        shown=(subject and str(subject), str(start), str(organizer)),
    )
