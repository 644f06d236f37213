"""
A file becomes rows: the first step in the way of a response.

The stream is read once, a row at a time. Each row comes out checked: as the canonical JSON of a
`Response` or a `Selection`, or as everything that is wrong with it, by line and by the name in the
file. `jobs/draft/draft.py` checks rows against each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from io import BufferedReader, TextIOWrapper
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.quoting import abbreviated
from jobs.rows.jsonl import Problem, Unreadable, encoding_of, read_jsonl, suggest
from jobs.rows.response import LocalTime, Response, TimeSlot
from jobs.rows.selection import Events, Selection
from jobs.rows.shortcut import at_a_glance
from jobs.rows.table import read_csv

__all__ = ["Format", "Problem", "Row", "choose_format", "read_rows", "read_selection"]


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"


class Row(NamedTuple):
    """
    A checked row: the line where it starts, its number among the rows, from 1, and what it asks.

    `target` is what is answered in the mailbox; `body` is the canonical JSON of a `Response` or
    of a `Selection`.
    """

    line: int
    number: int
    mailbox: bytes
    target: bytes
    body: bytes

    @classmethod
    def of(cls, line: int, number: int, asked: Response | Selection) -> Self:
        """Return the row that asks for this."""
        return cls(line, number, asked.mailbox.encode(), asked.target.encode(), asked.to_json())


_SUFFIXES = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
}

_CSV_NAMES = {
    "proposedNewTime": "proposedStart",
    "proposedNewTime.start.dateTime": "proposedStart",
    "proposedNewTime.start.timeZone": "timeZone",
    "proposedNewTime.end": "proposedEnd",
    "proposedNewTime.end.dateTime": "proposedEnd",
    "proposedNewTime.end.timeZone": "timeZone",
    "events": "organizer",
    **{f"events.{column}": column for column in ("from", "to", "series", "organizer", "subject")},
}
"""The columns of nested fields, by their paths in a row."""


def _names_of(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


_KNOWN: dict[type[Response | Selection], list[tuple[str, ...]]] = {
    Response: [
        (*_names_of(Response), "events", "ifNotRequested"),
        *(_names_of(model) for model in (TimeSlot, LocalTime)),
    ],
    Selection: [_names_of(model) for model in (Selection, Events)],
}
"""The names that an object may have, by its depth in a row."""

_SELECTING = "is for rows that find their events, not for a single event; drop it, or the event"

_MISPLACED: dict[type[Response | Selection], dict[str, str]] = {
    Response: dict.fromkeys((*_names_of(Events), "ifNotRequested"), _SELECTING),
    Selection: {
        "event": "names one event, but events selects many; drop one of the two",
        "proposedNewTime": "cannot be proposed for events that have yet to be found; leave it out",
    },
}
"""Messages for names that belong in the other kind of row."""

_NO_PROPOSALS = "is not known to Graph in the US Government and China clouds; leave it out"

_TEXTS = {
    "missing": "is missing; add it",
    "string_type": "must be text, in quotes",
    "string_unicode": "is not UTF-8; save the file as UTF-8",
    "bool_type": "must be true or false",
    "model_type": "must be an object, {...}",
    "tuple_type": "must be an address, @domain, internal or external, or a list of these",
    "literal_error": "must be skip, or left out",
}
"""Messages for pydantic's own kinds of error; others are `value_error` with a text."""


def choose_format(name: str, head: bytes, wanted: Format | None = None) -> Format:
    """
    Return the format of the file `name`: the one `wanted`, or by its suffix, or by its `head`.

    `head` is what the file begins with, as much as is at hand.
    """
    if wanted:
        return wanted
    if known := _SUFFIXES.get(PurePath(name).suffix.lower()):
        return known
    text = head.decode(encoding_of(head), errors="ignore").lstrip()
    return Format.JSONL if text.startswith(("{", "[")) else Format.CSV


def read_rows(
    stream: BufferedReader,
    *,
    format: Format,  # noqa: A002  # the name of the option
    proposals_allowed: bool = True,
    now: datetime | None = None,
) -> Iterator[Row | Problem]:
    """
    Yield the rows of `stream` in order, and what is wrong with those that cannot be read.

    The stream is UTF-8, or UTF-16 with its byte order mark. With `proposals_allowed` false every
    proposed time is a problem: the clouds of the US Government and China lack it. `now` is when
    the first of them can be answered; without it, the present.
    """
    now = now or datetime.now(UTC)
    text = TextIOWrapper(stream, encoding_of(stream.peek(4)), "surrogateescape", newline="")
    raw_rows = read_csv(text) if format is Format.CSV else read_jsonl(text)
    names = _CSV_NAMES if format is Format.CSV else {}
    number = 0
    try:
        for number, raw in enumerate(raw_rows, 1):
            if isinstance(raw, Problem):
                yield raw
                continue
            line, fields = raw
            if "events" in fields:
                yield from read_selection(line, number, fields, now=now, names=names)
            else:
                yield from _read_response(line, number, fields, proposals_allowed, names)
    except Unreadable as end:
        yield end.problem
    else:
        if not number:
            yield Problem(1, "file", "holds no rows; give at least one response")
    finally:
        if not stream.closed:
            text.detach()  # it is the caller's to close


def _read_response(
    line: int,
    number: int,
    fields: dict[str, Any],
    proposals_allowed: bool,  # noqa: FBT001  # as its caller has it
    names: Mapping[str, str],
) -> Iterator[Row | Problem]:
    if body := at_a_glance(fields):
        mailbox, target = fields["user"].lower().encode(), fields["event"].encode()
        yield Row(line, number, mailbox, target, body)
        return
    try:
        response = Response.from_row(fields)
    except ValidationError as error:
        yield from _explain(line, error, Response, names)
        return
    if not proposals_allowed and response.proposed_new_time:
        yield Problem(line, _name(("proposedNewTime",), names), _NO_PROPOSALS)
    yield Row.of(line, number, response)


def read_selection(
    line: int,
    number: int,
    fields: dict[str, Any],
    *,
    now: datetime,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Iterable[Row | Problem]:
    """
    Return the row that `fields` are, as JSON Lines have them, or all that is wrong with it.

    Its window must be one at `now`. `names` are other names of fields, by their places.
    """
    try:
        selection = Selection.from_row(fields)
    except ValidationError as error:
        return _explain(line, error, Selection, names)
    try:
        selection.events.window(now)
    except ValueError as error:
        return [Problem(line, _name(("events", "to"), names), str(error))]
    return [Row.of(line, number, selection)]


def _explain(
    line: int,
    error: ValidationError,
    model: type[Response | Selection],
    names: Mapping[str, str],
) -> Iterable[Problem]:
    """Return what is wrong with a row, each problem once, under the names of its file."""
    details = error.errors(include_url=False, include_input=False)
    problems = (Problem(line, _name(each["loc"], names), _reword(each, model)) for each in details)
    return dict.fromkeys(problems)


def _name(place: tuple[int | str, ...], names: Mapping[str, str]) -> str:
    path = ".".join(map(str, place))
    safe = path if path.isprintable() and len(path) <= 64 else abbreviated(path)  # noqa: PLR2004  # fits a line
    return names.get(".".join(part for part in place if isinstance(part, str)), safe)


def _reword(error: ErrorDetails, model: type[Response | Selection]) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "extra_forbidden":
            *parents, name = error["loc"]
            if not parents and name in _MISPLACED[model]:
                return _MISPLACED[model][str(name)]
            return f"is not a known name; {suggest(str(name), _KNOWN[model][len(parents)])}"
        case kind:
            return _TEXTS.get(kind) or f"is wrong: {error['msg']}"
