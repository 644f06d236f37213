"""
Ending a pause of every call by hand, when the operator knows better than to wait.

It notes who did so, for the log, and has all batches notice at once.
"""

import asyncio
import getpass
import socket
from collections.abc import Callable
from contextlib import suppress

from arq.connections import ArqRedis

from jobs.ledger.batches.pauses import lift_graph_pause
from jobs.ledger.batches.store import Batches
from jobs.ledger.queue import Queue
from jobs.ledger.workers.leases import LEASE_S
from jobs.times import now_ms


async def resume_graph(
    redis: ArqRedis, batches: Batches, foreign: Callable[[str], object] = lambda _: None
) -> bool:
    """
    Let calls be made again; return whether they were paused, and so whether anything changed.

    `foreign` is called with what was in the pause's place, if bulkrsvp did not write it.
    """
    if not await lift_graph_pause(redis, who(), foreign):
        return False
    # A living worker asks once per heartbeat, so within the length of a lease; woken earlier, it
    # would still wait for the probe.
    await asyncio.sleep(LEASE_S)
    await _wake_all(redis, batches)
    return True


def who() -> str:
    """Return the user and the host of this command, for the log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


async def _wake_all(redis: ArqRedis, batches: Batches) -> None:
    """Have what waits for the end of the pause come back now, rather than in some minutes."""
    queue, now = Queue(redis, batches), now_ms()
    for batch_id in await batches.active():
        with suppress(ValueError):  # an unreadable batch is not worked on anyway
            batch = await batches.find(batch_id)
            if batch is not None and not batch.paused and batch.not_before_ms <= now:
                await queue.wake(batch)
