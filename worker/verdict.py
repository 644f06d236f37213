"""
What one reply means for one response: the only place that decides it.

Two tables, one for a call that sends and one for a look, both total: what neither names is
unknown, and what is unknown is looked at before it is sent again. It does not wait, write or
log; `worker/call.py` does what a judgement says.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from jobs.choosing import ANSWERS
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record
from jobs.response import Action, Response
from worker.reply import Event, Reply


class Verdict(StrEnum):
    """What a reply means: the word in the log."""

    SENT = "sent"
    WAIT = "wait"
    AGAIN = "again"
    LOOK = "look"
    REFUSED = "refused"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict, with the ending where it settles the response.

    `token` is true where it was the token that was refused; `shown` is the answer that a look
    found in the calendar.
    """

    verdict: Verdict
    ending: Ending | None = None
    token: bool = False
    shown: str | None = None


WAIT: Final = Judgement(Verdict.WAIT)
AGAIN: Final = Judgement(Verdict.AGAIN)
LOOK: Final = Judgement(Verdict.LOOK)
NEW_TOKEN: Final = Judgement(Verdict.AGAIN, token=True)
ACCEPTED: Final = Judgement(Verdict.SENT, Ending(Outcome.SENT, Reason.ACCEPTED))

UNANSWERED: Final = frozenset({"none", "notResponded"})

REFUSALS: Final = frozenset({400, 403, 404, 405, 409, 410, 412, 413, 415, 422, 501})
"""Statuses after which Graph has surely not carried the call out, and never will."""

SLOW_DOWN: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, 509})
"""Statuses that mean `wait` when they come with a Retry-After."""

SUCCESSES: Final = range(200, 300)

QUOTA_CODES: Final = frozenset({"ErrorExceededMessageLimit"})
"""Exchange's word that the mailbox may send no more for now, under whatever status."""

REASON_BY_CODE: Final = {
    "ErrorItemNotFound": Reason.NOT_FOUND,
    "MailboxNotEnabledForRESTAPI": Reason.MAILBOX_UNAVAILABLE,
    "ResourceNotFound": Reason.MAILBOX_UNAVAILABLE,
    "ErrorNonExistentMailbox": Reason.MAILBOX_UNAVAILABLE,
    "ErrorAccountDisabled": Reason.MAILBOX_UNAVAILABLE,
    "ErrorInvalidUser": Reason.USER_NOT_FOUND,
    "Request_ResourceNotFound": Reason.USER_NOT_FOUND,
    "ErrorAccessDenied": Reason.ACCESS_DENIED,
    "Authorization_RequestDenied": Reason.ACCESS_DENIED,
    "ErrorInvalidIdMalformed": Reason.MALFORMED_ID,
    "RequestBroker--ParseUri": Reason.MALFORMED_ID,
    "ErrorCalendarIsOrganizerForAccept": Reason.ORGANIZER,
    "ErrorCalendarIsOrganizerForDecline": Reason.ORGANIZER,
    "ErrorCalendarIsOrganizerForTentative": Reason.ORGANIZER,
}

REASON_BY_STATUS: Final[dict[int, Reason]] = {
    HTTPStatus.FORBIDDEN: Reason.ACCESS_DENIED,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.GONE: Reason.NOT_FOUND,
}

# Two refusals share the code ErrorInvalidRequest, and only their text tells them apart. Both
# texts name the organizer, so the order matters.
NOT_REQUESTED_TEXT: Final = re.compile(r"(has\s?n.?t|has not) requested a response", re.IGNORECASE)
ORGANIZER_TEXT: Final = re.compile(r"you.{0,5}re the meeting organizer", re.IGNORECASE)
PROPOSAL_TEXT: Final = re.compile(r"propos", re.IGNORECASE)
PROPOSAL_CODES: Final = frozenset({"ErrorInvalidRequest", "ErrorInvalidParameter"})


def judge(reply: Reply, response: Response, record: Record) -> Judgement:
    """Say what the reply to a call that sends means for its response."""
    if reply.status is None:
        return LOOK if reply.reached else AGAIN
    if _is_success(reply.status):
        return ACCEPTED
    if (common := _judge_either(reply)) is not None:
        return common
    if _gone_after_unknown_decline(reply, response, record):
        return Judgement(Verdict.SENT, _worked(record))
    if reply.status in REFUSALS:
        return Judgement(Verdict.REFUSED, Ending(Outcome.FAILED, _reason(reply, response)))
    return LOOK


def judge_look(reply: Reply, response: Response, record: Record) -> Judgement:
    """
    Say what the reply to a look means for its response.

    `again` is to look again; a look sends nothing, so there is no harm in it.
    """
    if reply.status is None:
        return AGAIN
    if reply.event is not None:
        return _judge_event(reply.event, response, record)
    if (common := _judge_either(reply)) is not None:
        return common
    if reply.status in REFUSALS:
        return _judge_unreadable(reply, response, record)
    return AGAIN


def judge_page(reply: Reply) -> Judgement:
    """Say what the reply to a call that reads a page of a calendar means for its selection."""
    return _judge_reading(reply, seen=reply.page is not None)


def judge_peek(reply: Reply) -> Judgement:
    """Say what the reply to a call that only tries whether a calendar can be read means."""
    return _judge_reading(reply, seen=reply.is_json)


def _judge_reading(reply: Reply, *, seen: bool) -> Judgement:
    if reply.status is None:
        return AGAIN
    if seen and _is_success(reply.status):
        return Judgement(Verdict.SEEN)
    if (common := _judge_either(reply)) is not None:
        return common
    if reply.status in REFUSALS:
        return Judgement(Verdict.REFUSED, Ending(Outcome.FAILED, _reason(reply)))
    return AGAIN


def _judge_either(reply: Reply) -> Judgement | None:
    """Judge what means the same for both kinds of call."""
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.code in QUOTA_CODES:
        return WAIT
    if reply.status in SLOW_DOWN and reply.retry_after is not None:
        return WAIT
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return NEW_TOKEN
    return None


def _judge_event(event: Event, response: Response, record: Record) -> Judgement:
    """Judge what the calendar shows; the wanted answer comes before all that forbids one."""
    if event.response == ANSWERS[response.action]:
        worked = Ending(Outcome.SENT, Reason.VERIFIED)
        return _seen(worked if record.unknown_since_ms else Ending(Outcome.ALREADY))
    if event.is_organizer:
        return _seen(Ending(Outcome.SKIPPED, Reason.ORGANIZER))
    if event.is_cancelled:
        return _seen(Ending(Outcome.SKIPPED, Reason.CANCELLED))
    if response.send_response and not event.response_requested:
        return _seen(Ending(Outcome.SKIPPED, Reason.NOT_REQUESTED))
    if record.unknown_since_ms and event.response not in UNANSWERED | {record.seen}:
        return _seen(Ending(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE))
    return Judgement(Verdict.SEEN, shown=event.response)


def _judge_unreadable(reply: Reply, response: Response, record: Record) -> Judgement:
    """Judge a look that Graph refused: what is gone after a decline was declined."""
    if _gone_after_unknown_decline(reply, response, record):
        return _seen(_worked(record))
    if record.unknown_since_ms:
        return Judgement(Verdict.REFUSED, Ending(Outcome.UNCERTAIN))
    return Judgement(Verdict.REFUSED, Ending(Outcome.FAILED, _reason(reply, response)))


def _seen(ending: Ending) -> Judgement:
    return Judgement(Verdict.SEEN, ending)


def _is_success(status: int) -> bool:
    return status in SUCCESSES


def _gone_after_unknown_decline(reply: Reply, response: Response, record: Record) -> bool:
    return (
        record.unclear
        and response.action is Action.DECLINE
        and reply.status == HTTPStatus.NOT_FOUND
        and _reason(reply, response) is Reason.NOT_FOUND
    )


def _worked(record: Record) -> Ending:
    """Return how a decline ends that has worked: shown, if the event was seen before, or not."""
    return Ending(Outcome.SENT, Reason.INFERRED if record.seen is None else Reason.VERIFIED)


def _reason(reply: Reply, response: Response | None = None) -> Reason:
    """Name a refusal: by its code, by its text where a code is shared, by its status."""
    if (reason := REASON_BY_CODE.get(reply.code or "")) is not None:
        return reason
    text = reply.message or ""
    if NOT_REQUESTED_TEXT.search(text):
        return Reason.NOT_REQUESTED
    if ORGANIZER_TEXT.search(text):
        return Reason.ORGANIZER
    if response and response.proposed_new_time and _rejects_proposal(reply):
        return Reason.PROPOSAL_NOT_ALLOWED
    return REASON_BY_STATUS.get(reply.status or 0, Reason.BAD_REQUEST)


def _rejects_proposal(reply: Reply) -> bool:
    # Graph documents this 400 without its code; the row was checked for every other reason.
    return reply.status == HTTPStatus.BAD_REQUEST and (
        reply.code in PROPOSAL_CODES or PROPOSAL_TEXT.search(reply.message or "") is not None
    )
