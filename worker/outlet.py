"""
Where the log leaves the process, and what happens when it cannot any more.

A full disk or a closed pipe must not break off what is under way: what Graph has answered is
still recorded. It stops the worker before the next mark instead.
"""

import asyncio
from typing import IO, Any


class Outlet:
    """A stream of bytes that never raises; `lost` is set when a line could not be written."""

    def __init__(self, stream: IO[Any]) -> None:
        self.lost = asyncio.Event()
        self._stream: IO[bytes] = getattr(stream, "buffer", stream)

    def write(self, text: bytes) -> int:
        """Write a line, or set `lost`."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            self.lost.set()
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or set `lost`."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.lost.set()

    def isatty(self) -> bool:
        """Whether a person is reading along."""
        return self._stream.isatty()
