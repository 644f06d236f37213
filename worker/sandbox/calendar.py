"""
The calendars behind the simulated Graph: what each mailbox holds, shows, and takes.

Nothing has to be set up: an event that nobody has touched is as its name says (`traits.py`).
Only what was changed is remembered. Throttling stands beside it, in each mailbox's gate.
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import orjson

from worker.sandbox.body import ActionBody
from worker.sandbox.options import Options
from worker.sandbox.replies import (
    ACCEPTED,
    NO_PROPOSALS,
    NOT_FOUND,
    NOT_REQUESTED,
    ORGANIZER,
    RefusedError,
    Reply,
    unknown_property,
)
from worker.sandbox.target import ACTIONS
from worker.sandbox.throttle import Gate
from worker.sandbox.traits import BUSY, Answer, EventState, refusal_of, trait_of

_TOLD_AT: Final = "2026-01-05T09:00:00Z"
_UNTOLD_AT: Final = "0001-01-01T00:00:00Z"


class Mailbox:
    """One user's calendar, and the gate before it."""

    __slots__ = ("_states", "gate", "refusal")

    def __init__(self, name: str, busy_times: int) -> None:
        self.gate = Gate(busy_times if name.startswith(BUSY) else 0)
        self.refusal = refusal_of(name)
        self._states: dict[str, EventState] = {}

    @property
    def changed(self) -> Mapping[str, EventState]:
        """The events that are no longer as their names say."""
        return self._states

    def state(self, event: str) -> EventState:
        """Return what the calendar holds; every event exists until it is answered."""
        return self._states.get(event) or trait_of(event).state

    def put(self, event: str, state: EventState) -> None:
        """Replace what the calendar holds."""
        self._states[event] = state

    def show(self, event: str, select: list[str] | None) -> Reply:
        """
        Answer a look.

        Raises `RefusedError` for what cannot be seen, and for a property that no event has.
        """
        trait = trait_of(event)
        self._check_existence(event, trait.refusal or trait.look_refusal)
        properties = _properties(event, self.state(event))
        for name in set(select or ()) - properties.keys():
            raise RefusedError(unknown_property(name))
        shown = properties if select is None else {name: properties[name] for name in select}
        return Reply(HTTPStatus.OK, content=orjson.dumps({"id": event} | shown))

    def take(self, event: str, action: str, body: ActionBody, *, keep_declined: bool) -> Reply:
        """
        Carry an action out: an equal second one is taken again, as Graph takes it.

        A declined event leaves the calendar, unless declined events are kept. Raises
        `RefusedError`, and then nothing has changed.
        """
        self._check_existence(event, trait_of(event).refusal)
        state = self.state(event)
        _check_state(state, body)
        answer = Answer(ACTIONS[action])
        # An event that shows as declined already stands in a calendar that keeps them.
        kept = keep_declined or state.response is Answer.DECLINED
        stays = answer is not Answer.DECLINED or kept
        self._states[event] = _answered(state, answer, stays)
        return ACCEPTED

    def _check_existence(self, event: str, refusal: Reply | None) -> None:
        refusal = self.refusal or refusal
        if refusal is not None:
            raise RefusedError(refusal)
        if not self.state(event).exists:
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


@lru_cache(maxsize=256)  # thousands of calls a second lead from a few states to a few others
def _answered(state: EventState, answer: Answer, stays: bool) -> EventState:  # noqa: FBT001  # a cache's key
    return state.model_copy(update={"response": answer, "exists": stays})


def _check_state(state: EventState, body: ActionBody) -> None:
    if state.is_organizer:
        raise RefusedError(ORGANIZER)
    if body.sends and not state.response_requested:
        raise RefusedError(NOT_REQUESTED)
    if body.proposes and not state.allow_new_time_proposals:
        raise RefusedError(NO_PROPOSALS)


def _properties(event: str, state: EventState) -> dict[str, Any]:
    told = state.response not in {Answer.NONE, Answer.NOT_RESPONDED}
    organizer = {"name": "Olga Organizer", "address": "olga@fabrikam.example"}
    return {
        "id": event,
        "subject": f"Meeting {event[:16]}",
        "type": "singleInstance",
        "start": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-12-01T11:00:00.0000000", "timeZone": "UTC"},
        "organizer": {"emailAddress": organizer},
        "isOrganizer": state.is_organizer,
        "isCancelled": state.is_cancelled,
        "responseRequested": state.response_requested,
        "allowNewTimeProposals": state.allow_new_time_proposals,
        "responseStatus": {
            "response": state.response,
            "time": _TOLD_AT if told else _UNTOLD_AT,
        },
    }
