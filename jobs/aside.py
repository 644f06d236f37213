"""Work that takes long where there is much of it: then a thread does it."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

AT_ONCE: Final = 1_000
"""Events or responses that the heartbeat may wait for: some hundredths of a second."""

T = TypeVar("T")


async def aside(count: int, work: Callable[[], T]) -> T:
    """Return what `work` returns, which is about `count` things; if they are many, use a thread."""
    return await asyncio.to_thread(work) if count > AT_ONCE else work()
