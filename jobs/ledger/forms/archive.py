"""
The records of a slice that is done, packed into one field: the slice's archive.

Most of a record is two ids, which cannot be compressed but take twice their size as letters, and
what all records have in common. So the ids are kept as bytes, and the rest in columns. What comes
out is what went in, byte for byte: the ledger compares records by their text.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha1
from itertools import accumulate
from typing import Final

import orjson

from jobs.ledger.fields import SliceField
from jobs.ledger.forms.compression import inflate

MOST: Final = 5_000
"""Records: swapping these takes Redis some 20 ms; a bigger mailbox stays as it is."""

WINDOW_BITS: Final = 12
"""A window of 4 KB holds what repeats itself here; a larger one takes longer to set up."""

_ID: Final = re.compile(rb'"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"')
_ID_MARK: Final = b"\xff"
_MOMENT: Final = re.compile(rb"([1-9][0-9]{12})")
_MOMENT_MARK: Final = b"\xfe"
"""Marks show where something was taken out; UTF-8 never has these bytes, so no record does."""


def pack(records: Mapping[bytes, bytes]) -> bytes:
    """
    Return what `unpack` reads: compressed columns, and behind them the ids as they are.

    `records` are texts by their rows, `b"12"` or `b"12.3"`. Raises `ValueError` for other rows.
    """
    text, ids = _take_out(_ID, _ID_MARK, b"".join(records.values()))
    text, moments = _take_out(_MOMENT, _MOMENT_MARK, text)
    given, found = zip(*map(_read_row, records), strict=True) if records else ((), ())
    columns = (given, found, map(len, records.values()), map(int, moments))
    head = orjson.dumps([_steps(column) for column in columns])
    raw = bytes.fromhex(b"".join(ids).replace(b"-", b"").decode())
    return zlib.compress(head + b"\n" + text, wbits=WINDOW_BITS) + raw


def unpack(body: bytes) -> dict[bytes, bytes]:
    """Return the texts by their rows. Raises `ValueError` for whatever `pack` has not made."""
    try:
        columns, raw_ids = inflate(body)
        head, _, text = columns.partition(b"\n")
        given, found, lengths, moments = (list(accumulate(each)) for each in orjson.loads(head))
        text = _put_back(_MOMENT_MARK, text, [b"%d" % each for each in moments])
        text = _put_back(_ID_MARK, text, _write_ids(raw_ids.hex().encode()))
        rows = map(_write_row, given, found)
        return dict(zip(rows, _cut(text, lengths), strict=True))
    except (TypeError, ValueError) as error:
        raise ValueError(f"an archive is not as it was stored: {error}") from None


def spread(fields: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Return a slice's fields as they were before its records were put away, if that was done."""
    body = fields.get(SliceField.ARCHIVE)
    return fields if body is None else {**fields, **unpack(body)}


def digest(texts: Iterable[bytes]) -> str:
    """Return the digest by which `lua/close.lua` recognizes the records."""
    return sha1(b"\n".join(texts), usedforsecurity=False).hexdigest()


def _take_out(pattern: re.Pattern[bytes], mark: bytes, text: bytes) -> tuple[bytes, list[bytes]]:
    """Put a mark in the place of each match; a text that already has the mark stays as it is."""
    if mark in text:
        return text, []
    parts = pattern.split(text)
    return mark.join(parts[::2]), parts[1::2]


def _put_back(mark: bytes, text: bytes, values: Sequence[bytes]) -> bytes:
    if not values:
        return text
    pieces = text.split(mark)
    parts = [b""] * (2 * len(pieces) - 1)
    parts[::2], parts[1::2] = pieces, values
    return b"".join(parts)


def _write_ids(digits: bytes) -> list[bytes]:
    ids = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    return [b'"%b-%b-%b-%b-%b"' % (i[:8], i[8:12], i[12:16], i[16:20], i[20:]) for i in ids]


def _cut(text: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    if sum(lengths) != len(text):
        raise ValueError("its texts are too long or too short")
    ends = accumulate(lengths)
    return (text[end - length : end] for end, length in zip(ends, lengths, strict=True))


def _read_row(row: bytes) -> tuple[int, int]:
    given, _, found = row.partition(b".")
    return int(given), int(found or 0)


def _write_row(given: int, found: int) -> bytes:
    return b"%d.%d" % (given, found) if found else b"%d" % given


def _steps(numbers: Iterable[int]) -> list[int]:
    """Return the steps from each number to the next, which are small in an even column."""
    steps, last = [], 0
    for number in numbers:
        steps.append(number - last)
        last = number
    return steps
