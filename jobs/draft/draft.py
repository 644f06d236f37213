"""
A checked file becomes a batch: without duplicates, free of conflicts, cut into slices.

Stands between `jobs/rows/reading.py` and the ledger. Rows wait in a `Spool`, and slices in a
`Packer`, so memory is flat however long the file is; the ledger takes slice after slice. Does not
know Redis.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from operator import attrgetter
from typing import Self

from config.errors import InputError
from jobs.draft.packing import SLICE_SIZE, Packer
from jobs.draft.spool import SELECTS, Mailbox, Spool, Stored
from jobs.ledger.foreign import BATCH_ID, MAX_BATCH_ID
from jobs.ledger.forms.compression import MAX_UNPACKED
from jobs.ledger.forms.slice import Slice
from jobs.quoting import abbreviated
from jobs.rows.fields import Asked
from jobs.rows.reading import Problem, Row
from jobs.rows.response import Response
from jobs.rows.selection import Selection

__all__ = ["Draft", "Refused", "check_batch_id", "draft"]

_PLAN = b"plan\n"


class Refused(InputError):  # says what became of the file
    """
    Some rows are wrong, so none was queued.

    `problems` are the first of them by line, `total` is how many there are.
    """

    def __init__(self, problems: tuple[Problem, ...], total: int) -> None:
        found, them = ("problem", "it") if total == 1 else ("problems", "them")
        super().__init__(f"{total} {found}, nothing was queued; correct {them} and submit again")
        self.problems = problems
        self.total = total


class Draft:
    """
    The responses of a batch that does not exist yet, on disk until the draft is closed.

    `total` counts the rows that stay, `selections` those of them that have to find their events,
    and `duplicates` those that repeat an earlier row. `fingerprint` is the SHA-256 of all rows in
    their order, in hex: CSV and JSON Lines with the same content have the same one. A plan has
    another one than the same rows have otherwise.
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
        """Yield the slices, the same each time; no mailbox is in two of them."""
        return self._packer.slices()


def draft(
    rows: Iterable[Row | Problem], *, plan: bool = False, shown_problems: int = 1000
) -> Draft:
    """
    Read all `rows` and return the draft of a batch; the caller closes it.

    Two equal rows are one response, and the first stays. With `plan`, none of them is to be sent.
    Raises `Refused` if anything is wrong, or if two rows ask for different things for one
    invitation, and `BulkrsvpError` if the disk is full.
    """
    packer = Packer()
    try:
        with closing(Spool()) as spool:
            return _draft(spool, packer, rows, _Problems(shown_problems), plan=plan)
    except BaseException:
        packer.close()
        raise


def check_batch_id(text: str) -> str:
    """Return `text` if it can be a batch id. Raises `InputError`."""
    if BATCH_ID.fullmatch(text):
        return text
    raise InputError(
        f"{abbreviated(text)} cannot be a batch id; use 1 to {MAX_BATCH_ID} letters, digits, "
        "dots, hyphens and underscores, and begin with a letter or a digit"
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
        selecting = mailbox.selections
        total += len(mailbox.first)
        selections += selecting
        duplicates += len(mailbox.later)
        _find_conflicts(mailbox, problems)
        if len(mailbox.first) > SLICE_SIZE:
            _check_size(mailbox, problems)
        if not problems.total:
            packer.add(mailbox.entries, selecting)
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
    """Put all rows into the spool; return the fingerprint of `first` and the rows."""
    digest = sha256(first)
    for row in rows:
        if isinstance(row, Problem):
            problems.add(row)
        else:
            spool.add(row)
            digest.update(row.body + b"\n")
    return digest.hexdigest()


def _find_conflicts(mailbox: Mailbox, problems: _Problems) -> None:
    for target, row in mailbox.later:
        earlier = mailbox.first[target]
        selects = target[:1] == SELECTS
        if not _say_the_same(row, earlier, Selection if selects else Response):
            what, field = ("events", "row") if selects else ("event", "event")
            text = f"line {int(earlier.line)} asks for something else for the same user and {what}"
            problems.add(Problem(int(row.line), field, f"{text}; keep one of the two"))


def _check_size(mailbox: Mailbox, problems: _Problems) -> None:
    """Note a mailbox whose slice would be too big to be read again."""
    entries = mailbox.entries
    size = sum(map(len, entries)) + len(entries)
    if size >= MAX_UNPACKED:
        text = (
            f"asks for {len(entries)} responses, {size >> 20} MiB of JSON, too much for one batch"
        )
        line = next(iter(mailbox.first.values())).line
        problems.add(Problem(int(line), "user", f"{text}; use several files"))


def _say_the_same(row: Stored, earlier: Stored, kind: type[Response | Selection]) -> bool:
    if row.body == earlier.body:
        return True
    fields = ("user", "events") if kind is Selection else ("user",)
    return _differ_in_case(kind.from_json(row.body), kind.from_json(earlier.body), *fields)


def _differ_in_case(later: Asked, former: Asked, *fields: str) -> bool:
    """Whether only these fields differ; they are known to differ in letter case at most."""
    return later == former.model_copy(update={name: getattr(later, name) for name in fields})
