"""Which batch a plan was applied as: one, for what it lists may change when it is retried."""

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.batches.listing import no_batch
from jobs.ledger.script import Script


async def note_applied(redis: Redis, plan: str, batch_id: str) -> str:
    """
    Note that a plan is applied as a batch, unless it was before; return the batch that it was.

    Raises `InputError` if the plan is gone, and redis-py's errors.
    """
    applied: bytes | None = await Script(redis, "apply")([keys.batch(plan)], [batch_id])
    if applied is None:
        raise no_batch(plan)
    return applied.decode()
