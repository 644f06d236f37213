"""
Pure arithmetic of waiting: what Graph asked for, what we choose when it asked for nothing.

A wait that Graph chose is never shortened: calling early is counted and makes it longer. Clock
and randomness are arguments; what a wait is for, and who waits, this module does not know.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 86_400.0
"""A day: whoever asks for more is asked again tomorrow."""

FLOOR_S = 0.1
MAX_JITTER_S = 1.0
JITTER_SHARE = 0.1

AWAY_S = 5.0
MAX_AWAY_S = 600.0
"""The first and the longest wait for a mailbox that is away."""

_DAY_NAME = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,", re.IGNORECASE)


def retry_after_s(header: str | None, *, now: datetime, date: str | None = None) -> float | None:
    """
    Return the seconds that a Retry-After header asks for, or None when it says nothing usable.

    `now` is when the reply arrived (aware), `date` its own Date header. Takes whole and decimal
    seconds, HTTP-dates in all their shapes, and several values, of which the longest counts. A
    date is measured from our clock and from the server's, and the longer wait counts. Nothing
    usable is: absent, text, zero, negative, not a number, a date that has passed. The answer is
    above 0 and at most `MAX_RETRY_AFTER_S`. Raises nothing (RFC 9110 10.2.3 and 5.6.7; Graph:
    throttling shows decimals).
    """
    if not header:
        return None
    clocks = [now, *([told] if (told := _http_date(date or "")) else [])]
    waits = [wait for part in _parts(header) for wait in _waits_s(part, clocks)]
    longest = max(waits, default=0.0)
    return min(longest, MAX_RETRY_AFTER_S) if longest > 0 else None


def backoff_s(
    attempt: int, random: Callable[[], float], *, base_s: float = 1.0, cap_s: float = 60.0
) -> float:
    """
    Return the seconds to wait after the `attempt`-th attempt (counted from 1): full jitter.

    `random` gives numbers from 0 to 1. The bound doubles from `base_s` up to `cap_s`; the wait
    lies anywhere below it, but not below `FLOOR_S`.
    """
    doublings = min(max(attempt, 1) - 1, 60)  # beyond lies only overflow
    return max(FLOOR_S, random() * min(cap_s, base_s * 2.0**doublings))


def wait_s(asked_s: float | None, random: Callable[[], float], *, throttled: int = 1) -> float:
    """
    Return the seconds to wait after a reply that throttles us.

    That is the Retry-After that it asked for and a little jitter on top, so that those who were
    told the same do not come back together; or the backoff of the `throttled`-th such reply in a
    row, when it asked for none. `random` gives numbers from 0 to 1.
    """
    if asked_s is None:
        return backoff_s(throttled, random)
    return asked_s + random() * min(asked_s * JITTER_SHARE, MAX_JITTER_S)


def away_s(times: int, random: Callable[[], float]) -> float:
    """
    Return the seconds to leave a mailbox alone that has said `times` in a row that it is away.

    The wait doubles from `AWAY_S` up to `MAX_AWAY_S`: a mailbox that is being moved is away for
    minutes or hours, and asking often does not bring it back. Up to half of it is left to chance.
    """
    doublings = min(max(times, 1) - 1, 60)  # beyond lies only overflow
    return (1 - random() / 2) * min(MAX_AWAY_S, AWAY_S * 2.0**doublings)


class RetryBudget:
    """
    A share of the recent calls that may be repetitions: one in `calls_per_retry`.

    A saved-up `burst` may be spent at once; it is also what is there at the start. Without such
    a bound, repetitions would double the load of a Graph that is already failing.
    """

    def __init__(self, *, calls_per_retry: int = 10, burst: int = 10) -> None:
        self._price = calls_per_retry
        self._most = calls_per_retry * burst
        self._saved = self._most  # in calls: whole numbers do not drift

    def earn(self) -> None:
        """Count one call that was made."""
        self._saved = min(self._saved + 1, self._most)

    def spend(self) -> bool:
        """Take one repetition out of the budget; false when there is none left."""
        if self._saved < self._price:
            return False
        self._saved -= self._price
        return True


def _parts(header: str) -> list[str]:
    """Split a header at its commas, but not at the one that a date has after its day."""
    return [part.strip() for part in _DAY_NAME.sub("", header).split(",")]


def _waits_s(part: str, clocks: list[datetime]) -> Iterator[float]:
    """Yield each reading of one value; one that is not a number is above nothing, so it drops."""
    try:
        seconds = float(part)
    except ValueError:
        if moment := _http_date(part):
            yield from ((moment - clock).total_seconds() for clock in clocks)
    else:
        yield seconds if seconds > 0 else 0.0


def _http_date(text: str) -> datetime | None:
    """Return an HTTP-date; RFC 9110 knows no zone but GMT, so a missing one is GMT."""
    try:
        moment = parsedate_to_datetime(_DAY_NAME.sub("", text).strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
