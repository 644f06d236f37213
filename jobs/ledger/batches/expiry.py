"""
The expiry of a batch's slices: set when it has finished, removed before a retry reopens it.

For a big batch this takes several steps, and other things happen in between; `lua/expiry.lua`
decides which of two passes that conflict is refused.
"""

from typing import Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.forms.batch import Batch
from jobs.ledger.script import Argument, Script
from jobs.times import now_ms

AT_ONCE: Final = 500
"""
Slices, or batches, that one step touches: some milliseconds of Redis.

`lua/close.lua` lets as many slices expire in the step that finishes a batch.
"""


class Expiry:
    """Lets slices expire, or keeps them."""

    def __init__(self, redis: Redis) -> None:
        self._script = Script(redis, "expiry")

    async def expire(self, batch: Batch) -> None:
        """Let all slices of a finished batch expire, unless it is reopened meanwhile."""
        await self._pass(batch, "expire")

    async def keep(self, batch: Batch) -> None:
        """Keep all slices of a finished batch, as long as it stays finished."""
        await self._pass(batch, "keep")

    async def _pass(self, batch: Batch, purpose: str) -> None:
        prefix, begun = keys.slices_prefix(batch.id), b""
        for first in range(0, batch.slices, AT_ONCE):
            last = min(first + AT_ONCE, batch.slices) - 1
            step: list[Argument] = [prefix, first, last, keys.KEEP_S, now_ms()]
            begun = await self._script(
                [keys.batch(batch.id), keys.ACTIVE],
                [batch.id, purpose, batch.finished_at_ms, begun, *step],
            )
            if begun is None:
                return
