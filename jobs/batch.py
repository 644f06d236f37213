"""
A checked file becomes a batch: without duplicates, free of conflicts, cut into slices.

Stands between `jobs/rows.py` and the ledger. Rows wait in a `Spool`, and slices in a `Packer`, so
memory is flat however long the file is; the ledger takes slice after slice. Does not know Redis.
"""

import re
from bisect import insort
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from operator import attrgetter
from typing import Self

from config.errors import InputError
from jobs.fields import Asked, abbreviated
from jobs.packing import MAX_UNPACKED, SLICE_SIZE, Packer, Slice
from jobs.response import Response
from jobs.rows import Problem, Row
from jobs.selection import Selection
from jobs.spool import SELECTS, Spool, Spooled

__all__ = ["Draft", "Refused", "check_batch_id", "draft"]

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


class Draft:
    """
    The responses of a batch that does not exist yet, on disk until the draft is closed.

    `total` counts the rows that stay, `selections` those of them that are to find their events,
    and `duplicates` those that an earlier row made needless. `fingerprint` is the SHA-256 of all
    rows in their order, in hex: CSV and JSON Lines that say the same have the same. A plan has
    another one than its rows have without it.
    """

    def __init__(
        self, packer: Packer, *, total: int, selections: int, duplicates: int, fingerprint: str
    ) -> None:
        self._packer = packer
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
        self._packer.close()

    @property
    def batch_id(self) -> str:
        """The id that a batch of this content has unless it is given one."""
        return self.fingerprint[:16]

    def slices(self) -> Iterator[Slice]:
        """Yield the slices, the same ones each time: mailbox after mailbox, none in two slices."""
        return self._packer.slices()


def draft(
    rows: Iterable[Row | Problem], *, plan: bool = False, shown_problems: int = 1000
) -> Draft:
    """
    Read all `rows`, and return what they amount to; the caller closes it.

    Two rows that say the same are one response, and the first stays. With `plan`, nothing of them
    is to be sent. Raises `Refused` when anything was wrong, or when two rows want different things
    of one invitation, and `BulkrsvpError` when the disk is full.
    """
    packer = Packer()
    try:
        with closing(Spool()) as spool:
            return _draft(spool, packer, rows, _Problems(shown_problems), plan=plan)
    except BaseException:
        packer.close()
        raise


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
    spool: Spool,
    packer: Packer,
    rows: Iterable[Row | Problem],
    problems: _Problems,
    *,
    plan: bool,
) -> Draft:
    fingerprint = _gather(spool, rows, problems, _PLAN if plan else b"")
    total = selections = duplicates = 0
    for mailbox in spool.mailboxes():
        kept = _keep_first(mailbox)
        selecting = _count_selections(kept)
        total += len(kept)
        selections += selecting
        duplicates += len(mailbox) - len(kept)
        if len(kept) < len(mailbox):
            _find_conflicts(mailbox, kept, problems)
        if len(kept) > SLICE_SIZE:
            _check_size(kept, problems)
        if not problems.total:
            packer.add(kept, selecting)
    problems.refuse_if_any()
    packer.seal()
    return Draft(
        packer,
        total=total,
        selections=selections,
        duplicates=duplicates,
        fingerprint=fingerprint,
    )


def _gather(spool: Spool, rows: Iterable[Row | Problem], problems: _Problems, first: bytes) -> str:
    """Put all rows into the spool; return the fingerprint of what is `first` and of them."""
    digest = sha256(first)
    for row in rows:
        if isinstance(row, Problem):
            problems.add(row)
        else:
            spool.add(row)
            digest.update(row.body + b"\n")
    return digest.hexdigest()


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
    size = sum(len(row.entry) + len(",") for row in kept)
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
