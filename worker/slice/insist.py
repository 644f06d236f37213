"""
Writing what is known for certain, however long Redis is away.

What Graph has answered must not be lost because the ledger could not be told at once. Only who is
cut off, because the worker ends, gives up: then the mark that stands tells a successor to look.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.exceptions import RedisError

from jobs.signals import is_cut_off

T = TypeVar("T")

UNWRITTEN_S: Final = 0.5
"""Between two tries."""


async def insist(write: Callable[[], Awaitable[T]]) -> T:
    """
    Write, and try again until Redis has answered.

    `write` makes the try, and may be called again after one that was perhaps carried out. Raises
    `CancelledError` instead of trying again when the task is being cancelled.
    """
    while True:
        try:
            return await write()
        except (RedisError, OSError) as error:
            if is_cut_off():
                raise asyncio.CancelledError from error
            await asyncio.sleep(UNWRITTEN_S)
