"""
Whose fault a 401 is: the application's, or that of the one mailbox that was called.

A mailbox without a licence, a guest or one that is on-premises may refuse every token while all
others take it (found live by public clients); a token that Graph no longer wants is refused by
all. So each 401 is held against what the other mailboxes say of tokens at the same time. Nothing
is decided here from the code of a reply, and nobody is called.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SEVERAL: Final = 2
"""So many mailboxes that refuse the same new token, while none takes it, mean the application."""

MANY: Final = 5
"""With so many it is said at once, without waiting for others that may take it."""

PATIENCE_S: Final = 2.0
"""How long others are given to take the token that a mailbox has refused."""

MEMORY_S: Final = 60.0
"""A refusal that is older begins anew: what others have said since then proves nothing of now."""

KEPT: Final = 10_000
"""Mailboxes whose refusals are remembered; the oldest is forgotten first."""


class Blame(StrEnum):
    """What is to be done about a 401."""

    RENEW = "renew"
    """Try another token: this one may just have come to its end."""
    WAIT = "wait"
    """Try again a little later: nobody else has said anything of this token yet."""
    MAILBOX = "mailbox"
    """The token is good, and this mailbox does not take it."""
    APPLICATION = "application"
    """No mailbox takes the token."""


@dataclass(slots=True)
class _Refusal:
    """A mailbox that refuses tokens: since when, which first; which new one, and since when."""

    since_s: float
    token: str
    new_token: str = ""
    new_since_s: float = 0.0


class TokenTrial:
    """
    What mailboxes say of the tokens of one process.

    `monotonic` returns seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()
        self._accepted_s: OrderedDict[str, float] = OrderedDict()  # the latest two mailboxes

    @property
    def pending(self) -> bool:
        """Whether anybody has refused a token lately, so that acceptances matter."""
        return bool(self._refusals)

    def refuses(self, mailbox: str, token: str) -> bool:
        """Whether a mailbox has refused this token, so that it is not to be tried there again."""
        refusal = self._refusals.get(mailbox)
        return refusal is not None and token == refusal.token != refusal.new_token

    def accepted(self, mailbox: str, begun_s: float) -> None:
        """Note that Graph took the token of a call that was begun at `begun_s` (monotonic)."""
        if not self._refusals:
            return
        self._refusals.pop(mailbox, None)
        self._accepted_s[mailbox] = begun_s
        self._accepted_s.move_to_end(mailbox)
        if len(self._accepted_s) > 2:  # noqa: PLR2004  # of two, one is another mailbox
            self._accepted_s.popitem(last=False)

    def judge(self, mailbox: str, token: str, *, renewed: bool, of_token: bool) -> Blame:
        """
        Say what a 401 means that a mailbox has just answered to a token.

        `renewed` is whether the token was fetched because Graph had refused the one before.
        `of_token` is whether the reply speaks of the token, by its code or by a challenge; where
        one mailbox is all there is, that decides.
        """
        now_s = self._monotonic()
        refusal = self._note(mailbox, token, now_s)
        if not renewed:
            return Blame.RENEW
        if self._others_accept_since(refusal.since_s, mailbox):
            return Blame.MAILBOX
        if refusal.new_token != token:
            refusal.new_token, refusal.new_since_s = token, now_s
        refusers = self._count_refusers(token)
        if refusers >= MANY:
            return Blame.APPLICATION
        if now_s - refusal.new_since_s < PATIENCE_S:
            return Blame.WAIT
        return Blame.APPLICATION if of_token or refusers >= SEVERAL else Blame.MAILBOX

    def _note(self, mailbox: str, token: str, now_s: float) -> _Refusal:
        refusal = self._refusals.get(mailbox)
        if refusal is None or refusal.since_s < now_s - MEMORY_S:
            refusal = self._refusals[mailbox] = _Refusal(now_s, token)
            self._refusals.move_to_end(mailbox)
            if len(self._refusals) > KEPT:
                self._refusals.popitem(last=False)
        return refusal

    def _count_refusers(self, token: str) -> int:
        """Count the mailboxes that refuse a new token which no other has taken since."""
        return sum(
            each.new_token == token and not self._others_accept_since(each.new_since_s, mailbox)
            for mailbox, each in self._refusals.items()
        )

    def _others_accept_since(self, since_s: float, mailbox: str) -> bool:
        return any(
            name != mailbox and begun_s > since_s for name, begun_s in self._accepted_s.items()
        )
