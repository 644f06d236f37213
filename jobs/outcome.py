"""
How a response can end: the closed vocabulary that the ledger, the log and the reports share.

A response ends in exactly one `Ending`. `worker/graph/verdict.py` judges what Graph says; this
module does not know Graph.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Outcome(StrEnum):
    """How a response ended."""

    SENT = "sent"
    ALREADY = "already"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PLANNED = "planned"


class Reason(StrEnum):
    """Why it ended that way; outcomes that explain themselves have none."""

    ACCEPTED = "accepted"
    VERIFIED = "verified"
    INFERRED = "inferred"
    ORGANIZER = "organizer"
    CANCELLED = "cancelled"
    NOT_REQUESTED = "not_requested"
    NO_ATTENDEES = "no_attendees"
    NOTHING_FOUND = "nothing_found"
    BAD_LINK = "bad_link"
    UNREADABLE_EVENT = "unreadable_event"
    TOO_MANY_EVENTS = "too_many_events"
    ANSWERED_OTHERWISE = "answered_otherwise"
    NOT_FOUND = "not_found"
    USER_NOT_FOUND = "user_not_found"
    MAILBOX_UNAVAILABLE = "mailbox_unavailable"
    OTHER_MAILBOX = "other_mailbox"
    CALENDAR_NOT_FOUND = "calendar_not_found"
    TENANT_UNAVAILABLE = "tenant_unavailable"
    ACCESS_DENIED = "access_denied"
    SENDING_DENIED = "sending_denied"
    QUOTA_EXCEEDED = "quota_exceeded"
    PROPOSAL_NOT_ALLOWED = "proposal_not_allowed"
    MALFORMED_ID = "malformed_id"
    BAD_REQUEST = "bad_request"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"


REASONS: dict[Outcome, frozenset[Reason]] = {
    Outcome.SENT: frozenset({Reason.ACCEPTED, Reason.VERIFIED, Reason.INFERRED}),
    Outcome.ALREADY: frozenset(),
    Outcome.SKIPPED: frozenset(
        {
            Reason.ORGANIZER,
            Reason.CANCELLED,
            Reason.NOT_REQUESTED,
            Reason.ANSWERED_OTHERWISE,
            Reason.NO_ATTENDEES,
            Reason.NOTHING_FOUND,
        }
    ),
    Outcome.FAILED: frozenset(
        {
            Reason.NOT_FOUND,
            Reason.USER_NOT_FOUND,
            Reason.MAILBOX_UNAVAILABLE,
            Reason.OTHER_MAILBOX,
            Reason.CALENDAR_NOT_FOUND,
            Reason.TENANT_UNAVAILABLE,
            Reason.ACCESS_DENIED,
            Reason.SENDING_DENIED,
            Reason.QUOTA_EXCEEDED,
            Reason.ORGANIZER,
            Reason.CANCELLED,
            Reason.NOT_REQUESTED,
            Reason.PROPOSAL_NOT_ALLOWED,
            Reason.MALFORMED_ID,
            Reason.BAD_REQUEST,
            Reason.ATTEMPTS_EXHAUSTED,
            Reason.BAD_LINK,
            Reason.UNREADABLE_EVENT,
            Reason.TOO_MANY_EVENTS,
        }
    ),
    Outcome.UNCERTAIN: frozenset(),
    Outcome.EXPIRED: frozenset(),
    Outcome.CANCELLED: frozenset(),
    Outcome.PLANNED: frozenset(),
}

UNSUCCESSFUL = frozenset({Outcome.FAILED, Outcome.UNCERTAIN, Outcome.EXPIRED})
"""A finished batch with one of these makes a command exit with 1."""


@dataclass(frozen=True, slots=True)
class Ending:
    """
    An outcome and its reason.

    Raises `ValueError` for a pair that the vocabulary does not know.
    """

    outcome: Outcome
    reason: Reason | None = None

    def __post_init__(self) -> None:
        known = REASONS[self.outcome]
        if self.reason in known or (self.reason is None and not known):
            return
        raise ValueError(f"{self.outcome} does not end with reason {self.reason}")

    def to_fields(self) -> list[str | None]:
        """Return it as JSON has it."""
        return [self.outcome, self.reason]

    @classmethod
    def from_fields(cls, fields: object) -> Self:
        """Return the ending that `to_fields` wrote. Raises `ValueError`."""
        match fields:
            case [str(outcome), None]:
                return cls(Outcome(outcome))
            case [str(outcome), str(reason)]:
                return cls(Outcome(outcome), Reason(reason))
            case _:
                raise ValueError("not an end")
