"""
A lock that slices of one process share, and that one response holds with nothing beside it.

A response that may have ended its worker is tried under the exclusive lock: if the process dies
then, nothing else can have ended it. The module knows neither slices nor responses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SharedLock:
    """The lock of one process, in one running event loop."""

    def __init__(self) -> None:
        self._holders = 0
        self._wanting = 0
        self._turn = asyncio.Lock()
        self._open = asyncio.Event()
        self._empty = asyncio.Event()
        self._open.set()
        self._empty.set()

    @property
    def wanted(self) -> bool:
        """Whether anybody holds it exclusively, or waits to: it is not shared meanwhile."""
        return self._wanting > 0

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Share it for the length of a block, as soon as nobody wants it exclusively."""
        while self.wanted:
            await self._open.wait()
        self._join()
        try:
            yield
        finally:
            self._leave()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold it alone for the length of a block inside `shared`; several take turns."""
        self._wanting += 1
        self._open.clear()
        self._leave()
        try:
            async with self._turn:
                while self._holders:
                    await self._empty.wait()
                yield
        finally:
            self._wanting -= 1
            if not self._wanting:
                self._open.set()
            self._join()

    def _join(self) -> None:
        self._holders += 1
        self._empty.clear()

    def _leave(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._empty.set()
