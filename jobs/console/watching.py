"""
Following a batch until it is finished, whatever happens to the terminal and to Redis meanwhile.

Each look redraws the bar, as wide as the terminal is by then. A Redis that is away is reported
once, and asked until it is back.
"""

import asyncio
from typing import Final

from redis.exceptions import RedisError

from config.errors import LedgerUnreachable
from jobs.console import report
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.quoting import refusal
from jobs.times import now_ms

WATCH_S: Final = 0.5


async def watch(batches: Batches, batch_id: str) -> Batch:
    """
    Draw a live bar of a batch until it is finished; return how it ended.

    Raises `InputError` if there is no such batch, `LedgerUnreachable` if it disappears.
    """
    batch, away = None, False
    with report.Bar(report.messages()) as bar:
        while True:
            try:
                batch = await _look(batches, batch_id, batch)
                bar.show(batch, await batches.pauses(batch_id, now_ms()))
            except (RedisError, OSError) as error:
                if not away:
                    bar.tell(f"Redis does not answer ({refusal(error)}); waiting until it does")
                away = True
            else:
                if away:
                    bar.tell("Redis answers again")
                away = False
                if batch.finished_at_ms:
                    return batch
            await asyncio.sleep(WATCH_S)


async def _look(batches: Batches, batch_id: str, before: Batch | None) -> Batch:
    if before is None:
        return await batches.get(batch_id)
    if (batch := await batches.find(batch_id)) is None:
        raise LedgerUnreachable(f"batch {batch_id} is gone from Redis; was it flushed?")
    return batch
