"""What Redis holds that cannot be read is logged: each once, however often it is met."""

from typing import Final

from structlog.typing import FilteringBoundLogger

from jobs.ledger.foreign import BatchUnreadable, Unreadable
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice

MOST: Final = 1_000
"""Lines; after so many there is nothing new to report."""


class UnreadableLog:
    """The lines about it in the log of this worker."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._logged = set[str]()

    def batch(self, batch_id: str, error: str) -> None:
        """Log a batch that is left alone, whatever in it is wrong."""
        if self._is_new(f"batch {batch_id}"):
            self._log.error("batch.unreadable", batch=batch_id, error=error)

    def slice(self, batch_id: str, number: int, error: Unreadable) -> None:
        """Log a slice that is left alone, or its batch if that is what cannot be read."""
        if isinstance(error, BatchUnreadable):
            self.batch(batch_id, str(error))
        elif self._is_new(f"slice {number} of {batch_id}"):
            self._log.error("slice.unreadable", batch=batch_id, slice=number, error=str(error))

    def key(self, error: str) -> None:
        """Log a key, or something in it, that does not belong to a batch."""
        if self._is_new(error):
            self._log.error("redis.unreadable", error=error)

    def record(self, part: OpenSlice, entry: Entry) -> None:
        """Log a response whose record cannot be read."""
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
        if what in self._logged or len(self._logged) >= MOST:
            return False
        self._logged.add(what)
        return True
