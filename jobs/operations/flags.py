"""
Flags of a batch that is under way: raised in the ledger, then waited for until they take effect.

The ledger grants no mark against a flag, but a mark granted before stays good for a moment. Pausing
or cancelling a batch returns when that moment is over, or at once if no worker is at work on it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from config.errors import InputError, LedgerUnreachable
from jobs.ledger.batches.listing import no_batch
from jobs.ledger.batches.store import Batches, Flagged
from jobs.ledger.queue import Queue
from jobs.ledger.slices.writes import MARK_GOOD_S
from jobs.quoting import refusal
from jobs.signals import is_cut_off

HELD_S: Final = MARK_GOOD_S + 0.5
"""After this no call of an older mark begins; half a second is for its way to Graph."""

ASKED_S: Final = 0.05
"""Pause between two questions whether a worker is still at work."""

Raise = Callable[[Batches], Awaitable[Flagged]]


class Flag:
    """
    A flag of one batch; `word` describes the batch under it, as in "is paused".

    `raised` is whether the ledger has it: from then on it counts, whatever happens to the command.
    """

    def __init__(self, batch_id: str, word: str, act: Raise) -> None:
        self.raised = False
        self.broken_off = f"batch {batch_id} {word} nevertheless; calls may still begin for 2 s"
        self._batch_id = batch_id
        self._word = word
        self._act = act

    async def change(self, redis: ArqRedis, batches: Batches) -> None:
        """Change it, and have the batch's slices notice at once. Raises `InputError`."""
        await self._raise(batches)
        await self._wake(redis, batches)

    async def hold(self, redis: ArqRedis, batches: Batches) -> None:
        """
        Raise it, and return once no call that it forbids can begin any more.

        Raises `InputError`, and `LedgerUnreachable` if Redis has it but then stops answering.
        """
        await self._raise(batches)
        try:
            await self._until_held(redis, batches)
        except (RedisError, OSError) as error:
            if is_cut_off():
                raise asyncio.CancelledError from error
            raise LedgerUnreachable(
                f"batch {self._batch_id} {self._word}, but then Redis did not answer"
                f" ({refusal(error)}): calls may still begin for 2 s; when it is back, check with"
                f" `bulkrsvp status {self._batch_id}` that it has not forgotten"
            ) from error

        if is_cut_off():
            raise asyncio.CancelledError

    async def _raise(self, batches: Batches) -> None:
        match await self._act(batches):
            case Flagged.FINISHED:
                raise InputError(
                    f"batch {self._batch_id} is finished; nothing can be changed any more"
                )
            case Flagged.CANCELLED:
                raise InputError(f"batch {self._batch_id} is already cancelled")
            case Flagged.GONE:
                raise no_batch(self._batch_id)
        self.raised = True

    async def _wake(self, redis: ArqRedis, batches: Batches) -> None:
        await Queue(redis, batches).wake(await batches.get(self._batch_id))

    async def _until_held(self, redis: ArqRedis, batches: Batches) -> None:
        """Wait until all workers have left the batch, or their marks are no longer good."""
        clock = asyncio.get_running_loop().time
        queue, holds_s = Queue(redis, batches), clock() + HELD_S
        busy = await queue.at_work(self._batch_id)
        await self._wake(redis, batches)
        while busy and not is_cut_off() and (left_s := holds_s - clock()) > 0:
            await asyncio.sleep(min(left_s, ASKED_S))
            busy &= await queue.at_work(self._batch_id)


def pausing(batch_id: str) -> Flag:
    """Return the flag that lets nothing more of a batch be sent until it is resumed."""
    return Flag(batch_id, "is paused", lambda batches: batches.pause(batch_id, paused=True))


def resuming(batch_id: str) -> Flag:
    """Return the flag that lets a paused batch continue."""
    return Flag(batch_id, "is resumed", lambda batches: batches.pause(batch_id, paused=False))


def cancelling(batch_id: str) -> Flag:
    """Return the flag that ends what has not been sent of a batch."""
    return Flag(batch_id, "is cancelled", lambda batches: batches.cancel(batch_id))
