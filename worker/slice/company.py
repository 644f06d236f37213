"""
Slices that are worked on side by side in this process, or one response with nothing beside it.

A response that may have ended its worker is tried alone: if the process dies in that, nothing else
can have done it. It knows neither slices nor responses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Company:
    """Who is at work in one process; in one running event loop."""

    def __init__(self) -> None:
        self._beside = 0
        self._asking = 0
        self._turn = asyncio.Lock()
        self._open = asyncio.Event()
        self._empty = asyncio.Event()
        self._open.set()
        self._empty.set()

    @property
    def closed(self) -> bool:
        """Whether somebody is alone, or waits to be: nobody joins meanwhile."""
        return self._asking > 0

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be at work beside others for the length of a block, as soon as nobody is to be alone."""
        while self.closed:
            await self._open.wait()
        self._join()
        try:
            yield
        finally:
            self._leave()

    @asynccontextmanager
    async def left_alone(self) -> AsyncIterator[None]:
        """Be alone for the length of a block, one after another; only for those who have joined."""
        self._asking += 1
        self._open.clear()
        self._leave()
        try:
            async with self._turn:
                while self._beside:
                    await self._empty.wait()
                yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._open.set()
            self._join()

    def _join(self) -> None:
        self._beside += 1
        self._empty.clear()

    def _leave(self) -> None:
        self._beside -= 1
        if not self._beside:
            self._empty.set()
