"""
Times and durations as people type and read them: ISO 8601 with an offset, and `24h`.

Inside the program a time is milliseconds since the epoch.
"""

import re
from datetime import UTC, datetime
from time import time_ns
from typing import Final

from config.errors import InputError
from jobs.quoting import abbreviated

UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

_UNITS_S: Final = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
"""Units as they are written, in seconds, the largest first."""

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2200

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.IGNORECASE)


def read_duration_ms(text: str) -> int:
    """Read `90m`, `24h`, `1d12h` as milliseconds. Raises `InputError` with what to write."""
    if not _DURATION.fullmatch(text.strip()):
        raise InputError(f"{text!r} is not a duration; write 90m, 24h, 2d or 1d12h")
    duration_ms = sum(float(n) * UNITS_MS[unit.lower()] for n, unit in _PART.findall(text))
    if not 1 <= duration_ms < 366 * UNITS_MS["d"]:
        raise InputError(f"{text!r} is out of range; give more than 0s and less than 366d")
    return int(duration_ms)


def read_moment(text: str) -> datetime:
    """Read an ISO 8601 time, its offset kept. Raises `InputError` with what to write."""
    example = "write it as 2026-12-01T17:00+01:00 or 2026-12-01T16:00:00Z"
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"{abbreviated(text)} is not an ISO 8601 time; {example}") from error
    if read.tzinfo is None:
        raise InputError(f"{abbreviated(text)} has no time zone; {example}")
    if not FIRST_YEAR <= read.year <= LAST_YEAR:
        years = f"from {FIRST_YEAR} to {LAST_YEAR}"
        raise InputError(f"{abbreviated(text)} is out of range; give a year {years}")
    return read


def read_moment_ms(text: str) -> int:
    """Read an ISO 8601 time with its offset. Raises `InputError` with what to write."""
    return int(read_moment(text).timestamp() * 1000)


def write_moment(time_ms: int) -> str:
    """Write a time as ISO 8601 in UTC, to the millisecond."""
    return moment(time_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_local(time_ms: int) -> str:
    """Write a time for a person, with the zone: that of `TZ`, else the machine's."""
    return moment(time_ms).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def write_duration(duration_ms: int) -> str:
    """Write a duration for a person: its two largest units, like `2 h 5 min`, rounded down."""
    rest_s, parts = max(0, duration_ms) // 1000, list[str]()
    for unit, seconds in _UNITS_S.items():
        count, rest_s = divmod(rest_s, seconds)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break  # `1 d 5 s` would pretend to a precision it lacks
    return " ".join(parts[:2]) or "less than 1 s"


def moment(time_ms: int) -> datetime:
    """Return a time as an aware `datetime`."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def now_ms() -> int:
    """Return the current time."""
    return time_ns() // 1_000_000
