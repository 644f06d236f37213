"""
The slices in which this process was granted a mark in the last seconds.

When Redis has lost its last seconds, these are the slices whose marks it may have lost. A mark that
was granted some time before the latest beat that Redis has noted is on the disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.workers.failover import LOST_MS, Worked

KEPT_S: Final = LOST_MS / 1000 + 1
"""How long before the latest noted beat a mark may have been granted and still be remembered."""


class RecentMarks:
    """
    The recent marks of one process; seconds are those of `worker/slice/clock.py`.

    `any` is whether it was ever granted one.
    """

    def __init__(self) -> None:
        self.any = False
        self._since_s = 0.0
        self._open: list[OpenSlice] = []
        self._left: dict[tuple[str, int], tuple[int, float]] = {}

    @contextmanager
    def watching(self, part: OpenSlice) -> Iterator[None]:
        """Include the marks of a slice that is open for the length of a block."""
        self._open.append(part)
        try:
            yield
        finally:
            self._open.remove(part)
            self.any |= part.marked_s > 0
            if part.marked_s > self._since_s:
                self._left[part.batch.id, part.number] = part.epoch, part.marked_s

    def forget(self, noted_s: float) -> None:
        """Forget what was granted long before a beat that Redis has noted, begun at `noted_s`."""
        self._since_s = max(0.0, noted_s - KEPT_S)
        if self._left:
            self._left = {
                worked: (epoch, marked_s)
                for worked, (epoch, marked_s) in self._left.items()
                if marked_s > self._since_s
            }

    def lately(self) -> list[Worked]:
        """
        Return the slices, each with the latest epoch under which a mark was granted.

        One whose answer is still under way may have been granted.
        """
        self.any |= any(part.marked_s > 0 or part.asking for part in self._open)
        epochs = {worked: epoch for worked, (epoch, _) in self._left.items()}
        for part in self._open:
            if part.asking or part.marked_s > self._since_s:
                worked = part.batch.id, part.number
                epochs[worked] = max(part.epoch, epochs.get(worked, 0))
        return [(batch_id, number, epoch) for (batch_id, number), epoch in epochs.items()]
