"""
How a hint reads, and what is taken off a value that stands in quotes, brackets or invisible ink.

Whatever stands in "did you mean X?" may be written as it is: it is accepted, and means what the
wrong value meant. Where that is not certain, a message says what to do and names no value.
"""

import re
from typing import Final
from urllib.parse import unquote

from jobs.quoting import abbreviated

__all__ = ["CUT", "bare", "did_you_mean", "what_stands_round"]

_INVISIBLE: Final = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"  # and what turns a text
)
_LOOKALIKES: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u00b4`", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
    | {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
)
"""What word processors and East Asian keyboards write for letters of ASCII."""

_AROUND: Final = r"\s\"'\u201c-\u201f\u00ab\u00bb\u2039\u203a<>()\[\]{}|,;"
_WRAPPING: Final = re.compile(rf"^[{_AROUND}]+|[{_AROUND}.:]+$")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")

CUT: Final = re.compile("\\.\\.|\u2026")
"""Where a console cuts a text that is too long for its column, it leaves dots."""


def did_you_mean(*meant: str) -> str:
    """Return the hint that names what may be written instead, the likeliest first."""
    *others, last = meant
    return f"did you mean {' or '.join([', '.join(others), last] if others else [last])}?"


def what_stands_round(meant: str, text: str) -> str:
    """Say what `text` has besides what was meant."""
    before, found, after = text.partition(meant)
    if not found:
        return f"{abbreviated(text)} cannot stand as it is"
    signs = [abbreviated(each.strip()) for each in (before, after) if each.strip()]
    return f"{abbreviated(text)} has {' and '.join(signs) or 'blanks'} round it"


def bare(text: str) -> str:
    """Return `text` in ASCII as far as it has twins there, without what stands round it."""
    plain = _WRAPPING.sub("", _INVISIBLE.sub("", text).translate(_LOOKALIKES))
    return unquote(plain) if _ENCODED.search(plain) else plain
