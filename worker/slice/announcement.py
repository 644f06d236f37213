"""The end of a batch, logged once: by the shift that finishes it, or later by the rescue."""

from worker.slice import log_lines
from worker.slice.context import Means


async def announce(means: Means, batch_id: str) -> None:
    """Log the end of a batch, and note that it was; one worker at a time does."""
    if not await means.batches.claim_announcement(batch_id):
        return
    batch = await means.batches.find(batch_id)
    if batch is not None and batch.finished_at_ms and not batch.announced:
        log_lines.batch_finished(means.log, batch)
        await means.batches.announce(batch)
