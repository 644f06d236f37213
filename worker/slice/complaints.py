"""What Redis holds that is none of ours is named in the log: each once, however often it is met."""

from typing import Final

from structlog.typing import FilteringBoundLogger

from jobs.ledger.foreign import BatchUnreadable, Unreadable
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice

MOST: Final = 1_000
"""Lines: whoever has written more of it has been told of."""


class Complaints:
    """What was named in the log of this worker."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._told = set[str]()

    def batch(self, batch_id: str, error: str) -> None:
        """Name a batch that is left alone, whatever of it is wrong."""
        if self._is_new(f"batch {batch_id}"):
            self._log.error("batch.unreadable", batch=batch_id, error=error)

    def slice(self, batch_id: str, number: int, error: Unreadable) -> None:
        """Name a slice that is left alone, or its batch if that is what cannot be read."""
        if isinstance(error, BatchUnreadable):
            self.batch(batch_id, str(error))
        elif self._is_new(f"slice {number} of {batch_id}"):
            self._log.error("slice.unreadable", batch=batch_id, slice=number, error=str(error))

    def key(self, error: str) -> None:
        """Name a key, or something in it, that belongs to no batch."""
        if self._is_new(error):
            self._log.error("redis.unreadable", error=error)

    def record(self, part: OpenSlice, entry: Entry) -> None:
        """Name a response whose record cannot be read."""
        if self._is_new(f"row {entry.row} of {part.batch.id}"):
            self._log.error(
                "record.unreadable",
                batch=part.batch.id,
                slice=part.number,
                row=entry.row,
                user=entry.given.user,
                event_id=entry.event_id,
                error=entry.error,
            )

    def _is_new(self, what: str) -> bool:
        if what in self._told or len(self._told) >= MOST:
            return False
        self._told.add(what)
        return True
