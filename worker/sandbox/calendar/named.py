"""
A calendar that nobody has planted: every event exists, and is as its name says (`traits.py`).

Only what was changed is remembered. Where events have been planted, `planted.py` takes its place.
"""

from collections.abc import Mapping
from typing import Any

from worker.sandbox.calendar.event import Event, plain_event
from worker.sandbox.calendar.traits import Answer, EventState, answered, trait_of


class NamedEvents:
    """The events of one user, made up as they are asked for."""

    __slots__ = ("_states", "_user")

    def __init__(self, user: str) -> None:
        self._user = user
        self._states: dict[str, EventState] = {}

    @property
    def changed(self) -> Mapping[str, EventState]:
        """The events that are no longer as their names say."""
        return self._states

    def holds(self, event: str) -> bool:  # noqa: ARG002  # as planted events say it
        """Say whether more than the name is known of an event: never."""
        return False

    def ids(self) -> list[str]:
        """Return the events that can be listed: none, for they are made up as they are named."""
        return []

    def was_touched(self, event: str) -> bool:
        """Say whether an event is no longer in its first state."""
        return event in self._states

    def state(self, event: str) -> EventState:
        """Return what the calendar shows; every event exists until it is answered."""
        return self._states.get(event) or trait_of(event).state

    def event(self, event: str) -> Event:
        """Return the same facts for every event."""
        return plain_event(event, self._user)

    def put(self, event: str, state: EventState) -> None:
        """Replace what the calendar shows of an event."""
        self._states[event] = state

    def answer(self, event: str, state: EventState, answer: Answer, *, stays: bool) -> None:
        """Show an answer; an event that does not stay is gone."""
        self._states[event] = answered(state, answer, stays)

    def tell(self) -> dict[str, Any]:
        """Return what was changed, in the keys that are posted."""
        return {event: self.tell_of(event) for event in self._states}

    def tell_of(self, event: str) -> dict[str, Any]:
        """Return the state of one event, in the same keys."""
        return self.state(event).model_dump(by_alias=True)
