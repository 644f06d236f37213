"""
Whether a mailbox can be read, and whether another is kept from us; each refusal with its hint.

`worker/graph/verdict.py` decides what a reply means; here is what a person should do about it.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from jobs.check import Check, CheckName
from jobs.outcome import Reason
from worker.check.token import ROLE
from worker.graph import codes
from worker.graph.reply import Reply
from worker.graph.verdict import Verdict, judge_peek
from worker.identity.claims import Claims
from worker.identity.refusal import Refusal

_POLICY: Final = re.compile(r"RAOP|AccessPolicy", re.IGNORECASE)
_AUDIENCE: Final = re.compile("audience", re.IGNORECASE)

_HINTS: Final = {
    Reason.USER_NOT_FOUND: "no such user in this tenant, or a group or a distribution list: check"
    " the spelling, or give the object id",
    Reason.MAILBOX_UNAVAILABLE: "no mailbox that Graph can use: its licence is gone, it was"
    " deleted, it is on-premises, or this is a guest",
    Reason.NOT_FOUND: "the calendar was not found; Graph replies so, too, where the application has"
    " no access",
}
_UNKNOWN_REFUSAL: Final = "look up the code in Microsoft's list of Graph errors"
_POLICED: Final = (
    "an application access policy, or the scope of RBAC for Applications, leaves this mailbox out:"
    " let it in, and wait until that has arrived (up to 2 hours)"
)
_NOT_GRANTED: Final = (
    f"the token lacks {ROLE}, and RBAC for Applications does not let the application in here: see"
    " token.role; a change takes up to 2 hours"
)
_KEPT_OUT: Final = (
    "the application may use calendars, but not this one: see its access policies, and the scope of"
    " RBAC for Applications; a change takes up to 2 hours"
)
_OTHER_TOKEN: Final = "the token is for another cloud or service: check BULKRSVP_CLOUD and"  # noqa: S105  # no token
_NETWORK: Final = (
    "cannot reach Graph: check the network, SSL_CERT_FILE, BULKRSVP_CLOUD and BULKRSVP_GRAPH_URL;"
    " no proxy from the environment is used"
)
_NO_GRAPH: Final = "what replied is not Graph: check BULKRSVP_GRAPH_URL"
_LATER: Final = "Graph cannot say now: run the check again"

_AWAY: Final = (
    "this mailbox cannot be used now: it is being moved, or Exchange is busy; workers wait for it"
)
_LONE_401: Final = (
    "if other mailboxes can be read: this one has no licence for Exchange Online, is a guest's, or"
    " is on-premises;"
)

_REACHES_TOO_MUCH: Final = (
    "the application reaches more than it should: grants are a union, so a scope in Exchange"
    f" restricts nothing while the tenant has consented to {ROLE} in Entra ID; remove that consent"
)
_STILL_REACHES: Final = (
    "the application reaches more than it should, and not by a role of its token: take this mailbox"
    " out of the scope of RBAC for Applications; a change takes up to 2 hours"
)
_PROVES_NOTHING: Final = (
    "only a mailbox that exists, and that Graph refuses for want of access, shows that the scope"
    " works: "
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of trying to read a user's calendar; `claims` are those of the token."""

    user: str
    reply: Reply
    claims: Claims | None

    @property
    def succeeded(self) -> bool:
        """Whether it could be read."""
        return judge_peek(self.reply).verdict is Verdict.SEEN

    @property
    def denied(self) -> bool:
        """Whether Graph itself refused it for want of access, and for nothing else."""
        return self._reason is Reason.ACCESS_DENIED and self.reply.code is not None

    @property
    def seen(self) -> str:
        """Graph's answer, in a line; the id is what Microsoft's support asks for."""
        if self.succeeded:
            return "can be read"
        code = ascii(str(self.reply.code))[1:-1] if self.reply.code else "no error code"
        if self.reply.status is None:
            return f"no reply ({code})"
        request_id = f", request-id {self.reply.request_id}" if self.reply.request_id else ""
        return f"{self.reply.status} {code}{request_id}"

    @property
    def hint(self) -> str:
        """What to do so that it can be read."""
        judgement = judge_peek(self.reply)
        if judgement.token:
            return self._why_token_refused()
        if judgement.away:
            return _AWAY
        if judgement.verdict is Verdict.WAIT:
            return "Graph throttles this mailbox: run the check again in some minutes"
        if self._reason is None or self.reply.code is None:
            return self._why_no_answer()
        if self.denied:
            return self._why_denied()
        return _HINTS.get(self._reason, _UNKNOWN_REFUSAL)

    @property
    def _reason(self) -> Reason | None:
        ending = judge_peek(self.reply).ending
        return None if ending is None else ending.reason

    @property
    def _has_role(self) -> bool:
        return self.claims is not None and ROLE in self.claims.roles

    def _why_token_refused(self) -> str:
        if _AUDIENCE.search(self.reply.message or ""):
            return f"{_OTHER_TOKEN} BULKRSVP_GRAPH_URL"
        code, challenged = self.reply.code or "", self.reply.claims is not None
        hint = Refusal.by_graph(code, challenged=challenged).hint
        of_token = challenged or code.casefold() in codes.TOKEN
        return hint if of_token else f"{_LONE_401} or {hint}"

    def _why_no_answer(self) -> str:
        if self.reply.status is None:
            return _NETWORK
        return _LATER if self.reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _NO_GRAPH

    def _why_denied(self) -> str:
        if _POLICY.search(self.reply.message or ""):
            return _POLICED
        return _KEPT_OUT if self._has_role or self.claims is None else _NOT_GRANTED

    def judge(self) -> Check:
        """Judge a mailbox that is to be read."""
        if self.succeeded:
            return Check.passed(CheckName.MAILBOX, self.seen, self.user)
        return Check.failed(CheckName.MAILBOX, self.seen, self.hint, self.user)

    def judge_denied(self) -> Check:
        """Judge a mailbox that is to be refused: every other refusal proves nothing."""
        name = CheckName.DENIED
        if self.denied:
            return Check.passed(name, self.seen, self.user)
        if self.succeeded:
            hint = _REACHES_TOO_MUCH if self._has_role else _STILL_REACHES
            return Check.failed(name, self.seen, hint, self.user)
        return Check.failed(name, self.seen, _PROVES_NOTHING + self.hint, self.user)
