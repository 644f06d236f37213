"""
Ending a pause of every call by hand, when whoever is on call knows better than to wait.

It says who did it, for the log, and has all batches take notice now.
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
    Let calls be made again; return whether they were paused, and so anything was changed.

    `foreign` is told what stood in the place of the pause, if that was none of ours.
    """
    if not await lift_graph_pause(redis, who(), foreign):
        return False
    # Who lives asks once a heartbeat, and has asked by the end of a lease: who is woken before that
    # would still wait for the probe.
    await asyncio.sleep(LEASE_S)
    await _wake_all(redis, batches)
    return True


def who() -> str:
    """Return the user and the host of this command, for the log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


async def _wake_all(redis: ArqRedis, batches: Batches) -> None:
    """Have what waits for the end of the pause come back now; else it does so in some minutes."""
    queue, now = Queue(redis, batches), now_ms()
    for batch_id in await batches.active():
        with suppress(ValueError):  # what cannot be read is not worked on either
            batch = await batches.find(batch_id)
            if batch is not None and not batch.paused and batch.not_before_ms <= now:
                await queue.wake(batch)
