"""
A checked file becomes a batch: without duplicates, free of conflicts, cut into slices.

Stands between `jobs/rows.py` and the ledger. Rows wait in a `Spool`, so memory is flat however
long the file is; the ledger takes slice after slice from there. Does not know Redis.
"""

import re
import zlib
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, ValidationError

from config.errors import InputError
from jobs.fields import Asked, abbreviated
from jobs.response import Response
from jobs.rows import Problem, Row
from jobs.selection import Selection
from jobs.spool import SELECTS, Spool, Spooled

__all__ = ["Draft", "Refused", "Slice", "check_batch_id", "draft", "unpack"]

SLICE_SIZE = 100
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

_PLAN = b"plan\n"
_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Refused(InputError):  # says what became of the file
    """
    Some rows are wrong, so that none was queued.

    `problems` are the first of them by line, `total` is how many there are.
    """

    def __init__(self, problems: tuple[Problem, ...], total: int) -> None:
        found, them = ("problem", "it") if total == 1 else ("problems", "them")
        super().__init__(f"{total} {found}, nothing was queued; correct {them} and go again")
        self.problems = problems
        self.total = total


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole mailboxes of a batch: its number from 0, its responses, and what `unpack` reads."""

    number: int
    size: int
    body: bytes


class Draft:
    """
    The responses of a batch that does not exist yet, on disk until the draft is closed.

    `total` counts the rows that stay, `selections` those of them that are to find their events,
    and `duplicates` those that an earlier row made needless. `fingerprint` is the SHA-256 of all
    rows in their order, in hex: CSV and JSON Lines that say the same have the same. A plan has
    another one than its rows have without it.
    """

    def __init__(
        self, spool: Spool, *, total: int, selections: int, duplicates: int, fingerprint: str
    ) -> None:
        self._spool = spool
        self.total = total
        self.selections = selections
        self.duplicates = duplicates
        self.fingerprint = fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the rows from the disk."""
        self._spool.close()

    @property
    def batch_id(self) -> str:
        """The id that a batch of this content has unless it is given one."""
        return self.fingerprint[:16]

    def slices(self) -> Iterator[Slice]:
        """
        Yield the slices, the same ones each time: mailbox after mailbox, none in two slices.

        A slice has at most `SLICE_SIZE` responses, or is one bigger mailbox alone; a selection
        counts as `SELECTION_WEIGHT` of them.
        """
        mailboxes = map(_keep_first, self._spool.mailboxes())
        weigh = _weigh if self.selections else len
        for number, rows in enumerate(_fill_slices(mailboxes, weigh)):
            yield Slice(number, len(rows), _pack(rows))


def draft(
    rows: Iterable[Row | Problem], *, plan: bool = False, shown_problems: int = 1000
) -> Draft:
    """
    Read all `rows`, and return what they amount to; the caller closes it.

    Two rows that say the same are one response, and the first stays. With `plan`, nothing of them
    is to be sent. Raises `Refused` when anything was wrong, or when two rows want different things
    of one invitation, and `BulkrsvpError` when the disk is full.
    """
    spool = Spool()
    try:
        return _draft(spool, rows, _Problems(shown_problems), plan=plan)
    except BaseException:
        spool.close()
        raise


def unpack(body: bytes) -> list[tuple[int, Response | Selection]]:
    """
    Return the numbers and the contents of a slice's rows; everything in it is checked again.

    Raises `ValueError` for whatever `Draft.slices` has not made, and repeats none of it.
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


def check_batch_id(text: str) -> str:
    """Return `text` if a batch may be called so; raises `InputError`."""
    if _BATCH_ID.fullmatch(text):
        return text
    raise InputError(
        f"{abbreviated(text)} cannot be a batch id; use 1 to 64 letters, digits, dots, hyphens "
        "and underscores, and begin with a letter or a digit"
    )


class _Problems:
    """The first problems by line, and how many there are in all."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._first: list[Problem] = []
        self.total = 0

    def add(self, problem: Problem) -> None:
        self.total += 1
        insort(self._first, problem, key=attrgetter("line"))
        del self._first[self._shown :]

    def refuse_if_any(self) -> None:
        if self.total:
            raise Refused(tuple(self._first), self.total)


def _draft(
    spool: Spool, rows: Iterable[Row | Problem], problems: _Problems, *, plan: bool
) -> Draft:
    digest = sha256(_PLAN if plan else b"")
    for row in rows:
        if isinstance(row, Problem):
            problems.add(row)
        else:
            spool.add(row)
            digest.update(row.body + b"\n")
    total = selections = duplicates = 0
    for mailbox in spool.mailboxes():
        kept = _keep_first(mailbox)
        total += len(kept)
        selections += _count_selections(kept)
        duplicates += len(mailbox) - len(kept)
        if len(kept) < len(mailbox):
            _find_conflicts(mailbox, kept, problems)
        if len(kept) > SLICE_SIZE:
            _check_size(kept, problems)
    problems.refuse_if_any()
    return Draft(
        spool,
        total=total,
        selections=selections,
        duplicates=duplicates,
        fingerprint=digest.hexdigest(),
    )


def _keep_first(mailbox: list[Spooled]) -> list[Spooled]:
    """Return the first row for each target."""
    first: dict[bytes, Spooled] = {}
    for row in mailbox:
        first.setdefault(row.target, row)
    return list(first.values())


def _count_selections(rows: Iterable[Spooled]) -> int:
    return [row.target[:1] for row in rows].count(SELECTS)


def _find_conflicts(mailbox: list[Spooled], kept: list[Spooled], problems: _Problems) -> None:
    first = {row.target: row for row in kept}
    for row in mailbox:
        earlier = first[row.target]
        if not _say_the_same(row, earlier):
            what, field = ("events", "row") if row.selects else ("event", "event")
            text = f"line {int(earlier.line)} asks something else for the same user and {what}"
            problems.add(Problem(int(row.line), field, f"{text}; keep one of the two"))


def _check_size(kept: list[Spooled], problems: _Problems) -> None:
    """Note a mailbox whose slice `unpack` would refuse."""
    size = sum(len(row.body) + len(row.number) + len("[,],") for row in kept)
    if size >= MAX_UNPACKED:
        text = f"asks for {len(kept)} responses, {size >> 20} MiB of JSON, too much for one batch"
        problems.add(Problem(int(kept[0].line), "user", f"{text}; use several files"))


def _say_the_same(row: Spooled, earlier: Spooled) -> bool:
    if row.body == earlier.body:
        return True
    if row.selects:
        selections = Selection.from_json(row.body), Selection.from_json(earlier.body)
        return _differ_in_case(*selections, "user", "events")
    return _differ_in_case(Response.from_json(row.body), Response.from_json(earlier.body), "user")


def _differ_in_case(later: Asked, former: Asked, *fields: str) -> bool:
    """Tell whether all but these fields is the same; of them the letter case at most differs."""
    return later == former.model_copy(update={name: getattr(later, name) for name in fields})


def _weigh(mailbox: list[Spooled]) -> int:
    return len(mailbox) + (SELECTION_WEIGHT - 1) * _count_selections(mailbox)


def _fill_slices(
    mailboxes: Iterable[list[Spooled]], weigh: Callable[[list[Spooled]], int]
) -> Iterator[list[Spooled]]:
    rows: list[Spooled] = []
    filled = 0
    for mailbox in mailboxes:
        weight = weigh(mailbox)
        if rows and filled + weight > SLICE_SIZE:
            yield rows
            rows, filled = [], 0
        rows += mailbox
        filled += weight
    if rows:
        yield rows


def _pack(rows: list[Spooled]) -> bytes:
    text = b",".join([b"[%b,%b]" % (row.number, row.body) for row in rows])
    return zlib.compress(b"[%b]" % text, COMPRESSION)
