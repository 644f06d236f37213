"""
The Retry-After header, parsed once, where a reply is read; from there a number of seconds travels.

It is the same header in replies of Graph and of Entra ID.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 86_400.0
"""A day: a server that asks for more is asked again tomorrow."""

_DAY_NAME = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,", re.IGNORECASE)


def retry_after_s(header: str | None, *, now: datetime, date: str | None = None) -> float | None:
    """
    Return the seconds that a Retry-After header asks for, or None when it says nothing usable.

    `now` is when the reply arrived (aware), `date` its own Date header. Accepts whole and decimal
    seconds, HTTP-dates in all their shapes, and several values, of which the longest counts. A
    date is measured from our clock and from the server's, and the longer wait counts. Not usable
    are: an absent header, text, zero, a negative number, NaN, a date that has passed. The result
    is above 0 and at most `MAX_RETRY_AFTER_S`. Raises nothing (RFC 9110 10.2.3 and 5.6.7; Graph:
    throttling shows decimals).
    """
    if not header:
        return None
    clocks = [now, *([sent] if (sent := _http_date(date or "")) else [])]
    waits = [wait for part in _parts(header) for wait in _waits_s(part, clocks)]
    longest = max(waits, default=0.0)
    return min(longest, MAX_RETRY_AFTER_S) if longest > 0 else None


def _parts(header: str) -> list[str]:
    """Split a header at its commas, but not at the one that a date has after its day."""
    return [part.strip() for part in _DAY_NAME.sub("", header).split(",")]


def _waits_s(part: str, clocks: list[datetime]) -> Iterator[float]:
    """Yield each reading of one value; NaN counts as 0."""
    try:
        seconds = float(part)
    except ValueError:
        if moment := _http_date(part):
            yield from ((moment - clock).total_seconds() for clock in clocks)
    else:
        yield seconds if seconds > 0 else 0.0


def _http_date(text: str) -> datetime | None:
    """Return an HTTP-date; RFC 9110 has no zone but GMT, so a missing one is GMT."""
    try:
        moment = parsedate_to_datetime(_DAY_NAME.sub("", text).strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
