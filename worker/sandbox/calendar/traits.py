"""
Users and events that behave by their name, so that every refusal can be tried without set-up.

Everything else exists, is unanswered, was organized by someone else, and wants a response.

    an event that starts with    shows or answers
    organizer-                   400 ErrorInvalidRequest: the user organizes it
    not-requested-               400 ErrorInvalidRequest when a response is to be sent
    no-proposals-                400 ErrorInvalidRequest when a new time is proposed
    cancelled-                   shows isCancelled; takes the answer (nobody has published
                                 what Graph does)
    declined-                    declined already, and kept in the calendar
    tentative-, accepted-        answered so already
    not-found-                   404 ErrorItemNotFound
    malformed-                   400 ErrorInvalidIdMalformed
    refused-                     400 ErrorInvalidRequest with a text of its own
    lost-                        takes the first answer and closes without a reply
    failing-                     500 to every answer, none is taken
    unreadable-                  504 to every answer, taken or not, and 403 to every look

    a user that starts with      answers
    unknown                      404 ErrorInvalidUser
    nobody                       404 Request_ResourceNotFound
    unlicensed                   404 MailboxNotEnabledForRESTAPI
    undiscovered                 404 ResourceNotFound
    denied                       403 ErrorAccessDenied, by an application access policy
    forbidden                    403 ErrorAccessDenied, Access is denied
    busy                         429 to the first calls (option `busy_times`)
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from worker.sandbox.graph.faults import Effect, Rule
from worker.sandbox.graph.replies import (
    ACCESS_DENIED,
    MALFORMED_ID,
    NO_DIRECTORY_ENTRY,
    NO_MAILBOX,
    NO_USER,
    OUT_OF_SCOPE,
    REFUSED,
    UNDISCOVERED,
    Reply,
)


class Answer(StrEnum):
    """What `responseStatus.response` can show (Graph: responseStatus)."""

    NONE = "none"
    ORGANIZER = "organizer"
    TENTATIVELY_ACCEPTED = "tentativelyAccepted"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    NOT_RESPONDED = "notResponded"


class EventState(BaseModel):
    """What one mailbox's calendar holds of one event; an event may be gone."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    exists: bool = True
    response: Answer = Answer.NOT_RESPONDED
    is_organizer: bool = False
    is_cancelled: bool = False
    response_requested: bool = True
    allow_new_time_proposals: bool = True


@lru_cache(maxsize=256)  # thousands of calls a second lead from a few states to a few others
def answered(state: EventState, answer: Answer, stays: bool) -> EventState:  # noqa: FBT001  # a cache's key
    """Return the state after an answer; an event that does not stay is gone."""
    return state.model_copy(update={"response": answer, "exists": stays})


@dataclass(frozen=True, slots=True)
class Trait:
    """
    What an event's name decides: its first state, and how calls go.

    `refusal` meets every call, `look_refusal` every look, `fault` every answer; with `once` the
    fault strikes only while the event is in its first state.
    """

    state: EventState = field(default_factory=EventState)
    refusal: Reply | None = None
    look_refusal: Reply | None = None
    fault: Rule | None = None
    once: bool = False


PLAIN: Final = Trait()

EVENT_TRAITS: Final = {
    "organizer-": Trait(EventState(response=Answer.ORGANIZER, is_organizer=True)),
    "not-requested-": Trait(EventState(response_requested=False)),
    "no-proposals-": Trait(EventState(allow_new_time_proposals=False)),
    "cancelled-": Trait(EventState(is_cancelled=True)),
    "declined-": Trait(EventState(response=Answer.DECLINED)),
    "tentative-": Trait(EventState(response=Answer.TENTATIVELY_ACCEPTED)),
    "accepted-": Trait(EventState(response=Answer.ACCEPTED)),
    "not-found-": Trait(EventState(exists=False)),
    "malformed-": Trait(refusal=MALFORMED_ID),
    "refused-": Trait(refusal=REFUSED),
    "lost-": Trait(fault=Rule(effect=Effect.LOST), once=True),
    "failing-": Trait(fault=Rule(status=500, code="ErrorInternalServerError")),
    "unreadable-": Trait(fault=Rule(status=504, taken=True), look_refusal=ACCESS_DENIED),
}

USER_TRAITS: Final = {
    "unknown": NO_USER,
    "nobody": NO_DIRECTORY_ENTRY,
    "unlicensed": NO_MAILBOX,
    "undiscovered": UNDISCOVERED,
    "denied": OUT_OF_SCOPE,
    "forbidden": ACCESS_DENIED,
}

BUSY: Final = "busy"

_EVENT_PREFIXES: Final = tuple(EVENT_TRAITS)
_USER_PREFIXES: Final = tuple(USER_TRAITS)


def trait_of(event: str) -> Trait:
    """Return what an event's name decides."""
    if not event.startswith(_EVENT_PREFIXES):
        return PLAIN
    return next(EVENT_TRAITS[prefix] for prefix in EVENT_TRAITS if event.startswith(prefix))


def refusal_of(mailbox: str) -> Reply | None:
    """Return the refusal that a user's name asks for; `mailbox` is case-folded."""
    if not mailbox.startswith(_USER_PREFIXES):
        return None
    return next(USER_TRAITS[prefix] for prefix in USER_TRAITS if mailbox.startswith(prefix))
