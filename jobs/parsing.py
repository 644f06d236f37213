"""
Bytes become unchecked rows: the letters of CSV and JSON Lines, before their meaning.

Both come out alike, as the object that JSON Lines would have held, with the line where each
starts; what cannot be read comes out as a `Problem`. Meaning is judged in `jobs/rows.py`.
"""

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from io import TextIOWrapper
from itertools import chain, count
from json import JSONDecoder
from typing import Any

import orjson

from jobs.response import abbreviated

__all__ = [
    "COLUMNS",
    "RESULTS",
    "Problem",
    "RawRow",
    "Unreadable",
    "encoding_of",
    "read_csv",
    "read_jsonl",
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
)
"""What a CSV header may name, besides `RESULTS`."""

REQUIRED = ("user", "event", "action")

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
)
"""What `bulkrsvp results` adds to a row."""

RESULTS = frozenset({*RESULT_KEYS, "subject", "start", "organizer"})
"""What is passed over on input, so that results can be fed back in."""

MAX_LINE = 1 << 20
"""Characters; no row that can be sent comes near it, and memory stays flat whatever is piped in."""

_SLOT = frozenset({"proposedStart", "proposedEnd", "timeZone"})
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


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


class Unreadable(Exception):  # ends the reading here; nobody else meets it
    """The stream cannot be read on; carries the problem."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, "file", text)


def encoding_of(head: bytes) -> str:
    """Return the encoding that a byte order mark in `head` names; Excel and PowerShell write it."""
    return "utf-16" if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"


def suggest(name: str, known: tuple[str, ...]) -> str:
    """Return what to say of an unknown `name`: the nearest of the `known`, or all of them."""
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(name[:64].casefold(), folded, n=1)
    return f"did you mean {folded[near[0]]}?" if near else f"known are {', '.join(known)}"


def read_jsonl(text: TextIOWrapper) -> Iterator[RawRow | Problem]:
    """Yield each object of `text` without its nulls and result keys; raises `Unreadable`."""
    for number, line in enumerate(_read_lines(text), 1):
        if not line.isspace():
            yield _read_object(number, line)


def read_csv(text: TextIOWrapper) -> Iterator[RawRow | Problem]:
    """
    Yield each row of `text` as the object it means; raises `Unreadable`.

    Commas part the cells, or what a header without commas has instead: Excel writes semicolons
    where the comma is the decimal sign, and tabs as "Unicode text". A wrong header is all that
    is yielded.
    """
    lines = _read_lines(text)
    blank, first = 0, ""
    for first in lines:
        if not first.isspace():
            break
        blank += 1
    table = _read_cells(chain([first], lines), _delimiter(first), blank)
    header = next(table, None)
    match header:
        case (line, names):
            problems = _judge_header(line, names)
            yield from problems or _name_cells(names, table)
        case Problem():
            yield header


def _read_lines(text: TextIOWrapper) -> Iterator[str]:
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
        if not error.doc:  # what it says of text that holds undecodable bytes
            return Problem(number, "row", "is not UTF-8; save the file as UTF-8")
        where = f"{error.msg}, column {error.colno}"
        return Problem(number, "row", f"is not JSON ({where}); write one object on each line")
    if not isinstance(found, dict):
        return Problem(number, "row", 'is not an object; write {"user": ...}, one on each line')
    if repeated := _find_repeated(line, found):
        return Problem(number, "row", f"holds {abbreviated(repeated)} twice; remove one")
    if None in found.values() or not RESULTS.isdisjoint(found):
        found = {k: v for k, v in found.items() if v is not None and k not in RESULTS}
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


def _delimiter(header: str) -> str:
    return next((sign for sign in ",;\t" if sign in header), ",")


def _read_cells(
    lines: Iterator[str], delimiter: str, skipped: int
) -> Iterator[tuple[int, list[str]] | Problem]:
    """Yield rows that hold anything, each with the line where it starts, and broken ones."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(line, "row", _why_no_csv(str(error)))
        else:
            if any(cells):
                yield line, cells


def _why_no_csv(error: str) -> str:
    if "unexpected end" in error or "field limit" in error:
        return 'opens a quote that is not closed; close it, and write a quote inside as ""'
    return f'is not CSV ({error}); quote the whole cell, and write a quote inside as ""'


def _judge_header(line: int, names: list[str]) -> list[Problem]:
    each = dict.fromkeys(names)
    wrong = [
        f"{abbreviated(name)} is no known column; {suggest(name, COLUMNS)}"
        for name in each
        if name not in COLUMNS and name not in RESULTS
    ]
    repeated = [name for name in each if names.count(name) > 1]
    wrong += [f"names {abbreviated(name)} twice; remove one" for name in repeated]
    wrong += [f"lacks the column {name}; add it" for name in REQUIRED if name not in names]
    return [Problem(line, "header", text) for text in wrong]


def _name_cells(
    header: list[str], table: Iterator[tuple[int, list[str]] | Problem]
) -> Iterator[RawRow | Problem]:
    passed_over = [name for name in header if name in RESULTS]
    flat = _SLOT.isdisjoint(header)
    for entry in table:
        if isinstance(entry, Problem):
            yield entry
            continue
        line, cells = entry
        if len(cells) > len(header):
            text = f"has {len(cells)} cells, and the header {len(header)}"
            yield Problem(line, "row", f"{text}; quote a cell that holds the separator")
            continue
        fields: dict[str, Any] = dict(zip(header, cells, strict=False))
        if passed_over or "" in cells:
            fields = {k: v for k, v in fields.items() if v and k not in passed_over}
        if told := fields.get("sendResponse"):
            fields["sendResponse"] = _BOOLEANS.get(told.lower(), told)  # else told as it is
        yield line, fields if flat else _nest_slot(fields)


def _nest_slot(fields: dict[str, Any]) -> dict[str, Any]:
    if not _SLOT.isdisjoint(fields):
        zone = fields.pop("timeZone", None)
        start, end = fields.pop("proposedStart", None), fields.pop("proposedEnd", None)
        fields["proposedNewTime"] = {"start": _local(start, zone), "end": _local(end, zone)}
    return fields


def _local(date_time: str | None, zone: str | None) -> dict[str, str]:
    named = {"dateTime": date_time, "timeZone": zone}
    return {name: text for name, text in named.items() if text}
