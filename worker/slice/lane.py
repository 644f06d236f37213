"""
One mailbox's responses inside a slice, in order, a few calls in flight.

It knows neither Graph nor the ledger: `worker/slice/work.py` has what is done with each.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from jobs.ledger.forms.entries import Entry

AnswerEntry = Callable[["Lane", Entry], Awaitable[None]]
Changed = Callable[[int], None]


class Lane:
    """
    A queue of one mailbox's entries.

    At most `most` of them are under way at once, and never two of one series: writing to one
    series side by side conflicts. A closed lane lets what is under way end, and begins nothing
    more; one that is `refused` was closed because its mailbox itself asked for a pause.
    `width` is how many can be under way with what is ahead now. A mailbox that was `away` (so many
    times in a row) when it was last called is tried with one call at a time, until it is back.
    """

    def __init__(self, mailbox: str, entries: Iterable[Entry], most: int, *, away: int = 0) -> None:
        self.mailbox = mailbox
        self.away = away
        self.closed = False
        self.refused = False
        self.most = most
        self._ahead = deque[list[Entry]]()
        self._changes = 0
        self.add(entries)

    @property
    def width(self) -> int:
        """How many of those ahead can be under way at once."""
        return min(1 if self.away else self.most, len(self._ahead))

    def come_back(self) -> None:
        """Note that the mailbox can be used again: from now on the lane is as wide as it may be."""
        self.away = 0
        self._changes += 1

    def add(self, entries: Iterable[Entry]) -> None:
        """Put more behind what is ahead; those of one series go one after the other."""
        self._changes += 1
        series: dict[str, list[Entry]] = {}
        for entry in entries:
            name = entry.found.series if entry.found is not None else None
            if name is None:
                self._ahead.append([entry])
            elif name in series:
                series[name].append(entry)
            else:
                series[name] = [entry]
                self._ahead.append(series[name])

    def close(self) -> None:
        """Begin nothing more; what is still ahead waits for the next opening of its slice."""
        self.closed = True

    def refuse(self) -> None:
        """Close the lane because its mailbox was throttled: without exception."""
        self.refused = True
        self.close()

    async def walk(self, answer: AnswerEntry, changed: Changed) -> None:
        """
        Answer entry by entry, a few at a time, and whatever is added meanwhile.

        `changed` is called with how many more or fewer are under way than before, from `width` on.
        """
        while self._ahead and not self.closed:
            await all_of([self._walk(answer, changed, self._changes) for _ in range(self.width)])
            if self._ahead and not self.closed:
                changed(self.width)

    async def _walk(self, answer: AnswerEntry, changed: Changed, changes: int) -> None:
        try:
            while self._ahead and self._changes == changes:  # else it may be wider now
                for entry in self._ahead.popleft():
                    if self.closed:
                        return
                    await answer(self, entry)
        finally:
            changed(-1)


async def all_of(walks: Iterable[Coroutine[None, None, None]]) -> None:
    """
    Wait for all; then raise the first error there was.

    An error in one must not cut off the calls that the others have in flight.
    """
    ends = await asyncio.gather(*walks, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
