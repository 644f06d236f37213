"""
What nobody else would notice: batches whose slices have no job, ends that were never announced.

Each round may be made by every worker at once, and does nothing where nothing is wrong.
"""

from jobs.ledger.batches import VERSION, Batch
from jobs.queue import Queue
from worker.means import Means
from worker.slice import announce

ROUND_S = 1.0
ANNOUNCED_LATE_MS = 5_000
"""After that long whoever finished a batch has died before it said so."""


class Rescue:
    """Looks after all batches that are not finished and announced."""

    def __init__(self, means: Means, queue: Queue) -> None:
        self._means = means
        self._queue = queue

    async def look_round(self) -> None:
        """Look at each active batch once. Raises redis-py's errors."""
        for batch_id in await self._means.batches.active():
            batch = await self._means.batches.find(batch_id)
            if batch is None:
                self._means.log.critical("batch.gone", batch=batch_id)
                await self._means.batches.forget(batch_id)
            elif batch.version == VERSION:
                await self._look_after(batch)

    async def _look_after(self, batch: Batch) -> None:
        now_ms = self._means.now_ms()
        if batch.not_before_ms > now_ms and not batch.cancelled:
            return
        if not batch.finished_at_ms:
            await self._queue.release(batch)
            for number in await self._queue.restore(batch):
                self._means.log.warning("slice.rescued", batch=batch.id, slice=number)
        elif batch.finished_at_ms < now_ms - ANNOUNCED_LATE_MS:
            await announce(self._means, batch.id)
