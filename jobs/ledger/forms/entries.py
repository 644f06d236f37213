"""
One slice read as its responses: rows that were given, and what their selections have found.

Row 12 of a file has the number 12; what the selection in it has found has the numbers 12.1, 12.2.
A worker that opens a slice and an administrator who asks for results read it the same way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jobs.ledger.fields import SliceField
from jobs.ledger.forms.archive import spread
from jobs.ledger.forms.found import unpack_found
from jobs.ledger.forms.slice import unpack
from jobs.outcome import Ending
from jobs.record import QUEUED, Record
from jobs.rows.choosing import Found
from jobs.rows.response import Response
from jobs.rows.selection import Selection

Number = int | str
"""The number of a row as it was given, or of a response that was found for it."""


@dataclass(slots=True)
class Entry:
    """
    One response, with its record and the record's text in the ledger.

    `given` is what its row asks for. `found` is what the calendar showed, if the row's selection
    has found this response. `error` says why its record cannot be read, if it cannot: then nobody
    knows what became of the response, and it is left alone.
    """

    row: Number
    given: Response | Selection
    record: Record
    stored: bytes = b""
    found: Found | None = None
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may still be worked on."""
        return self.record.ending is None and not self.error

    @property
    def finds(self) -> bool:
        """Whether it is a selection that has not found its events yet."""
        return self.found is None and isinstance(self.given, Selection)

    @property
    def response(self) -> Response | Selection:
        """
        The response itself, or the selection while it has not found its events.

        One that was found is made when it is asked for: there may be tens of thousands of them.
        """
        if self.found is not None and isinstance(self.given, Selection):
            return self.found.response(self.given)
        return self.given

    @property
    def event_id(self) -> str | None:
        """The event's id; None while it has to be found."""
        if self.found is not None:
            return self.found.event
        return self.given.event if isinstance(self.given, Response) else None

    @property
    def ahead(self) -> Ending | None:
        """How it ends without a call, if its selection skips it or only plans."""
        return self.found.ending if self.found is not None else None

    @property
    def showing(self) -> tuple[str | None, ...]:
        """Its event's subject, start and organizer, as far as they are known."""
        if self.found is not None:
            return self.found.shown
        return self.record.showing or (None, None, None)


def row_order(row: Number) -> tuple[int, int]:
    """Return what rows are sorted by: 12.2 comes after 12 and before 12.10."""
    if isinstance(row, int):
        return row, 0
    given, _, part = row.partition(".")
    return int(given), int(part)


def read_entries(body: bytes, records: Mapping[bytes, bytes]) -> Iterator[Entry]:
    """
    Yield the responses of a slice from its rows and its fields, put away or not.

    A response whose record cannot be read has an `error`, and costs the others nothing. Raises
    `ValueError` for rows, or an archive, that cannot be read.
    """
    records = spread(records)
    rows = unpack(body)
    rows.reverse()
    while rows:  # so that nobody keeps all of a big mailbox
        row, response = rows.pop()
        selects = isinstance(response, Selection)
        found = records.get(SliceField.FOUND + b"%d" % row) if selects else None
        if isinstance(response, Selection) and found is not None:
            yield from _found_entries(row, response, found, records)
        else:
            yield _entry(row, response, QUEUED, records)


def _found_entries(
    row: int, selection: Selection, found: bytes, records: Mapping[bytes, bytes]
) -> list[Entry]:
    try:
        return list(found_entries(row, selection, unpack_found(found), records))
    except ValueError as error:
        return [Entry(row, selection, QUEUED, found, error=str(error))]


def found_entries(
    row: Number, selection: Selection, found: list[Found], records: Mapping[bytes, bytes]
) -> Iterator[Entry]:
    """Yield the responses that one selection has found; it has seen their answers."""
    for part, each in enumerate(found, start=1):
        each.response(selection)  # raises for one that must not be sent
        yield _entry(f"{row}.{part}", selection, Record(seen=each.seen), records, each)


def _entry(
    row: Number,
    given: Response | Selection,
    unnoted: Record,
    records: Mapping[bytes, bytes],
    found: Found | None = None,
) -> Entry:
    """Return a response with its record, or with `unnoted` if nothing was noted of it."""
    text = records.get(str(row).encode())
    if text is None:
        return Entry(row, given, unnoted, b"", found)
    try:
        return Entry(row, given, Record.from_json(text), text, found)
    except ValueError as error:
        return Entry(row, given, unnoted, text, found, str(error))
