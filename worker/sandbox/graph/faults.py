"""
Faults by script: which calls a rule strikes, how often, and what then happens to them.

A rule is what a test or a user posts; `Faults` holds the rules that are still armed. How a
broken reply looks on the wire is `wire.py`'s.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from fnmatch import translate
from heapq import merge
from itertools import count
from operator import attrgetter
from random import Random
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from worker.sandbox.graph.replies import JSON, Reply
from worker.sandbox.graph.retry_after import HeaderName, HeaderText
from worker.sandbox.journal import Call


class Effect(StrEnum):
    """What happens to a call that a rule strikes."""

    REPLY = "reply"
    """A reply with the rule's status, code, message, headers, or HTML."""
    PASS = "pass"  # noqa: S105  # no password: the call passes
    """Nothing but the rule's delay; then what would have happened anyway."""
    LOST = "lost"
    """The connection closes without a reply."""
    CUT = "cut"
    """The connection closes after the status line."""
    TRUNCATE = "truncate"
    """The connection closes inside the body."""
    RESET = "reset"
    """The connection is reset."""
    HANG = "hang"
    """No reply, until the caller gives up."""
    REDIRECT = "redirect"
    """302 to `location`; by default the same server under the name of another origin."""
    UNAUTHORIZED = "unauthorized"
    """401, with a claims challenge when `claims` is set."""


_GLOB: Final = re.compile(r"[*?\[]")
_ANYBODY: Final = ""

_TAKEN: Final = {Effect.PASS, Effect.LOST, Effect.CUT, Effect.TRUNCATE}
_WITH_STATUS: Final = {Effect.REPLY, Effect.CUT, Effect.TRUNCATE}


class Rule(BaseModel):
    """
    A fault: whom it strikes, how often, and its effect.

    `method`, `user`, `event` and `path` are globs and must all match; `path` is compared with
    the request target as received, query included. The first `skip` calls that match are spared,
    the next `times` (-1: all) are struck, each with `probability` when that is set (drawn with
    `seed`). `taken` says whether Graph carries the call out before the effect; left out, it does
    for `pass`, `lost`, `cut` and `truncate`. With `status` alone the effect is `reply`, with
    `delay_s` alone `pass`. `cut` and `truncate` break the rule's status, or without one the
    reply that Graph would have given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str = "*"
    user: str = "*"
    event: str = "*"
    path: str = "*"
    times: int = Field(1, ge=-1)
    skip: int = Field(0, ge=0)
    probability: float | None = Field(None, gt=0, le=1)
    seed: int = 0
    effect: Effect = Effect.PASS
    status: int | None = Field(None, ge=200, le=599)
    code: str | None = None
    message: str = ""
    headers: dict[HeaderName, HeaderText] = Field(default_factory=dict)
    html: str | None = None
    taken: bool | None = None
    delay_s: float = Field(0, ge=0)
    claims: str | None = None
    location: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _mean_reply_by_status(cls, data: Any) -> Any:
        if isinstance(data, dict) and "status" in data and "effect" not in data:
            return data | {"effect": Effect.REPLY}
        return data

    @field_validator("headers")
    @classmethod
    def _name_alike(cls, headers: dict[str, str]) -> dict[str, str]:
        return {name.title(): text for name, text in headers.items()}

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        self._check_belonging("status", _WITH_STATUS)
        self._check_belonging("claims", {Effect.UNAUTHORIZED})
        self._check_belonging("location", {Effect.REDIRECT})
        bare = self.status is None
        said = self.code or self.message or self.headers or self.html is not None
        for wrong, why in (
            (self.times == 0, "times 0 would never strike; -1 strikes always"),
            (bare and said, "code, message, headers and html need a status"),
            (bare and self.effect is Effect.REPLY, "effect reply needs a status"),
            (
                self.effect is Effect.PASS and not (self.delay_s and self.takes),
                "a rule needs a status or an effect; or a delay_s, and then the call is taken",
            ),
            (
                bare and self.effect in _WITH_STATUS and not self.takes,
                "a broken reply of a call that is not taken needs a status",
            ),
        ):
            if wrong:
                raise ValueError(why)
        return self

    def _check_belonging(self, name: str, effects: set[Effect]) -> None:
        if getattr(self, name) is not None and self.effect not in effects:
            raise ValueError(f"{name} goes with effect {' or '.join(sorted(effects))} only")

    @property
    def takes(self) -> bool:
        """Whether Graph carries out a call that this rule strikes."""
        return self.effect in _TAKEN if self.taken is None else self.taken

    @property
    def reply(self) -> Reply | None:
        """What the rule says itself, if it has a status."""
        if self.status is None:
            return None
        if self.html is not None:
            content = self.html.encode()
            return Reply(self.status, None, "", self.headers, content, "text/html")
        code = self.code or ("UnknownError" if self.status >= 400 else None)  # noqa: PLR2004  # HTTP's errors
        return Reply(self.status, code, self.message, self.headers, b"", JSON)


class _ArmedRule:
    """A rule and how much of it is left; the younger, the higher its number."""

    def __init__(self, rule: Rule, number: int) -> None:
        self.rule = rule
        self.number = number
        self.left = rule.times
        self._to_spare = rule.skip
        self._random = Random(rule.seed)  # noqa: S311  # repeatable chance, no secret
        self._method = re.compile(translate(rule.method.upper()))
        self._user = re.compile(translate(rule.user.casefold()))
        self._event = re.compile(translate(rule.event))
        self._path = re.compile(translate(rule.path))

    def strikes(self, call: Call) -> bool:
        """Say whether this call is struck, and count it."""
        if not self._matches(call):
            return False
        if self._to_spare:
            self._to_spare -= 1
            return False
        chance = self.rule.probability
        if chance is not None and self._random.random() >= chance:
            return False
        self.left -= self.left > 0
        return True

    def _matches(self, call: Call) -> bool:
        return bool(
            self._user.match(call.mailbox)
            and self._method.match(call.method)
            and self._event.match(call.event or "")
            and self._path.match(call.path)
        )


class Faults:
    """The armed rules; of several that match a call, the oldest strikes."""

    def __init__(self) -> None:
        self._numbers = count()
        self._armed = defaultdict[str, list[_ArmedRule]](list)  # of many, a call meets few

    def arm(self, rules: Iterable[Rule]) -> None:
        """Add rules behind those that are armed."""
        for rule in rules:
            self._armed[_only_user(rule)].append(_ArmedRule(rule, next(self._numbers)))

    def disarm(self) -> None:
        """Forget all rules."""
        self._armed.clear()

    def strike(self, call: Call) -> Rule | None:
        """Return the rule that strikes this call; a rule that is used up goes."""
        met = (self._armed.get(user, []) for user in {call.mailbox, _ANYBODY})
        for armed in merge(*met, key=attrgetter("number")):
            if armed.strikes(call):
                if armed.left == 0:
                    self._armed[_only_user(armed.rule)].remove(armed)
                return armed.rule
        return None


def _only_user(rule: Rule) -> str:
    """Return the one user whom a rule can strike, as a call has it, or `_ANYBODY`."""
    return _ANYBODY if _GLOB.search(rule.user) else rule.user.casefold()
