"""
The calendars behind the simulated Graph: what each mailbox holds, shows, and takes.

Nothing has to be set up: an event that nobody has touched is as its name says (`named.py`),
until events are planted (`planted.py`). Throttling stands beside it, in each mailbox's gate.
"""

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from worker.sandbox.calendar.event import Event
from worker.sandbox.calendar.named import NamedEvents
from worker.sandbox.calendar.planted import PlantedEvents, Slot
from worker.sandbox.calendar.planting import STATE_KEYS, Change, Planting
from worker.sandbox.calendar.properties import shown
from worker.sandbox.calendar.throttle import Gate
from worker.sandbox.calendar.traits import BUSY, Answer, EventState, refusal_of, trait_of
from worker.sandbox.graph.body import ActionBody
from worker.sandbox.graph.replies import (
    ACCEPTED,
    NO_PROPOSALS,
    NOT_FOUND,
    NOT_REQUESTED,
    ORGANIZER,
    RefusedError,
    Reply,
)
from worker.sandbox.graph.target import ACTIONS
from worker.sandbox.options import Options


class Mailbox:
    """One user's calendars, and the gate before them."""

    __slots__ = ("_events", "gate", "name", "refusal")

    def __init__(self, name: str, busy_times: int) -> None:
        self.name = name
        self.gate = Gate(busy_times if name.startswith(BUSY) else 0)
        self.refusal = refusal_of(name)
        self._events: NamedEvents | PlantedEvents = NamedEvents(name)

    def was_touched(self, event: str) -> bool:
        """Say whether an event is no longer in its first state."""
        return self._events.was_touched(event)

    def state(self, event: str) -> EventState:
        """Return what the calendar shows of an event."""
        return self._events.state(event)

    def event(self, event: str) -> Event:
        """Return what and when an event is."""
        return self._events.event(event)

    def put(self, event: str, state: EventState) -> None:
        """Replace what the calendar shows of an event."""
        self._events.put(event, state)

    def plant(self, plantings: Iterable[Planting]) -> None:
        """Put new events in; from the first time on, only what was planted exists."""
        if isinstance(self._events, NamedEvents):
            self._events = PlantedEvents(self.name, self._events.changed)
        self._events.plant(plantings)

    def change(self, event: str, changes: dict[str, Any]) -> None:
        """
        Change some of an event, or plant it, when more is said than a bare state.

        `changes` has the keys of a `Planting`. Raises `ValueError` for what is wrong in it.
        """
        held = self._events.holds(event) and "series" not in changes
        if held and isinstance(self._events, PlantedEvents):
            self._events.change(event, Change.model_validate(changes))
        elif changes.keys() <= STATE_KEYS:
            now = self.state(event).model_dump(by_alias=True)
            self.put(event, EventState.model_validate(now | changes))
        else:
            self.plant([Planting.model_validate(changes | {"id": event})])

    def tell(self) -> dict[str, Any]:
        """Return the events that were planted or changed, in the keys that are posted."""
        return self._events.tell()

    def tell_of(self, event: str) -> dict[str, Any]:
        """Return one event in the same keys."""
        return self._events.tell_of(event)

    def within(self, calendar: str | None, start: datetime, end: datetime) -> list[Slot]:
        """
        Return what a calendar shows between two moments, by start.

        Raises `RefusedError` where the user or the calendar cannot be seen.
        """
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        if isinstance(self._events, NamedEvents):
            return []
        return self._events.within(calendar, start, end)

    def planted(self) -> list[str]:
        """Return the ids of the events that were planted; `RefusedError` as in `within`."""
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        return self._events.ids()

    def show(self, event: str, select: list[str] | None) -> Reply:
        """
        Answer a look.

        Raises `RefusedError` for what cannot be seen, and for a property that no event has.
        """
        trait = trait_of(event)
        self._check_existence(event, trait.refusal or trait.look_refusal)
        properties = shown(self.event(event), self.state(event), select)
        return Reply(HTTPStatus.OK, content=orjson.dumps(properties))

    def take(self, event: str, action: str, body: ActionBody, *, keep_declined: bool) -> Reply:
        """
        Carry an action out: an equal second one is taken again, as Graph takes it.

        A declined event leaves the calendar, unless declined events are kept. Raises
        `RefusedError`, and then nothing has changed.
        """
        self._check_existence(event, trait_of(event).refusal)
        state = self._events.state(event)
        _check_state(state, body)
        answer = Answer(ACTIONS[action])
        # An event that shows as declined already stands in a calendar that keeps them.
        kept = keep_declined or state.response is Answer.DECLINED
        stays = answer is not Answer.DECLINED or kept
        self._events.answer(event, state, answer, stays=stays)
        return ACCEPTED

    def _check_existence(self, event: str, refusal: Reply | None) -> None:
        refusal = self.refusal or refusal
        if refusal is not None:
            raise RefusedError(refusal)
        if not self._events.state(event).exists:
            raise RefusedError(NOT_FOUND)


class Calendars:
    """All mailboxes, by user; case does not count, and each exists when it is asked for."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, Mailbox] = {}

    def mailbox(self, user: str, options: Options) -> Mailbox:
        """Return a user's mailbox."""
        name = user.casefold()
        mailbox = self._mailboxes.get(name)
        if mailbox is None:
            mailbox = self._mailboxes[name] = Mailbox(name, options.busy_times)
        return mailbox


def _check_state(state: EventState, body: ActionBody) -> None:
    if state.is_organizer:
        raise RefusedError(ORGANIZER)
    if body.sends and not state.response_requested:
        raise RefusedError(NOT_REQUESTED)
    if body.proposes and not state.allow_new_time_proposals:
        raise RefusedError(NO_PROPOSALS)
