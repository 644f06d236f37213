"""What takes long where there is much of it: then it is done beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

AT_ONCE: Final = 1_000
"""Events, or responses, for which the heartbeat may wait: they take some hundredths of a second."""

T = TypeVar("T")


async def aside(count: int, work: Callable[[], T]) -> T:
    """Return what `work` does, for so many; where they are many, a thread does it."""
    return await asyncio.to_thread(work) if count > AT_ONCE else work()
