"""
Where the log leaves the process, and what happens when it cannot any more.

A full disk or a closed pipe must not break off what is under way: what Graph has answered is
still recorded, and the lines about it go to standard error. Instead, the worker stops before the
next mark.
"""

import asyncio
import errno
import sys
from contextlib import suppress
from typing import IO, Any, Final

FAILURES: Final = (OSError, ValueError)
"""What a stream raises that cannot take a line; `ValueError` when it was closed."""


class LogSink:
    """
    A stream of bytes that never raises; `lost` is set when a line could not be written.

    Such a line goes to `spare`, by default standard error, after the reason.
    """

    def __init__(self, stream: IO[Any], spare: IO[Any] | None = None) -> None:
        self.lost = asyncio.Event()
        self._stream = _unbuffered(stream)
        self._spare = spare
        self._line = b""

    def write(self, text: bytes) -> int:
        """Write a line whole, or set `lost`."""
        self._line, rest = text, memoryview(text)
        try:
            while rest:  # a disk that is nearly full takes a part, and does not complain
                rest = rest[self._taken(rest) :]
        except FAILURES as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, or set `lost`."""
        try:
            self._stream.flush()
        except FAILURES as error:
            self._lose(error)

    def isatty(self) -> bool:
        """Whether a person is reading along."""
        return self._stream.isatty()

    def _taken(self, rest: memoryview) -> int:
        if (count := self._stream.write(rest)) is None:
            raise BlockingIOError(errno.EAGAIN, "nothing takes it in time")
        return count

    def _lose(self, error: Exception) -> None:
        text = self._line if self.lost.is_set() else _explained(error) + self._line
        self._line = b""  # a flush that fails after its write does not repeat it
        self.lost.set()
        with suppress(AttributeError, *FAILURES):  # it is None where there is no standard error
            _unbuffered(self._spare or sys.stderr).write(text)


def _unbuffered(stream: Any) -> IO[bytes]:
    """Return a stream without Python's buffer: what is stuck there fails again, at the exit."""
    binary = getattr(stream, "buffer", stream)
    unbuffered: IO[bytes] = getattr(binary, "raw", binary)
    return unbuffered


def _explained(error: Exception) -> bytes:
    why = getattr(error, "strerror", None) or error
    return f"bulkrsvp: cannot write the log ({why}); no further call is made\n".encode()
