"""
A selection finds its events: they are read page by page, then chosen, then kept.

What was read is kept only when all of it was. After a crash or a wait a selection starts at its
first page again; nothing is answered before it is kept, so nothing has been answered meanwhile. The
ledger only remembers how often a reading has failed (`Record.failed_looks`): the size of the pages
follows from that, and when to give up a series that cannot be read.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from yarl import URL

from jobs.aside import AT_ONCE, aside
from jobs.ledger.forms.entries import Entry
from jobs.ledger.forms.found import fits
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record
from jobs.rows.choosing import (
    UNREADABLE,
    Found,
    Master,
    choose,
    series_within,
    widened,
)
from jobs.rows.selection import Selection, Window
from jobs.times import moment
from worker.graph.paths import master_path, page_size, view_paths
from worker.slice import log_lines
from worker.slice.calls.events_read import EventsRead
from worker.slice.calls.page_call import LATER_MS, MasterCall, PageCall
from worker.slice.lane import Lane
from worker.slice.shift import Shift

if TYPE_CHECKING:
    from worker.graph.page import Page

MAX_READS: Final = 5_000
"""Pages and series that one selection reads: all of `MAX_EVENTS`, in pages of ten."""

STALE_PAGES: Final = 10
"""
Pages in a row without a new event that end a reading: Graph may put empty pages between others,
and repeats some events where a calendar changes meanwhile, but not a hundred of them.
"""

MAX_ORIGIN: Final = 256
"""Characters of an origin that are logged."""

FAILED_SERIES: Final = 10
"""So many series that fail in one reading are enough to begin anew, and to spare Graph the rest."""


_Call = TypeVar("_Call", bound=PageCall)


class Finding:
    """One selection on its way to its responses."""

    def __init__(self, shift: Shift, lane: Lane, entry: Entry, selection: Selection) -> None:
        self._shift = shift
        self._calls = shift.context.calls
        self._lane = lane
        self._entry = entry
        self._selection = selection
        self._read = set[str]()
        self._reads = 0
        self._may_go_on = True

    async def make(self) -> bool:
        """
        Read all, choose, and put what was found into the lane.

        Returns whether the selection may take another step: it was not read to its end, and may
        be tried again, or is over.
        """
        window = self._find_window()
        if window is None:
            await self._keep([])
            return False
        async with self._calls.readers:
            return await self._read_and_keep(window)

    async def _read_and_keep(self, window: Window) -> bool:
        reading, memory = EventsRead(window), self._calls.read_memory
        memory.enter(reading)
        try:
            found = await self._find(window, reading)
            if found is None:
                return self._may_go_on
            if await aside(len(found), lambda: fits(found)):
                await self._keep(found)
            else:
                await self._fail(Reason.TOO_MANY_EVENTS)
        finally:  # not before: what was found is of what was read
            memory.leave(reading)
        return False

    def _find_window(self) -> Window | None:
        """Return the window as the batch's start makes it; None if there is none left of it."""
        begins = moment(self._shift.part.batch.not_before_ms)
        try:
            return self._selection.events.window(begins)
        except ValueError:  # it was one when the batch was submitted, a moment earlier
            return None

    async def _find(self, window: Window, reading: EventsRead) -> list[Found] | None:
        """Read all of the calendar that matters, and choose; None if it was not read to its end."""
        size = page_size(self._entry.record.failed_looks)
        for path in view_paths(self._selection, widened(window), size):
            if not await self._read_on(self._calls.graph.address(path), reading):
                return None
        events = reading.events
        names = series_within(events, self._selection, window)
        masters = await self._read_masters(names, reading)
        if masters is None:
            return None
        return await aside(len(events), lambda: choose(events, masters, self._selection, window))

    async def _read_masters(
        self, names: list[str], reading: EventsRead
    ) -> dict[str, Master] | None:
        """
        Read series themselves; None if the selection has to begin anew.

        Those that fail are tried again with all the rest, and at the last try they count as
        unreadable. Failures of pages and of series are one count, since the record has only one.
        """
        masters, failures = dict[str, Master](), list[Record]()
        for series in names:
            if not await self._has_room(reading):
                return None
            call = await self._read_out(partial(self._master_call, series))
            if call is None:
                return None
            masters[series] = call.master and reading.keep(call.master)
            if reading.overflows:
                await self._fail(Reason.TOO_MANY_EVENTS)
                return None
            failures += [] if call.failure is None else [call.failure]
            if len(failures) >= FAILED_SERIES and self._may_fail_again(failures[0]):
                break
        if failures and self._may_fail_again(failures[0]):
            self._may_go_on = await self._shift.note(self._entry, failures[0])
            return None
        return masters

    def _may_fail_again(self, record: Record) -> bool:
        return record.failed_looks < self._calls.max_attempts

    def _page_call(self, url: str, *, first: bool) -> PageCall:
        return PageCall(self._shift, self._lane, self._entry, url, first=first)

    def _master_call(self, series: str, *, first: bool) -> MasterCall:
        url = self._calls.graph.address(master_path(self._selection, series))
        return MasterCall(self._shift, self._lane, self._entry, url, first=first, series=series)

    async def _read_on(self, url: str | None, reading: EventsRead) -> bool:
        """Read a page and those behind it; return whether all of them were read."""
        stale = 0
        while url is not None:
            page = await self._read_page(url) if await self._has_room(reading) else None
            if page is None:
                return False
            stale = 0 if reading.take(page) else stale + 1
            if reading.overflows:
                await self._fail(Reason.TOO_MANY_EVENTS)
                return False
            if stale == STALE_PAGES and page.next_link is not None:
                log_lines.stale_pages(self._shift.log, self._shift.part, self._entry, stale)
                return True
            is_last = not page.events and page.next_link == url
            url = None if is_last else page.next_link
        return True

    async def _has_room(self, reading: EventsRead) -> bool:
        """Wait until there is room for another page; false if it may not be read any more."""
        while not self._calls.read_memory.has_room(reading):
            self._may_go_on = self._shift.may_begin(self._lane, continuing=True)
            if not self._may_go_on or self._shift.next_step(self._entry).ending is not None:
                return False
            await asyncio.sleep(LATER_MS / 1000)
        return True

    async def _read_page(self, url: str) -> "Page | None":
        if url in self._read or not self._calls.graph.is_ours(url):
            log_lines.bad_link(self._shift.log, self._shift.part, self._entry, _origin(url))
            await self._fail(Reason.BAD_LINK)
            return None
        call = await self._read_out(partial(self._page_call, url))
        self._read.add(url)
        return None if call is None else call.page

    async def _read_out(self, make: Callable[..., _Call]) -> _Call | None:
        """Make a call; None if it has not brought what it was made for, or may not be made."""
        while True:
            if self._reads >= MAX_READS:
                await self._fail(Reason.TOO_MANY_EVENTS)
                return None
            if self._shift.next_step(self._entry).ending is not None:  # the deadline, meanwhile
                return None
            call = make(first=not self._reads)
            self._may_go_on = await call.make()
            if call.later_ms is None:
                break
            await asyncio.sleep(call.later_ms / 1000)
        self._reads += 1
        return call if call.done and self._may_go_on else None

    async def _fail(self, reason: Reason) -> None:
        """End the selection: nothing of it is answered."""
        self._may_go_on = False
        failed = Ending(Outcome.FAILED, reason)
        await self._shift.settle(self._entry, self._entry.record, failed)

    async def _keep(self, found: list[Found]) -> None:
        """Put what was found into the ledger, then into the lane; what is there already stays."""
        shift, part, new = self._shift, self._shift.part, list[Found]()
        for at in range(0, len(found), AT_ONCE):
            new += self._new(found[at : at + AT_ONCE])
            await asyncio.sleep(0)  # the heartbeat must not wait for tens of thousands
        log_lines.selection_found(
            shift.log, part, self._entry, new, duplicates=len(found) - len(new)
        )
        if new:
            await shift.keep_found(self._lane, self._entry, self._selection, new)
        else:
            nothing = Ending(Outcome.SKIPPED, Reason.NOTHING_FOUND)
            await shift.settle(self._entry, self._entry.record, nothing)

    def _new(self, found: list[Found]) -> list[Found]:
        """Return those that are in the slice only once, as they are kept; log the unreadable."""
        part = self._shift.part
        new = [each for each in found if part.is_new(self._selection.mailbox, each.event)]
        for each in new:
            if each.ending == UNREADABLE:
                log_lines.event_unreadable(self._shift.log, part, self._entry, each.event)
        return [each.planned() if part.batch.plan else each.discreet() for each in new]


def _origin(url: str) -> str:
    try:
        return str(URL(url, encoded=True).origin())[:MAX_ORIGIN]
    except ValueError:
        return "no address"
