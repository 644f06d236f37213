"""
What the ledger takes and returns: texts, numbers and moments that can be stored and read again.

Each is checked, and cut, where it comes in: reading every record again after writing it would cost
more than all these checks. The same rules hold for reading, since whoever can write to Redis can
write nonsense.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from jobs.times import FIRST_YEAR, LAST_YEAR

T = TypeVar("T")

LARGEST: Final = 1 << 53
"""All numbers are smaller: Lua and JSON know whole numbers up to there."""

FIRST_MS: Final = int(datetime(FIRST_YEAR - 1, 1, 1, tzinfo=UTC).timestamp()) * 1000
LAST_MS: Final = int(datetime(LAST_YEAR + 3, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""
All moments lie between these, in ms since the epoch.

A time zone reaches beyond the years that may be named, and so does a deadline or a wait.
"""

MAX_WORD: Final = 128
"""Characters of a code, of an id of a request, or of an answer; Graph's have a third of it."""

MAX_SHOWN: Final = 2_048
"""Characters of a text that a plan shows; Outlook allows 255 in a subject."""


def word(text: str | None) -> str | None:
    """Return a short text as it can be kept; None if it is empty. Raises `TypeError`."""
    return kept(text, MAX_WORD) or None


def kept(text: str | None, most: int) -> str | None:
    """Return a text as it can be kept. Raises `TypeError` for what is not a text."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"a {type(text).__name__} where a text belongs")
    if len(text) <= most and text.isascii():  # nearly always
        return text
    return text[:most].encode(errors="replace").decode()  # half a surrogate pair is not text


def number(value: int) -> int:
    """Return a whole number that Redis, Lua and JSON know. Raises `TypeError` or `ValueError`."""
    if type(value) is not int:
        raise TypeError(f"a {type(value).__name__} where a number belongs")
    if not 0 <= value < LARGEST:
        raise ValueError("a number out of range")
    return value


def moment(value: int) -> int:
    """Return a moment, ms since the epoch, or 0 for none. Raises `TypeError` or `ValueError`."""
    if not number(value) or FIRST_MS <= value < LAST_MS:
        return value
    raise ValueError("a moment out of range")


def stored_number(text: bytes) -> int:
    """
    Return a number that Redis holds, written as this program and Redis write it.

    Raises `ValueError` for any other spelling, which would be a different text to Lua.
    """
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("not a number as bulkrsvp writes it")
    return number(int(text))


def stored_moment(text: bytes) -> int:
    """Return a moment that Redis holds, or 0 for none. Raises `ValueError` for anything else."""
    return moment(stored_number(text))


def stored_field(rule: Callable[[bytes], T], fields: Mapping[bytes, bytes], name: bytes) -> T:
    """Read a field by its rule; a missing one counts as 0. Raises `ValueError`."""
    try:
        return rule(fields.get(name, b"0"))
    except ValueError as error:
        raise ValueError(f"its {name.decode()}: {error}") from None


_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,15}")
