"""How many calls one mailbox takes at once: fewer for a while after it has refused for that."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

NARROWED_KEPT = 10_000
"""Mailboxes whose narrower lanes are remembered; the oldest is forgotten first."""

NARROW_MS = 600_000
"""How long a lane stays narrower: Graph's own window of counting."""


@dataclass(frozen=True, slots=True)
class _Narrowed:
    width: int
    until_ms: int


class Widths:
    """How many calls a lane may have in flight: one fewer after each concurrency refusal."""

    def __init__(self, full: int, now_ms: Callable[[], int]) -> None:
        self._full = full
        self._now_ms = now_ms
        self._narrowed: OrderedDict[str, _Narrowed] = OrderedDict()

    def of(self, mailbox: str) -> int:
        """Return the width of a mailbox's lane."""
        narrowed = self._narrowed.get(mailbox)
        if narrowed is None or narrowed.until_ms <= self._now_ms():
            return self._full
        return narrowed.width

    def narrow(self, mailbox: str) -> None:
        """Leave one call of headroom more, for some minutes; one call is always allowed."""
        width = max(1, self.of(mailbox) - 1)
        self._narrowed[mailbox] = _Narrowed(width, self._now_ms() + NARROW_MS)
        self._narrowed.move_to_end(mailbox)
        if len(self._narrowed) > NARROWED_KEPT:
            self._narrowed.popitem(last=False)
