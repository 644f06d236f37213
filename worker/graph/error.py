"""
An error in a reply: its code, whether Graph has refused for good, and for which reason.

Only the reply is read here. What follows from it for a response is `worker/graph/verdict.py`'s.
"""

import re
from http import HTTPStatus
from typing import Final

from jobs.outcome import Reason
from jobs.rows.response import Response
from worker.graph import codes
from worker.graph.reply import Reply

REFUSALS: Final = frozenset({*range(300, 500), 501}) - {408, 409, 412, 423, 424, 425, 499}
"""
Statuses after which, by Graph's own word, nothing was carried out and nothing ever will be.

Those taken out are time-outs and conflicts: they may pass, or come too late.
"""

REASON_BY_STATUS: Final[dict[int, Reason]] = {HTTPStatus.FORBIDDEN: Reason.ACCESS_DENIED}
"""For unknown codes. A 404 may be about anything, so it is not listed."""

# Two refusals share the code ErrorInvalidRequest, and only their text tells them apart. Both
# texts name the organizer, so the order matters.
NOT_REQUESTED_TEXT: Final = re.compile(r"(has\s?n.?t|has not) requested a response", re.IGNORECASE)
ORGANIZER_TEXT: Final = re.compile(r"you.{0,5}re the meeting organizer", re.IGNORECASE)
PROPOSAL_TEXT: Final = re.compile(r"propos", re.IGNORECASE)


def word(reply: Reply) -> str:
    """Return the code of Graph's error in lower case; empty if Graph itself gave none."""
    code = (reply.code or "").casefold()
    return "" if code in codes.NO_WORD else code


def is_refusal(reply: Reply) -> bool:
    """Whether Graph itself has refused it for good."""
    code = word(reply)
    if not code or code in codes.DOUBTFUL:
        return False
    return reply.status in REFUSALS or codes.REASONS.get(code) in codes.ANYWHERE


def reason(reply: Reply, response: Response | None = None) -> Reason | None:
    """Name a refusal: by its code, by its text where a code is shared, by its status."""
    if (known := codes.REASONS.get(word(reply))) is not None:
        return known
    text = reply.message or ""
    if NOT_REQUESTED_TEXT.search(text):
        return Reason.NOT_REQUESTED
    if ORGANIZER_TEXT.search(text):
        return Reason.ORGANIZER
    if _proposes(reply, response) and PROPOSAL_TEXT.search(text):
        return Reason.PROPOSAL_NOT_ALLOWED
    if _is_shared(reply, response):
        return None
    return REASON_BY_STATUS.get(reply.status or 0, Reason.BAD_REQUEST)


def _is_shared(reply: Reply, response: Response | None) -> bool:
    """Whether only its text, which we cannot read, would show what the refusal means."""
    code = word(reply)
    return code in codes.SHARED or (
        _proposes(reply, response) and code in codes.SHARED_BY_PROPOSALS
    )


def likely_reason(reply: Reply, response: Response) -> Reason:
    """Return the reason of a refusal that gives none we can read; a look may find a better one."""
    # The row was checked for every other reason.
    proposes = _proposes(reply, response)
    return Reason.PROPOSAL_NOT_ALLOWED if proposes else Reason.BAD_REQUEST


def _proposes(reply: Reply, response: Response | None) -> bool:
    return (
        response is not None
        and response.proposed_new_time is not None
        and reply.status == HTTPStatus.BAD_REQUEST
    )
