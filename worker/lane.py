"""
One mailbox's responses inside a slice, in order, a few calls in flight.

It knows neither Graph nor the ledger: `worker/slice.py` says what is done with each.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from jobs.ledger.slices import Entry


class Lane:
    """
    A queue of one mailbox's entries.

    `width` is how many of them may be under way at once. A closed lane lets what is under way
    end, and begins nothing more.
    """

    def __init__(self, mailbox: str, entries: Iterable[Entry], width: int) -> None:
        self.mailbox = mailbox
        self.closed = False
        self._ahead = deque(entries)
        self.width = min(width, len(self._ahead))

    def close(self) -> None:
        """Begin nothing more; what is still ahead waits for the next opening of its slice."""
        self.closed = True

    async def walk(self, answer: Callable[["Lane", Entry], Awaitable[None]]) -> None:
        """Answer entry by entry, `width` at a time."""
        await all_of(self._walk(answer) for _ in range(self.width))

    async def _walk(self, answer: Callable[["Lane", Entry], Awaitable[None]]) -> None:
        while self._ahead and not self.closed:
            await answer(self, self._ahead.popleft())


async def all_of(walks: Iterable[Coroutine[None, None, None]]) -> None:
    """
    Wait for all; then raise the first error there was.

    An error in one must not cut off the calls that the others have in flight.
    """
    ends = await asyncio.gather(*walks, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
