"""
What the shell offers on the tab key where a command takes a batch.

It asks the ledger, but not for long: nobody who types wants to wait for a Redis that is away, and
the command itself will report it.
"""

import asyncio
from typing import Final

import click
from click.shell_completion import CompletionItem
from redis.exceptions import RedisError

from config.errors import BulkrsvpError
from config.settings import Settings
from jobs.ledger.foreign import Unreadable
from jobs.operations.ledger import open_ledger

LIMIT_S: Final = 1.0


def offer_batches(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the ids of batches that begin with what was typed, or none without a ledger."""
    try:
        names = asyncio.run(_read_names())
    except (BulkrsvpError, Unreadable, RedisError, OSError):  # TimeoutError is one of the last
        return []
    return [CompletionItem(name) for name in names if name.startswith(begun)]


async def _read_names() -> list[str]:
    async with asyncio.timeout(LIMIT_S), open_ledger(Settings.load(), writes=False) as (_, batches):
        return await batches.names()
