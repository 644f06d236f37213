"""
Rows become slices: whole mailboxes put together, in the form that the ledger stores.

Stands between the checked rows of `jobs/draft/draft.py` and the ledger. Slices wait on disk, packed
once however often they are asked for. Does not know Redis.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from tempfile import TemporaryFile

from jobs.draft.spool import no_room
from jobs.ledger.forms.slice import Slice, pack

__all__ = ["SELECTION_WEIGHT", "SLICE_SIZE", "Packer"]

SLICE_SIZE = 200
"""Responses; a slice is fuller only where one mailbox alone has more."""

SELECTION_WEIGHT = 25
"""How many responses a selection counts as, before anybody knows how many events it finds."""


class Packer:
    """
    Packs mailboxes into slices and keeps these on disk, in an unnamed file, until it is closed.

    Raises `BulkrsvpError` if there is no room for them.
    """

    def __init__(self) -> None:
        try:
            self._file = TemporaryFile()  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise no_room(error) from error
        self._entries: list[bytes] = []
        self._filled = 0

    def close(self) -> None:
        """Remove the slices from the disk."""
        with suppress(OSError):  # a full disk says so again when its file is closed
            self._file.close()

    def add(self, entries: Sequence[bytes], selections: int) -> None:
        """
        Pack the rows of a mailbox, given as JSON; `selections` is how many of them are selections.

        A slice has at most `SLICE_SIZE` responses, or is one bigger mailbox alone; a selection
        counts as `SELECTION_WEIGHT` of them. Raises `BulkrsvpError` when the disk is full.
        """
        weight = len(entries) + (SELECTION_WEIGHT - 1) * selections
        if self._entries and self._filled + weight > SLICE_SIZE:
            self._store()
        self._entries += entries
        self._filled += weight

    def seal(self) -> None:
        """Finish the last slice. Raises `BulkrsvpError` as `add` does."""
        if self._entries:
            self._store()
        try:
            self._file.flush()
        except OSError as error:
            raise no_room(error) from error

    def slices(self) -> Iterator[Slice]:
        """Yield the slices of a sealed packer, the same ones each time."""
        self._file.seek(0)
        for number in count():
            if not (head := self._file.readline()):
                return
            size, length = map(int, head.split())
            yield Slice(number, size, self._file.read(length))

    def _store(self) -> None:
        body = pack(self._entries)
        try:
            self._file.write(b"%d %d\n%b" % (len(self._entries), len(body), body))
        except OSError as error:
            raise no_room(error) from error
        self._entries, self._filled = [], 0
