"""Opening the ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq.connections import ArqRedis

from config.settings import Settings
from jobs.ledger.batches.store import Batches
from jobs.redis.connection import Logins, connected, no_login, reach


@asynccontextmanager
async def open_ledger(
    settings: Settings, logins: Logins = no_login, *, writes: bool = True
) -> AsyncIterator[tuple[ArqRedis, Batches]]:
    """Connect to the ledger, perhaps only to read. Raises `LedgerUnreachable` with what to do."""
    async with connected(settings, logins) as redis:
        await reach(redis, settings.redis_url_shown, writes=writes)
        yield redis, Batches(redis)
