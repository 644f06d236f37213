"""
Checked rows wait on disk until the whole file is known to be good.

They are in a fixed number of files, each mailbox in one of them. Files are read one at a time, so
memory is bounded by the fullest of them and not by the length of what was submitted.
Knows neither slices nor the ledger.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from tempfile import TemporaryFile
from typing import NamedTuple
from zlib import crc32

from config.errors import BulkrsvpError
from jobs.rows.reading import Row

__all__ = ["SELECTS", "Mailbox", "Spool", "Stored", "no_room"]

FILES = 64
"""A million rows leave 16,000 in each, some 10 MB; 256 open files are all that macOS allows."""

BUFFER = 1 << 16
"""Bytes of a file that gather in memory, 4 MB in all."""

SELECTS = b"?"
"""The beginning of a selection's target; no event's id begins with it."""


class Stored(NamedTuple):
    """
    A row on disk, as its bytes stand there: the line where it starts, and its entry.

    The entry is the JSON that stands for the row in a slice: its number, and what it asks.
    """

    line: bytes
    entry: bytes

    @property
    def body(self) -> bytes:
        """The canonical JSON of what it asks."""
        return self.entry.partition(b",")[2][:-1]


class Mailbox:
    """The rows of a mailbox: the first for each target, and the later ones for the same."""

    __slots__ = ("first", "later")

    def __init__(self) -> None:
        self.first: dict[bytes, Stored] = {}
        self.later: list[tuple[bytes, Stored]] = []

    @property
    def selections(self) -> int:
        """How many of the first rows are selections, which have no event yet."""
        return [target[:1] for target in self.first].count(SELECTS)

    @property
    def entries(self) -> list[bytes]:
        """What stands in a slice for the first rows."""
        return [entry for _, entry in self.first.values()]


class Spool:
    """
    Rows in unnamed files: they are gone when it is closed, or this process is killed.

    Raises `BulkrsvpError` if there is no room for them.
    """

    def __init__(self) -> None:
        with ExitStack() as opening:
            try:
                self._files = [
                    opening.enter_context(TemporaryFile("w+b", BUFFER)) for _ in range(FILES)
                ]
            except OSError as error:
                raise no_room(error) from error
            self._open = opening.pop_all()

    def close(self) -> None:
        """Remove the rows from the disk."""
        with suppress(OSError):  # a full disk says so again when its files are closed
            self._open.close()

    def add(self, row: Row) -> None:
        """Store `row`; raises `BulkrsvpError` when the disk is full."""
        line, number, mailbox, target, body = row
        # neither a mailbox nor a target holds a space, and JSON holds no line break
        stored = b"%b %b %d [%d,%b]\n" % (mailbox, target, line, number, body)
        try:
            self._files[crc32(mailbox) % FILES].write(stored)
        except OSError as error:
            raise no_room(error) from error

    def mailboxes(self) -> Iterator[Mailbox]:
        """
        Yield each mailbox with its rows in their order, once, and remove them from the disk.

        Raises `BulkrsvpError` as `add` does.
        """
        for file in self._files:
            try:
                file.seek(0)  # writes out what is still in memory
            except OSError as error:
                raise no_room(error) from error
            found = defaultdict[bytes, Mailbox](Mailbox)
            for stored in file.read().splitlines():
                mailbox, target, line, entry = stored.split(b" ", 3)
                row, rows = Stored(line, entry), found[mailbox]
                if rows.first.setdefault(target, row) is not row:
                    rows.later.append((target, row))
            file.truncate(0)
            yield from found.values()


def no_room(error: OSError) -> BulkrsvpError:
    """Return the error for a disk that takes no more rows."""
    return BulkrsvpError(
        f"the rows could not be kept in {tempfile.tempdir or 'a folder'} ({error.strerror}); "
        "make room there, or set TMPDIR to a folder that has some"
    )
