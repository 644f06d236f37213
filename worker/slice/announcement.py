"""The end of a batch, logged once: by the shift that finishes it, or later by the rescue."""

from worker.slice import log_lines
from worker.slice.context import Context


async def announce(context: Context, batch_id: str) -> None:
    """Log the end of a batch, and note that it was; one worker at a time does."""
    batches = context.ledger.batches
    if not await batches.claim_announcement(batch_id):
        return
    batch = await batches.find(batch_id)
    if batch is not None and batch.finished_at_ms and not batch.announced:
        log_lines.batch_finished(context.signals.log, batch)
        await batches.announce(batch)
