"""
A calendar with planted events: what it holds when, and what an answer makes of a series.

Only what was planted exists here. An occurrence shows what its series shows, but for what was
changed or answered of itself; it is made anew whenever somebody asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from worker.sandbox.calendar.event import Event, occurrence_id, plain_event
from worker.sandbox.calendar.planting import Change, Planting, told
from worker.sandbox.calendar.traits import Answer, EventState, answered
from worker.sandbox.graph.replies import NOT_FOUND, RefusedError

_GONE: Final = EventState(exists=False)


class Slot(NamedTuple):
    """When a calendar shows what; a series stands here by its occurrences only."""

    start: datetime
    end: datetime
    event: str
    is_instance: bool
    calendar: str | None


class PlantedEvents:
    """The events of one user; `kept` are states put before any event was planted."""

    def __init__(self, user: str, kept: Mapping[str, EventState]) -> None:
        self._user = user
        self._events: dict[str, Event] = {}
        self._states = dict(kept)
        self._exceptions: dict[str, Event] = {}
        self._own_states: dict[str, dict[str, Any]] = {}
        self._touched: set[str] = set(kept)
        self._slots: list[Slot] = []
        self._is_sorted = True

    def plant(self, plantings: Iterable[Planting]) -> None:
        """Put new events in."""
        for planting in plantings:
            self._forget_instances(planting.id)
            self._events[planting.id] = planting.event_of(self._user)
            self._states[planting.id] = planting.first_state(self._user)
            for index, change in (planting.series.exceptions if planting.series else {}).items():
                self.change(occurrence_id(planting.id, index), change)
        self._is_sorted = False

    def change(self, event: str, change: Change) -> None:
        """
        Change some of an event that is held; an occurrence becomes an exception.

        Raises `ValueError` for a wrong pair of times, and then nothing has changed.
        """
        facts, state = change.apply(self.event(event), self._user), change.state_in(self._user)
        if event in self._events:
            self._events[event] = facts
            self._states[event] = self._states[event].model_copy(update=state)
        else:
            self._exceptions[event] = replace(facts, is_exception=True)
            self._own_states[event] = self._own_states.get(event, {}) | state
        self._is_sorted = False

    def holds(self, event: str) -> bool:
        """Say whether an event was planted, or is an occurrence of one that was."""
        return event in self._events or self._place(event) is not None

    def ids(self) -> list[str]:
        """Return what was planted and is still there; a series stands for its occurrences."""
        return [event for event in self._events if self._states[event].exists]

    def was_touched(self, event: str) -> bool:
        """Say whether an event was answered, or its bare state put."""
        return event in self._touched

    def state(self, event: str) -> EventState:
        """Return what the calendar shows; what nobody has planted is not there."""
        own = self._states.get(event)
        if own is not None:
            return own
        place = self._place(event)
        if place is None:
            return _GONE
        whole = self._states[place[0].id]
        changes = self._own_states.get(event)
        # When its series is gone an exception goes too: it is kept inside the series' item.
        return whole.model_copy(update=changes) if changes and whole.exists else whole

    def event(self, event: str) -> Event:
        """Return the facts of an event."""
        known = self._events.get(event) or self._exceptions.get(event)
        if known is not None:
            return known
        place = self._place(event)
        if place is None:
            return plain_event(event, self._user)
        whole, index = place
        return replace(whole.occurrence(index), is_exception=event in self._own_states)

    def put(self, event: str, state: EventState) -> None:
        """Replace what the calendar shows of an event; the facts stay, if there are any."""
        self._touched.add(event)
        if self._place(event) is None:
            self._states[event] = state
        else:
            self._own_states[event] = dict(state)

    def answer(self, event: str, state: EventState, answer: Answer, *, stays: bool) -> None:
        """
        Show an answer; an event that does not stay is gone.

        An answered series answers all its occurrences but those that have an answer of their
        own: what Graph makes of them is not documented, and to keep theirs promises less.
        """
        self._touched.add(event)
        if event in self._states:
            self._states[event] = answered(state, answer, stays)
        else:
            own = {"response": answer, "exists": stays}
            self._own_states[event] = self._own_states.get(event, {}) | own

    def within(self, calendar: str | None, start: datetime, end: datetime) -> list[Slot]:
        """
        Return what a calendar shows between two moments, by start.

        What ends at the very start is shown, as users report of Graph; what starts at the very
        end is not. Raises `RefusedError` for a calendar that the user does not have.
        """
        slots = self._sorted()
        if calendar is not None and all(slot.calendar != calendar for slot in slots):
            raise RefusedError(NOT_FOUND)
        return [
            slot
            for slot in slots
            if slot.start < end
            and slot.end >= start
            and slot.calendar == calendar
            and self.state(slot.event).exists
        ]

    def tell(self) -> dict[str, Any]:
        """Return all that is held or was put, in the keys that are posted."""
        instances = (slot.event for slot in self._sorted() if slot.is_instance)
        return {event: self.tell_of(event) for event in (*self._states, *instances)}

    def tell_of(self, event: str) -> dict[str, Any]:
        """Return one event in the same keys; of a bare state there is no more to tell."""
        state = self.state(event)
        if not self.holds(event):
            return state.model_dump(by_alias=True)
        return told(self.event(event), state)

    def _place(self, event: str) -> tuple[Event, int] | None:
        """Return the series that an occurrence belongs to, and its number there."""
        master, _, number = event.rpartition(".")
        whole = self._events.get(master)
        if whole is None or whole.series is None or not number.isdecimal():
            return None
        index = int(number)
        is_named_so = index < whole.series.count and event == occurrence_id(master, index)
        return (whole, index) if is_named_so else None

    def _forget_instances(self, master: str) -> None:
        whole = self._events.get(master)
        count = whole.series.count if whole and whole.series else 0
        for index in range(count):
            instance = occurrence_id(master, index)
            self._exceptions.pop(instance, None)
            self._own_states.pop(instance, None)
            self._touched.discard(instance)

    def _sorted(self) -> list[Slot]:
        if not self._is_sorted:
            self._slots = sorted(self._all_slots())
            self._is_sorted = True
        return self._slots

    def _all_slots(self) -> Iterator[Slot]:
        for event in self._events.values():
            if event.series is None:
                yield Slot(event.start, event.end, event.id, False, event.calendar)  # noqa: FBT003  # a named tuple's own order
            for index in range(event.series.count if event.series else 0):
                yield self._instance_slot(event, index)

    def _instance_slot(self, whole: Event, index: int) -> Slot:
        event = occurrence_id(whole.id, index)
        moved = self._exceptions.get(event)
        start = moved.start if moved else whole.starts(index)
        end = moved.end if moved else start + (whole.end - whole.start)
        return Slot(start, end, event, True, whole.calendar)  # noqa: FBT003  # as above
