"""
CSV becomes unchecked rows: a header, and the object that each line of cells means under it.

Rows come out as those of JSON Lines do (`jobs/rows/jsonl.py`), with flat cells nested again. Which
rows are selections is decided here, by which cells are filled; `jobs/rows/reading.py` checks them.
"""

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from io import TextIOWrapper
from itertools import chain
from typing import Any

from jobs.quoting import abbreviated, of_cell
from jobs.rows.jsonl import (
    COLUMNS,
    MARKS,
    RESULT_KEYS,
    RESULTS,
    TOLD,
    Problem,
    RawRow,
    read_lines,
    suggest,
)

__all__ = ["read_csv"]

REQUIRED = ("user", "action")

WINDOW = frozenset({"from", "to", "series"})
"""Columns that only a selection has."""

_BETWEEN = re.compile(r"[\s,;]+")
_LONGEST = csv.field_size_limit()
_SLOT = frozenset({"proposedStart", "proposedEnd", "timeZone"})
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_csv(text: TextIOWrapper) -> Iterator[RawRow | Problem]:
    """
    Yield each row of `text` as the object it means; raises `Unreadable`.

    Commas separate the cells, or what a header without commas has instead: Excel writes semicolons
    where the comma is the decimal sign, and tabs as "Unicode text". If the header is wrong, only
    its problems are yielded.
    """
    lines = read_lines(text)
    blank, first = 0, ""
    for first in lines:
        if not first.isspace():
            break
        blank += 1
    delimiter, lines = _delimiter(first), chain([first], lines)
    header = next(_read_cells(lines, delimiter, blank), None)
    match header:
        case (line, list(names)):
            if problems := _judge_header(line, names):
                yield from problems
                return
            # The header takes one line, since no known name has a line break.
            yield from _name_cells(names, _read_cells(lines, delimiter, line))
        case Problem():
            yield header


def _delimiter(header: str) -> str:
    return next((sign for sign in ",;\t" if sign in header), ",")


def _read_cells(
    lines: Iterator[str], delimiter: str, skipped: int
) -> Iterator[tuple[int, list[str]] | Problem]:
    """
    Yield rows that hold anything, each with the line where it starts, and broken ones.

    A reader of CSV is started only for what cannot be cut without one.
    """
    line = skipped + 1
    for first in lines:
        taken, cells = 1, _cut(first, delimiter)
        if cells is None:
            reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
            try:
                cells = next(reader)
            except csv.Error as error:
                yield Problem(line, "row", _why_no_csv(str(error)))
                cells = []
            taken = reader.line_num
        if any(cells):
            yield line, cells
        line += taken


def _cut(line: str, delimiter: str) -> list[str] | None:
    """Return the cells of a line where no cell has quotes, or each is quoted; else None."""
    text = line.rstrip("\r\n")
    if len(text) > _LONGEST:
        return None
    if '"' not in text:
        return text.split(delimiter)
    cells = text[1:-1].split(f'"{delimiter}"')
    paired = text[0] == text[-1] == '"' and text.count('"') == 2 * len(cells)
    return cells if paired else None


def _why_no_csv(error: str) -> str:
    if "unexpected end" in error or "field limit" in error:
        return 'opens a quote that is not closed; close it, and write a quote inside as ""'
    return f'is not CSV ({error}); quote the whole cell, and write a quote inside as ""'


def _judge_header(line: int, names: list[str]) -> list[Problem]:
    each = dict.fromkeys(names)
    wrong = [
        f"{abbreviated(name)} is not a known column; {suggest(name, COLUMNS)}"
        for name in each
        if name not in COLUMNS and name not in RESULTS
    ]
    repeated = [name for name in each if names.count(name) > 1]
    wrong += [f"names {abbreviated(name)} twice; remove one" for name in repeated]
    wrong += [f"lacks the column {name}; add it" for name in REQUIRED if name not in names]
    if "event" not in each and not _selects(frozenset(each)):
        wrong.append("lacks the column event; add it, or from and to if events are to be found")
    return [Problem(line, "header", text) for text in wrong]


def _selects(header: frozenset[str]) -> bool:
    """
    Return whether rows without an event may be selections.

    In results that are fed back in, an organizer and a subject describe an event whose id has been
    lost, and do not select.
    """
    return not WINDOW.isdisjoint(header) or (
        not TOLD.isdisjoint(header) and header.isdisjoint(RESULT_KEYS)
    )


def _name_cells(
    header: list[str], table: Iterator[tuple[int, list[str]] | Problem]
) -> Iterator[RawRow | Problem]:
    passed_over = [name for name in header if name in RESULTS - TOLD]
    written_by_us = frozenset(header) >= MARKS
    width, shapes = len(header), _shapes(header)
    for entry in table:
        if isinstance(entry, Problem):
            yield entry
            continue
        line, cells = entry
        if len(cells) > width:
            text = f"has {len(cells)} cells, and the header {width}"
            yield Problem(line, "row", f"{text}; quote a cell that holds the separator")
            continue
        if written_by_us:
            cells = [of_cell(each) for each in cells]
        fields: dict[str, Any] = dict(zip(header, cells, strict=False))
        if passed_over or "" in cells:
            fields = {k: v for k, v in fields.items() if v and k not in passed_over}
        if told := fields.get("sendResponse"):
            fields["sendResponse"] = _BOOLEANS.get(told.lower(), told)  # else reported as it is
        for shape in shapes:
            shape(fields)
        yield line, fields


def _shapes(header: list[str]) -> list[Callable[[dict[str, Any]], None]]:
    """Return what turns cells under this header into the objects of JSON Lines."""
    names = frozenset(header)
    shapes: list[Callable[[dict[str, Any]], None]] = []
    if not names.isdisjoint(WINDOW | TOLD):
        shapes.append(partial(_nest_events, needed=_needed(names)))
    if not names.isdisjoint(_SLOT):
        shapes.append(_nest_slot)
    return shapes


def _needed(header: frozenset[str]) -> frozenset[str]:
    """
    Return the cells of which one must be filled where the event is empty; none if all may be empty.

    An event that was forgotten, or whose id was lost, must not select everything.
    """
    if not header.isdisjoint(RESULT_KEYS):
        return WINDOW
    if "event" not in header or not header.isdisjoint(WINDOW):
        return frozenset()
    return TOLD


def _nest_events(fields: dict[str, Any], *, needed: frozenset[str]) -> None:
    if "event" in fields or (needed and needed.isdisjoint(fields)):
        for name in TOLD:
            fields.pop(name, None)
        return
    events = {name: fields.pop(name) for name in (*WINDOW, *TOLD) if name in fields}
    if organizer := events.get("organizer"):
        events["organizer"] = [each for each in _BETWEEN.split(organizer) if each]
    fields["events"] = events


def _nest_slot(fields: dict[str, Any]) -> None:
    if not _SLOT.isdisjoint(fields):
        zone = fields.pop("timeZone", None)
        start, end = fields.pop("proposedStart", None), fields.pop("proposedEnd", None)
        fields["proposedNewTime"] = {"start": _local(start, zone), "end": _local(end, zone)}


def _local(date_time: str | None, zone: str | None) -> dict[str, str]:
    named = {"dateTime": date_time, "timeZone": zone}
    return {name: text for name, text in named.items() if text}
