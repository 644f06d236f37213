"""
The events that a selection has read so far, kept small: there may be tens of thousands.

Reading them is the task of `worker/slice/calls/finding.py`, choosing among them that of
`jobs/rows/choosing.py`.
"""

from sys import getsizeof
from typing import TYPE_CHECKING, Final

from jobs.rows.choosing import Item, Unreadable
from jobs.rows.selection import Window
from worker.graph.page import MAX_EVENTS

if TYPE_CHECKING:
    from worker.graph.page import Page

MAX_TEXTS: Final = 20 << 20
"""Bytes of ids and texts that one selection keeps: `MAX_EVENTS` have three quarters of it."""

EVENT_BYTES: Final = 600
"""What an event takes of memory beside its texts."""

READERS: Final = 8
"""Selections of one process that read their calendars at once."""

ROOM: Final = 24 << 20
"""Bytes that all of them may hold, before all but the first have to wait."""


class ReadMemory:
    """
    The memory of all selections that one process reads at once, and the room in it.

    When it is full the one that has been there longest reads on, and is bounded by itself; the
    others keep what they have, and wait.
    """

    def __init__(self) -> None:
        self._readings: dict[EventsRead, None] = {}

    def enter(self, reading: "EventsRead") -> None:
        """Count what a selection reads from now on."""
        self._readings[reading] = None

    def leave(self, reading: "EventsRead") -> None:
        """Count it no more."""
        self._readings.pop(reading, None)

    def has_room(self, reading: "EventsRead") -> bool:
        """Whether a selection may read on."""
        first = next(iter(self._readings), reading)
        return reading is first or sum(each.weight for each in self._readings) < ROOM


class EventsRead:
    """
    The events that were read so far, of which those in the window are kept, the latest of each id.

    Tens of thousands may come, most of them of a few series: a text that many have is kept once,
    and of what is outside the window only that it was there.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._events: dict[str, Item] = {}
        self._seen = set[int]()
        self._texts: dict[str, str] = {}
        self._size = 0

    @property
    def events(self) -> list[Item]:
        """What is in the window, and what cannot be read."""
        return list(self._events.values())

    @property
    def overflows(self) -> bool:
        """Whether it is more than a calendar can be believed to hold."""
        return len(self._seen) > MAX_EVENTS or self._size > MAX_TEXTS

    @property
    def weight(self) -> int:
        """About how many bytes it takes."""
        return self._size + EVENT_BYTES * len(self._seen)

    def take(self, page: "Page") -> bool:
        """Take in what is on a page; return whether anything was new."""
        before = len(self._seen)
        for event in page.events:
            self._seen.add(hash(event.id))
            if isinstance(event, Unreadable) or event.lies_in(self._window):
                self._events[event.id] = self.keep(event, again=event.id in self._events)
            else:  # it may have been moved out meanwhile
                self._events.pop(event.id, None)
        return len(self._seen) > before

    def keep(self, item: Item, *, again: bool = False) -> Item:
        """Return an event, or a series itself, as it is kept; its texts are weighed."""
        if not again:
            self._size += getsizeof(item.id)
        return item.sharing(self._share)

    def _share(self, text: str) -> str:
        if text not in self._texts:
            self._size += getsizeof(text)
        return self._texts.setdefault(text, text)
