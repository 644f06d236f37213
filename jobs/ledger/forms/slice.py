"""
The stored form of a slice: whole mailboxes, packed as JSON and compressed.

Everything is checked again when it is read: whoever can write to Redis can write anything.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from jobs.ledger.forms.compression import inflate
from jobs.rows.response import Response
from jobs.rows.selection import Selection

__all__ = ["Slice", "pack", "unpack"]

COMPRESSION = 1
"""zlib level; of rows of 285 bytes it leaves 116; 6 leaves 113 and takes nearly twice as long."""

_Number = Annotated[int, Field(strict=True, gt=0)]
_Either = Annotated[Response | Selection, Field(union_mode="left_to_right")]
_RESPONSES = TypeAdapter(list[tuple[_Number, Response]])
_MIXED = TypeAdapter(list[tuple[_Number, _Either]])
_SELECTED = b'"events":'
"""In the JSON of every selection and no response: inside a text, quotes are escaped."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole mailboxes of a batch: its number from 0, its responses, and what `unpack` reads."""

    number: int
    size: int
    body: bytes


def pack(entries: Sequence[bytes]) -> bytes:
    """Pack rows, given as the JSON of their numbers and what they ask for."""
    return zlib.compress(b"[%b]" % b",".join(entries), COMPRESSION)


def unpack(body: bytes) -> list[tuple[int, Response | Selection]]:
    """
    Return the numbers and the contents of a slice's rows; everything in them is checked again.

    Raises `ValueError` for whatever `pack` has not made, without repeating any of it.
    """
    try:
        text, rest = inflate(body)
        rows = [] if rest else _read(text)
    except ValidationError as error:
        kinds = sorted({each["type"] for each in error.errors(include_input=False)})
        raise ValueError(f"a slice is not as it was stored: {', '.join(kinds)}") from None
    except ValueError as error:
        raise ValueError(f"a slice is not as it was stored: {error}") from None
    if not rows or len({number for number, _ in rows}) != len(rows):
        raise ValueError("a slice is not as it was stored: no rows, rows repeated, or more behind")
    return rows


def _read(text: bytes) -> list[tuple[int, Response | Selection]]:
    try:
        return [*_RESPONSES.validate_json(text, by_alias=True, by_name=False)]
    except ValidationError:
        if _SELECTED not in text:
            raise
    return _MIXED.validate_json(text, by_alias=True, by_name=False)
