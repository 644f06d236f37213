"""The ledger that a command works on, opened for the length of one act."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from arq.connections import ArqRedis

from config.settings import Settings
from jobs.ledger.batches.store import Batches
from jobs.operations.ledger import open_ledger
from jobs.redis.connection import Logins, no_login

T = TypeVar("T")


def with_ledger(
    act: Callable[[ArqRedis, Batches], Awaitable[T]],
    *,
    writes: bool = True,
    settings: Settings | None = None,
) -> T:
    """
    Run one act on the ledger that the environment names, logged in as the command can.

    `settings` are the environment's, where they have been read already. An act that only asks (not
    `writes`) is open to a user of Redis who may not change anything.
    """
    logins: Logins = click.get_current_context().obj or no_login

    async def run() -> T:
        async with open_ledger(settings or Settings.load(), logins, writes=writes) as (
            redis,
            batches,
        ):
            return await act(redis, batches)

    return asyncio.run(run())
