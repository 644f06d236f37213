"""
Bytes become unchecked rows: JSON Lines, and what both formats share.

Rows of both come out alike, as the object that JSON Lines would have held, with the line where
each starts; what cannot be read comes out as a `Problem`. `jobs/rows/table.py` reads CSV;
`jobs/rows/reading.py` checks what the rows mean.
"""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from io import TextIOWrapper
from itertools import count
from json import JSONDecoder
from typing import Any

import orjson

from jobs.quoting import abbreviated

__all__ = [
    "COLUMNS",
    "MARKS",
    "RESULTS",
    "RESULT_KEYS",
    "TOLD",
    "Problem",
    "RawRow",
    "Unreadable",
    "encoding_of",
    "read_jsonl",
    "read_lines",
    "suggest",
]

COLUMNS = (
    "user",
    "event",
    "action",
    "comment",
    "sendResponse",
    "proposedStart",
    "proposedEnd",
    "timeZone",
    "calendar",
    "calendarGroup",
    "from",
    "to",
    "series",
    "organizer",
    "subject",
    "ifNotRequested",
)
"""What a CSV header may name, besides `RESULTS`."""

TOLD = frozenset({"organizer", "subject"})
"""Columns of a selection; where `event` is filled, they describe it and are skipped."""

RESULT_KEYS = (
    "batch",
    "row",
    "outcome",
    "reason",
    "status",
    "attempts",
    "requestId",
    "clientRequestId",
    "settledAt",
    "errorCode",
)
"""What `bulkrsvp results` adds to a row."""

MARKS = frozenset({"batch", "outcome"})
"""Together they show that `bulkrsvp results` has written a file."""

RESULTS = frozenset({*RESULT_KEYS, *TOLD, "start"})
"""What is skipped on input, so that results can be fed back in."""

MAX_LINE = 1 << 20
"""Characters; far more than any row that can be sent, so memory stays flat for any input."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong at a line, and what to do about it.

    `field` is the name that stands in the file, or `row`, `header` or `file` for a whole one.
    """

    line: int
    field: str
    text: str

    def located(self, file: str) -> str:
        """Return the line to print: `FILE:LINE: field: what is wrong`."""
        return f"{file}:{self.line}: {self.field}: {self.text}"


RawRow = tuple[int, dict[str, Any]]
"""The line where a row starts, and its fields as a JSON object would hold them."""


class Unreadable(Exception):  # caught by `read_rows`, which ends there
    """The rest of the stream cannot be read; carries the problem."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, "file", text)


def encoding_of(head: bytes) -> str:
    """Return the encoding that a byte order mark in `head` names; Excel and PowerShell write it."""
    return "utf-16" if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"


def suggest(name: str, known: tuple[str, ...]) -> str:
    """Return a hint for an unknown `name`: the nearest `known` one, or all of them."""
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(name[:64].casefold(), folded, n=1)
    return f"did you mean {folded[near[0]]}?" if near else f"known are {', '.join(known)}"


def read_jsonl(text: TextIOWrapper) -> Iterator[RawRow | Problem]:
    """Yield each object of `text` without its nulls and result keys; raises `Unreadable`."""
    for number, line in enumerate(read_lines(text), 1):
        if not line.isspace():
            yield _read_object(number, line)


def read_lines(text: TextIOWrapper) -> Iterator[str]:
    """Yield the lines of `text` with their ends; raises `Unreadable`."""
    for number in count(1):
        try:
            line = text.readline(MAX_LINE)
        except UnicodeDecodeError:
            why = "is not UTF-16, as its first bytes claim; save it as UTF-8"
            raise Unreadable(number, why) from None  # the line is where the block begins
        if not line:
            return
        if len(line) == MAX_LINE:
            raise Unreadable(number, f"has a line of over {MAX_LINE} characters; cut it into rows")
        yield line


def _read_object(number: int, line: str) -> RawRow | Problem:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not error.doc:  # so for text with undecodable bytes
            return Problem(number, "row", "is not UTF-8; save the file as UTF-8")
        where = f"{error.msg}, column {error.colno}"
        return Problem(number, "row", f"is not JSON ({where}); write one object on each line")
    if not isinstance(found, dict):
        return Problem(number, "row", 'is not an object; write {"user": ...}, one on each line')
    if repeated := _find_repeated(line, found):
        return Problem(number, "row", f"holds {abbreviated(repeated)} twice; remove one")
    if None in found.values() or not RESULTS.isdisjoint(found):
        found = {k: v for k, v in found.items() if v is not None and k not in RESULTS}
    if isinstance(events := found.get("events"), dict):
        found["events"] = {k: v for k, v in events.items() if v is not None}
    return number, found


def _find_repeated(line: str, found: dict[str, Any]) -> str | None:
    """
    Return a key that an object in `line` has twice, or None.

    orjson keeps the last of the two without a word. The parser that tells is many times slower,
    so it is asked only where more quotes stand in the line than keys and texts explain.
    """
    explained = len(found) + [*map(type, found.values())].count(str)
    if line.count('"') == 2 * explained:
        return None
    repeated: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in set(names) if names.count(name) > 1)

    JSONDecoder(object_pairs_hook=note).decode(line)
    return repeated[0] if repeated else None
