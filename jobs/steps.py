"""
What is to be done next for a response, by its record and the terms of its batch.

Pure: `worker/slice/work.py` does it.
"""

from dataclasses import dataclass
from enum import StrEnum

from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record, State


class Step(StrEnum):
    """What is to be done next for a response."""

    SEND = "send"
    LOOK = "look"
    WAIT = "wait"
    SETTLE = "settle"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Next:
    """A step, with the moment for WAIT and the ending for SETTLE."""

    step: Step
    until_ms: int = 0
    ending: Ending | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the batch and the settings say about continuing; times in milliseconds."""

    deadline_ms: int
    cancelled: bool
    check_first: bool
    plan: bool
    max_attempts: int
    settle_ms: int


def next_step(record: Record, terms: Terms, now_ms: int) -> Next:
    """
    Say what is to be done next for a response that has no call under way.

    What may have been sent is looked at first, whatever else has happened, and so is what was
    refused without a clear reason. Only what was certainly neither sent nor refused can be
    cancelled, expire, or run out of attempts.
    """
    if record.state is State.SETTLED:
        return Next(Step.NOTHING)
    if record.failed_looks >= terms.max_attempts:
        return Next(Step.SETTLE, ending=_given_up(record))
    if record.unknown_since_ms or record.refusal:
        settled_ms = record.unknown_since_ms and record.unknown_since_ms + terms.settle_ms
        due_ms = max(settled_ms, record.waiting_until_ms)
        return Next(Step.LOOK) if due_ms <= now_ms else Next(Step.WAIT, until_ms=due_ms)
    return _unsent_step(record, terms, now_ms)


def _unsent_step(record: Record, terms: Terms, now_ms: int) -> Next:  # a table
    if terms.cancelled:
        return Next(Step.SETTLE, ending=Ending(Outcome.CANCELLED))
    if terms.deadline_ms <= now_ms:
        return Next(Step.SETTLE, ending=Ending(Outcome.EXPIRED))
    if record.attempts >= terms.max_attempts:
        return Next(Step.SETTLE, ending=Ending(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED))
    if record.waiting_until_ms > now_ms:
        return Next(Step.WAIT, until_ms=min(record.waiting_until_ms, terms.deadline_ms))
    if (terms.check_first or terms.plan) and record.seen is None:
        return Next(Step.LOOK)
    return Next(Step.SETTLE, ending=Ending(Outcome.PLANNED)) if terms.plan else Next(Step.SEND)


def _given_up(record: Record) -> Ending:
    """Return how it ends when looking has failed too often; a person decides what was sent."""
    if record.unknown_since_ms:
        return Ending(Outcome.UNCERTAIN)
    return Ending(Outcome.FAILED, record.refusal or Reason.ATTEMPTS_EXHAUSTED)
