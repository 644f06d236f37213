"""
The expiry of a batch's slices: given when it has finished, taken before a retry lets it go on.

Of a big batch this takes steps, between which other things happen; `lua/expiry.lua` says which of
two that go against each other is refused.
"""

from typing import Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.forms.batch import Batch
from jobs.ledger.script import Argument, Script
from jobs.times import now_ms

AT_ONCE: Final = 500
"""
Slices in one step when all of a batch are touched, batches when many are: some ms of Redis.

`lua/close.lua` lets so many expire in the step that finishes a batch.
"""


class Expiry:
    """What lets slices expire, and keeps them from it."""

    def __init__(self, redis: Redis) -> None:
        self._script = Script(redis, "expiry")

    async def expire(self, batch: Batch) -> None:
        """Let all slices of a finished batch expire, as long as it does not go on."""
        await self._pass(batch, "expire")

    async def keep(self, batch: Batch) -> None:
        """Keep all slices of a finished batch, as long as it stays so."""
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
