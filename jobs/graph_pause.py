"""
Ending a pause of every call by hand, when whoever is on call knows better than to wait.

It says who did it, for the log, and has all batches take notice now.
"""

import asyncio
import getpass
import socket
from contextlib import suppress

import click
from arq.connections import ArqRedis

from jobs.ledger.batches import Batches
from jobs.ledger.foreign import WRITTEN_BY_OTHERS
from jobs.ledger.leases import LEASE_S
from jobs.ledger.pauses import lift_graph_pause
from jobs.moments import now_ms
from jobs.queue import Queue


async def resume_graph(redis: ArqRedis, batches: Batches) -> None:
    """Let calls be made again, and tell of it on standard error."""
    if not await lift_graph_pause(redis, who(), _tell_deleted):
        click.echo("Graph is not paused as a whole; nothing was changed", err=True)
        return
    # Who lives asks once a heartbeat, and has asked by the end of a lease: who is woken before that
    # would still wait for the probe.
    await asyncio.sleep(LEASE_S)
    await _wake_all(redis, batches)
    click.echo(
        "every batch goes on; mailboxes that Graph has asked to leave alone stay paused", err=True
    )


def _tell_deleted(what: str) -> None:
    click.echo(f"{what}; it is deleted: {WRITTEN_BY_OTHERS}", err=True)


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
