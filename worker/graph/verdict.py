"""
What one reply means for one response: the only place that decides it.

There are three tables: for a call that sends, for a look, and for a page of a calendar. Only
Graph's own word about this event is believed: an error in Graph's JSON with a meaningful code, or a
202 without a body. What comes from a front door, a proxy or a broken connection proves nothing, and
a look follows before anything is sent again. The module does not wait, write or log: that follows
from a judgement in `worker/slice/calls/call.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record
from jobs.rows.choosing import ANSWERS
from jobs.rows.response import Action, Response
from worker.graph import codes, error
from worker.graph.reply import Event, Reply


class Verdict(StrEnum):
    """What a reply means: the word in the log."""

    SENT = "sent"
    WAIT = "wait"
    AGAIN = "again"
    LOOK = "look"
    REFUSED = "refused"
    SEEN = "seen"


GRAPHS_WORD: Final = frozenset({Verdict.SENT, Verdict.REFUSED, Verdict.SEEN})
"""Verdicts that rest on Graph's own word, of a mailbox that is not to be waited for."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict, with the ending where it settles the response.

    `token` is true where it was the token that was refused, `away` where the mailbox cannot be
    used for a while. `shown` is the answer that a look found in the calendar. `refusal` is the
    reason that stands unless a look finds a better one: surely nothing was carried out.
    """

    verdict: Verdict
    ending: Ending | None = None
    token: bool = False
    away: bool = False
    shown: str | None = None
    refusal: Reason | None = None


WAIT: Final = Judgement(Verdict.WAIT)
AWAY: Final = Judgement(Verdict.WAIT, away=True)
AGAIN: Final = Judgement(Verdict.AGAIN)
LOOK: Final = Judgement(Verdict.LOOK)
NEW_TOKEN: Final = Judgement(Verdict.AGAIN, token=True)
ACCEPTED: Final = Judgement(Verdict.SENT, Ending(Outcome.SENT, Reason.ACCEPTED))
UNCERTAIN: Final = Judgement(Verdict.REFUSED, Ending(Outcome.UNCERTAIN))

UNANSWERED: Final = frozenset({"none", "notResponded"})

CLOCKS_DIFFER_MS: Final = 60_000
"""By so much may Graph's clock and ours differ: what lies closer has no order."""

SUCCESSES: Final = range(200, 300)

TAKEN: Final = 202
"""The one success with which Graph takes a response (Graph: event-decline)."""

SLOW_DOWN: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, 509})
"""Statuses that mean `wait` when they come from Graph with a Retry-After."""


def judge(reply: Reply, response: Response, record: Record) -> Judgement:
    """Return what the reply to a call that sends means for its response."""
    if reply.status is None:
        return LOOK if reply.reached else AGAIN
    if reply.status in SUCCESSES:
        return ACCEPTED if _is_acceptance(reply) else LOOK
    return _judge_any(reply) or _judge_unsuccessful(reply, response, record)


def _judge_unsuccessful(reply: Reply, response: Response, record: Record) -> Judgement:
    if _gone_after_unknown_decline(reply, response, record):
        return Judgement(Verdict.SENT, INFERRED)
    if not error.is_refusal(reply):
        return LOOK
    if (reason := error.reason(reply, response)) is None:
        return Judgement(Verdict.LOOK, refusal=error.likely_reason(reply, response))
    return _refused(reason)


def judge_look(reply: Reply, response: Response, record: Record, begun_ms: int) -> Judgement:
    """
    Return what the reply to a look means for its response.

    `begun_ms` is a moment before which no call of its batch was made (ms since the epoch). `again`
    is to look again; a look sends nothing, so it does no harm.
    """
    if reply.status is None:
        return AGAIN
    if reply.event is not None and reply.status in SUCCESSES:
        return _judge_event(reply.event, response, record, begun_ms)
    if (common := _judge_any(reply)) is not None:
        return common
    if _gone_after_unknown_decline(reply, response, record):
        return _seen(INFERRED)
    reason = error.reason(reply) or Reason.BAD_REQUEST
    if not error.is_refusal(reply) or (record.unknown_since_ms and reason in codes.ELSEWHERE):
        return AGAIN
    return _cannot_be_read(record, reason)


def judge_page(reply: Reply) -> Judgement:
    """Return what the reply to a call that reads a page of a calendar means for its selection."""
    return _judge_reading(reply, seen=reply.page is not None)


def judge_peek(reply: Reply) -> Judgement:
    """Return what the reply to a call that only tries whether a calendar can be read means."""
    return _judge_reading(reply, seen=reply.is_json)


def judge_lone_token(record: Record) -> Judgement:
    """Return what a 401 means that is one mailbox's own: it cannot be used."""
    return _cannot_be_read(record, Reason.MAILBOX_UNAVAILABLE)


INFERRED: Final = Ending(Outcome.SENT, Reason.INFERRED)


def _judge_reading(reply: Reply, *, seen: bool) -> Judgement:
    if reply.status is None:
        return AGAIN
    if seen and reply.status in SUCCESSES:
        return Judgement(Verdict.SEEN)
    if (common := _judge_any(reply)) is not None:
        return common
    return _refused(error.reason(reply) or Reason.BAD_REQUEST) if error.is_refusal(reply) else AGAIN


def _judge_any(reply: Reply) -> Judgement | None:
    """Judge what means the same for all kinds of call; the code comes before the status."""
    word = error.word(reply)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or word in codes.QUOTA:
        return WAIT
    if word in codes.AWAY:
        return AWAY
    if reply.status in SLOW_DOWN and reply.code is not None and reply.retry_after_s is not None:
        return None if word in codes.DOUBTFUL else WAIT
    if reply.status == HTTPStatus.UNAUTHORIZED and (
        word in codes.TOKEN or word not in codes.REASONS
    ):
        return NEW_TOKEN
    return None


def _is_acceptance(reply: Reply) -> bool:
    """Whether Graph took it: 202 without a body, which a page from elsewhere would have."""
    return reply.status == TAKEN and not reply.has_body


def _judge_event(event: Event, response: Response, record: Record, begun_ms: int) -> Judgement:
    """Judge what the calendar shows; the wanted answer comes before all that forbids one."""
    if event.response == ANSWERS[response.action]:
        worked = Ending(Outcome.SENT, Reason.VERIFIED)
        return _seen(worked if record.unclear else Ending(Outcome.ALREADY))
    if (reason := _hindrance(event, response)) is not None:
        return _seen(Ending(Outcome.SKIPPED, reason))
    if record.unknown_since_ms and event.response not in UNANSWERED | {record.seen}:
        otherwise = _judge_other_answer(event, record, begun_ms)
        if otherwise is not None:
            return _seen(otherwise)
    if record.refusal is not None:
        return _seen(Ending(Outcome.FAILED, _explained(record.refusal, event)))
    return Judgement(Verdict.SEEN, shown=event.response)


def _judge_other_answer(event: Event, record: Record, begun_ms: int) -> Ending | None:
    """
    Judge another answer than the wanted one, which was not seen before; None if it is old.

    Given before the first call, it shows that none was carried out; given after the last one, it
    is a person's later wish. Between the two, and without a time, it cannot be known.
    """
    if event.answered_at is None:
        return Ending(Outcome.UNCERTAIN)
    answered_ms = event.answered_at.timestamp() * 1000
    if answered_ms < begun_ms - CLOCKS_DIFFER_MS:
        return None
    if answered_ms > record.unknown_since_ms + CLOCKS_DIFFER_MS:
        return Ending(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE)
    return Ending(Outcome.UNCERTAIN)


def _hindrance(event: Event, response: Response) -> Reason | None:
    """Return why an event must not be answered, if it must not."""
    if event.is_organizer:
        return Reason.ORGANIZER
    if event.is_cancelled:
        return Reason.CANCELLED
    if response.send_response and not event.response_requested:
        return Reason.NOT_REQUESTED
    return None


def _explained(refusal: Reason, event: Event) -> Reason:
    """Return the reason of a refusal, now that the event has been seen."""
    if refusal is Reason.PROPOSAL_NOT_ALLOWED and event.proposals_allowed:
        return Reason.BAD_REQUEST
    return refusal


def _cannot_be_read(record: Record, reason: Reason) -> Judgement:
    """Judge a reading that was refused for good: what may have been sent is for a person then."""
    if record.unknown_since_ms:
        return UNCERTAIN
    return _refused(record.refusal or reason)


def _refused(reason: Reason) -> Judgement:
    return Judgement(Verdict.REFUSED, Ending(Outcome.FAILED, reason))


def _seen(ending: Ending) -> Judgement:
    return Judgement(Verdict.SEEN, ending)


def _gone_after_unknown_decline(reply: Reply, response: Response, record: Record) -> bool:
    return (
        record.unclear
        and response.action is Action.DECLINE
        and reply.status in error.REFUSALS
        and error.word(reply) in codes.GONE
    )
