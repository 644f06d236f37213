"""
Whose fault a 401 is: the application's, or that of the one mailbox that was called.

A mailbox without a licence, a guest or one that is on-premises may refuse every token while all
others take it (found live by public clients); a token that Graph no longer wants is refused by
all. So each 401 is compared with what other mailboxes answer to tokens at the same time. Nothing
is decided here from the code of a reply, and no call is made.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

SEVERAL: Final = 2
"""So many mailboxes that refuse the same new token, while none takes it, mean the application."""

MANY: Final = 5
"""With so many it is concluded at once, if no other mailbox is being called that may take it."""

CROWD: Final = 20
"""With so many it is concluded at once, whichever other mailboxes are being called."""

PATIENCE_S: Final = 3.0
"""How long a mailbox must refuse tokens before the 401 is taken to be its own."""

SLOW_S: Final = 30.0
"""How long to wait for mailboxes that are being called and have not replied."""

LOYAL_S: Final = 300.0
"""The same for a mailbox that has taken tokens before: more likely something passes."""

MEMORY_S: Final = 60.0
"""After so long without another refusal, the next one begins anew."""

KEPT: Final = 10_000
"""Mailboxes whose answers are remembered; the oldest is forgotten first."""

SOON_S: Final = 0.7
LATE_S: Final = 20.0
"""The shortest and the longest wait before a mailbox is tried again that is not judged yet."""


class Blame(StrEnum):
    """What is to be done about a 401."""

    RENEW = "renew"
    """Try another token: this one may just have come to its end."""
    WAIT = "wait"
    """Try again a little later: no other mailbox has answered to this token yet."""
    MAILBOX = "mailbox"
    """The token is good, and this mailbox does not take it."""
    APPLICATION = "application"
    """No mailbox takes the token."""


@dataclass(slots=True)
class _Refusal:
    """A mailbox that refuses tokens: since when, which first; which new one, and since when."""

    since_s: float
    token: str
    kept_until_s: float = 0.0
    new_token: str = ""
    new_since_s: float = 0.0


class TokenTrial:
    """
    What mailboxes have answered to the tokens of one process.

    `monotonic` returns seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()
        self._accepted_s: OrderedDict[str, float] = OrderedDict()  # the latest two mailboxes
        self._loyal: OrderedDict[str, None] = OrderedDict()
        self._called: dict[str, int] = {}

    def begun(self, mailbox: str) -> float:
        """Note that a mailbox is being called; return the moment (monotonic)."""
        self._called[mailbox] = self._called.get(mailbox, 0) + 1
        return self._monotonic()

    def ended(self, mailbox: str) -> None:
        """Note that a call has ended."""
        calls = self._called.pop(mailbox) - 1
        if calls:
            self._called[mailbox] = calls

    def refuses(self, mailbox: str, token: str) -> bool:
        """Whether a mailbox has refused this token, so that it is not to be tried there again."""
        refusal = self._refusals.get(mailbox)
        return refusal is not None and token == refusal.token != refusal.new_token

    def accepted(self, mailbox: str, begun_s: float) -> None:
        """Note that Graph took the token of a call that was begun at `begun_s` (monotonic)."""
        if mailbox not in self._loyal:
            _remember(self._loyal, mailbox, None)
        if not self._refusals:
            return
        self._refusals.pop(mailbox, None)
        self._accepted_s[mailbox] = begun_s
        self._accepted_s.move_to_end(mailbox)
        if len(self._accepted_s) > 2:  # noqa: PLR2004  # of two, one is another mailbox
            self._accepted_s.popitem(last=False)

    def judge(
        self, mailbox: str, token: str, *, renewed: bool, of_token: bool, rests_s: float = 0.0
    ) -> Blame:
        """
        Return what a 401 means that a mailbox has just answered to a token.

        `renewed` is whether the token was fetched because Graph had refused the one before.
        `of_token` is whether the reply speaks of the token, by its code or by a challenge; where
        one mailbox is all there is, that decides. `rests_s` is how long the mailbox is left alone
        now.
        """
        now_s = self._monotonic()
        refusal = self._note(mailbox, token, now_s)
        refusal.kept_until_s = now_s + rests_s + MEMORY_S
        if not renewed:
            return Blame.RENEW
        if refusal.new_token != token:
            refusal.new_token, refusal.new_since_s = token, now_s
        loyal = mailbox in self._loyal
        if self._others_accept_since(refusal.since_s, mailbox):
            patience_s = LOYAL_S if loyal else PATIENCE_S
            return Blame.MAILBOX if now_s - refusal.since_s >= patience_s else Blame.WAIT
        refusers, unheard = self._count_refusers(token), self._others_are_called()
        if refusers >= (MANY if not unheard else CROWD):
            return Blame.APPLICATION
        if now_s - refusal.new_since_s < (SLOW_S if unheard else PATIENCE_S):
            return Blame.WAIT
        shared = of_token or loyal or refusers >= SEVERAL
        return Blame.APPLICATION if shared else Blame.MAILBOX

    def pause_s(self, mailbox: str) -> float:
        """Return how long to wait before a mailbox is tried again that is not judged yet."""
        refusal = self._refusals.get(mailbox)
        passed_s = 0.0 if refusal is None else self._monotonic() - refusal.since_s
        return min(max(SOON_S, passed_s / 2), LATE_S)

    def _note(self, mailbox: str, token: str, now_s: float) -> _Refusal:
        refusal = self._refusals.get(mailbox)
        if refusal is None or refusal.kept_until_s < now_s:
            refusal = _Refusal(now_s, token)
            _remember(self._refusals, mailbox, refusal)
        return refusal

    def _count_refusers(self, token: str) -> int:
        """Count the mailboxes that refuse a new token which no other has taken since."""
        return sum(
            each.new_token == token and not self._others_accept_since(each.new_since_s, mailbox)
            for mailbox, each in self._refusals.items()
        )

    def _others_are_called(self) -> bool:
        """Whether a mailbox is being called now that has refused nothing."""
        return any(mailbox not in self._refusals for mailbox in self._called)

    def _others_accept_since(self, since_s: float, mailbox: str) -> bool:
        return any(
            name != mailbox and begun_s > since_s for name, begun_s in self._accepted_s.items()
        )


T = TypeVar("T")


def _remember(memory: OrderedDict[str, T], name: str, value: T) -> None:
    memory[name] = value
    memory.move_to_end(name)
    if len(memory) > KEPT:
        memory.popitem(last=False)
