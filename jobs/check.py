"""
One check of a setup: what was looked at, the verdict, what was seen, and what to do about it.

`jobs/redis/requirements.py` checks Redis, `worker/check/` all the rest, and
`jobs/console/report.py` shows them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class CheckName(StrEnum):
    """What is checked."""

    SETTINGS = "settings"
    REDIS = "redis"
    REDIS_VERSION = "redis.version"
    REDIS_LAYOUT = "redis.layout"
    REDIS_EVICTION = "redis.eviction"
    REDIS_PERSISTENCE = "redis.persistence"
    REDIS_COMMANDS = "redis.commands"
    TOKEN = "token"  # noqa: S105  # a name, not a token
    TOKEN_AUDIENCE = "token.audience"  # noqa: S105
    TOKEN_ROLE = "token.role"  # noqa: S105
    MAILBOX = "mailbox"
    DENIED = "denied"
    WORKER = "worker"


class CheckVerdict(StrEnum):
    """
    How a check ended. Only `failed` is a failure.

    `warning` works but needs attention; `not checked` could not be seen.
    """

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """A verdict; `subject` is the user, the worker or the variable that it is about."""

    name: CheckName
    verdict: CheckVerdict
    seen: str
    hint: str | None = None
    subject: str | None = None

    @classmethod
    def passed(cls, name: CheckName, seen: str, subject: str | None = None) -> Self:
        """Return a check that found everything as it should be."""
        return cls(name, CheckVerdict.OK, seen, subject=subject)

    @classmethod
    def warned(cls, name: CheckName, seen: str, hint: str, subject: str | None = None) -> Self:
        """Return a check of something that works but needs attention, with what to do."""
        return cls(name, CheckVerdict.WARNING, seen, hint, subject)

    @classmethod
    def failed(cls, name: CheckName, seen: str, hint: str, subject: str | None = None) -> Self:
        """Return a check that failed, with what to do."""
        return cls(name, CheckVerdict.FAILED, seen, hint, subject)

    @classmethod
    def left_out(
        cls, name: CheckName, why: str, hint: str | None = None, subject: str | None = None
    ) -> Self:
        """Return a check of what could not be seen, with the reason."""
        return cls(name, CheckVerdict.NOT_CHECKED, why, hint, subject)

    def to_json(self) -> dict[str, str]:
        """Return what `check --json` prints for it, without empty fields."""
        told = {
            "name": self.name.value,
            "subject": self.subject,
            "verdict": self.verdict.value,
            "seen": self.seen,
            "hint": self.hint,
        }
        return {name: text for name, text in told.items() if text is not None}
