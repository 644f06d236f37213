"""
One slice read as its responses: the rows that were given, and what their selections have found.

A row of the file is numbered 12; what the selection in row 12 has found is numbered 12.1, 12.2.
The same reading serves the worker that opens a slice and the administrator who asks for results.
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
"""Of a row as it was given, or of a response that was found for it."""


@dataclass(slots=True)
class Entry:
    """
    One response, with its record and the text that the ledger has of it.

    `given` is what its row asks for. `found` is what the calendar showed of a response that the
    row's selection has found. `error` says why its record cannot be read, if it cannot: then nobody
    knows what became of it, and it is left alone.
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
        What it says to whom; the selection itself while it has not found its events.

        Of what was found it is made when it is asked for: of that there may be tens of thousands.
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
        """How it ends without a call, if its selection passed over it or only plans."""
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
    Yield the responses of a slice, by its rows and its fields, put away or not.

    One whose record is not of our making is named as such, and costs the others nothing. Raises
    `ValueError` for rows, or for an archive, that are not.
    """
    records = spread(records)
    rows = unpack(body)
    rows.reverse()
    while rows:  # of a big mailbox nobody keeps them all
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
    """Yield the responses that one selection has found; what it saw counts as seen."""
    for part, each in enumerate(found, start=1):
        each.response(selection)  # which raises for one that may not be sent
        yield _entry(f"{row}.{part}", selection, Record(seen=each.seen), records, each)


def _entry(
    row: Number,
    given: Response | Selection,
    unnoted: Record,
    records: Mapping[bytes, bytes],
    found: Found | None = None,
) -> Entry:
    """Return a response with its record; `unnoted` is that of one of which nothing was noted."""
    text = records.get(str(row).encode())
    if text is None:
        return Entry(row, given, unnoted, b"", found)
    try:
        return Entry(row, given, Record.from_json(text), text, found)
    except ValueError as error:
        return Entry(row, given, unnoted, text, found, str(error))
