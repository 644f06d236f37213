"""
What a record may take from outside: texts and numbers that can be stored and read again.

They are checked, and cut, one by one where they come in: to read each record again after it was
written would cost more than all of them.
"""

from typing import Final

LARGEST: Final = 1 << 53
"""No number of ours reaches it: Lua and JSON know whole numbers up to there."""

MAX_WORD: Final = 128
"""Characters of a code, of an id of a request, or of an answer; Graph's have a third of it."""

MAX_SHOWN: Final = 2_048
"""Characters of a text that a plan shows; Outlook allows 255 in a subject."""


def word(text: str | None) -> str | None:
    """Return a short text as it can be kept; none where it is empty. Raises `TypeError`."""
    return kept(text, MAX_WORD) or None


def kept(text: str | None, most: int) -> str | None:
    """Return a text as it can be kept. Raises `TypeError` for what is no text."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"a {type(text).__name__} where a text belongs")
    if len(text) <= most and text.isascii():  # as nearly always
        return text
    return text[:most].encode(errors="replace").decode()  # half a surrogate is no text


def number(value: int) -> int:
    """Return a whole number that Redis, Lua and JSON know. Raises `TypeError` or `ValueError`."""
    if type(value) is not int:
        raise TypeError(f"a {type(value).__name__} where a number belongs")
    if not 0 <= value < LARGEST:
        raise ValueError("a number that is larger or smaller than any of ours")
    return value
