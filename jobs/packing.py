"""
Rows become slices, and slices rows again: whole mailboxes put together and compressed.

Stands between the checked rows of `jobs/batch.py` and the ledger. Slices wait on disk, packed
once however often they are asked for. Does not know Redis.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from tempfile import TemporaryFile
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from jobs.response import Response
from jobs.selection import Selection
from jobs.spool import no_room

__all__ = ["MAX_UNPACKED", "SELECTION_WEIGHT", "SLICE_SIZE", "Packer", "Slice", "unpack"]

SLICE_SIZE = 200
"""Responses; a slice is fuller only where one mailbox alone has more."""

SELECTION_WEIGHT = 25
"""How many responses of a slice a selection stands for, before anybody knows how many it finds."""

MAX_UNPACKED = 64 << 20
"""Bytes of JSON in a slice: 200,000 usual rows, or 8,000 with the longest comment."""

COMPRESSION = 1
"""zlib level; of rows of 285 bytes it leaves 116; 6 leaves 113 and takes nearly twice as long."""

_Number = Annotated[int, Field(strict=True, gt=0)]
_Either = Annotated[Response | Selection, Field(union_mode="left_to_right")]
_RESPONSES = TypeAdapter(list[tuple[_Number, Response]])
_MIXED = TypeAdapter(list[tuple[_Number, _Either]])
_SELECTED = b'"events":'
"""Stands in the JSON of every selection, and of no response: inside a text, quotes are escaped."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole mailboxes of a batch: its number from 0, its responses, and what `unpack` reads."""

    number: int
    size: int
    body: bytes


class Packer:
    """
    Packs mailboxes into slices and keeps these on disk, in no folder, until it is closed.

    Raises `BulkrsvpError` where there is no place for them.
    """

    def __init__(self) -> None:
        try:
            self._file = TemporaryFile()  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise no_room(error) from error
        self._entries: list[bytes] = []
        self._filled = 0

    def close(self) -> None:
        """Remove the slices from the disk."""
        with suppress(OSError):  # a full disk says so again when its file is closed
            self._file.close()

    def add(self, entries: Sequence[bytes], selections: int) -> None:
        """
        Pack the rows of a mailbox, so many of which are selections, by their JSON.

        A slice has at most `SLICE_SIZE` responses, or is one bigger mailbox alone; a selection
        counts as `SELECTION_WEIGHT` of them. Raises `BulkrsvpError` when the disk is full.
        """
        weight = len(entries) + (SELECTION_WEIGHT - 1) * selections
        if self._entries and self._filled + weight > SLICE_SIZE:
            self._store()
        self._entries += entries
        self._filled += weight

    def seal(self) -> None:
        """Let the last slice be one; raises `BulkrsvpError` as `add` does."""
        if self._entries:
            self._store()
        try:
            self._file.flush()
        except OSError as error:
            raise no_room(error) from error

    def slices(self) -> Iterator[Slice]:
        """Yield the slices of a sealed packer, the same ones each time."""
        self._file.seek(0)
        for number in count():
            if not (head := self._file.readline()):
                return
            size, length = map(int, head.split())
            yield Slice(number, size, self._file.read(length))

    def _store(self) -> None:
        body = zlib.compress(b"[%b]" % b",".join(self._entries), COMPRESSION)
        try:
            self._file.write(b"%d %d\n%b" % (len(self._entries), len(body), body))
        except OSError as error:
            raise no_room(error) from error
        self._entries, self._filled = [], 0


def unpack(body: bytes) -> list[tuple[int, Response | Selection]]:
    """
    Return the numbers and the contents of a slice's rows; everything in it is checked again.

    Raises `ValueError` for whatever `Packer.slices` has not made, and repeats none of it.
    """
    try:
        stream = zlib.decompressobj()
        text = stream.decompress(body, MAX_UNPACKED)
        whole = stream.eof and not stream.unused_data
        rows = _read(text) if whole else []
    except zlib.error:
        raise ValueError("a slice is not as it was stored: not compressed") from None
    except ValidationError as error:
        kinds = sorted({each["type"] for each in error.errors(include_input=False)})
        raise ValueError(f"a slice is not as it was stored: {', '.join(kinds)}") from None
    if not rows or len({number for number, _ in rows}) != len(rows):
        raise ValueError("a slice is not as it was stored: cut off, too long, or rows repeated")
    return rows


def _read(text: bytes) -> list[tuple[int, Response | Selection]]:
    try:
        return [*_RESPONSES.validate_json(text, by_alias=True, by_name=False)]
    except ValidationError:
        if _SELECTED not in text:
            raise
    return _MIXED.validate_json(text, by_alias=True, by_name=False)
