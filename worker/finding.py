"""
A selection finds its events: page by page through a calendar, then chosen, then kept.

What was read is kept only when all of it was: who starts again after a crash starts at the first
page, and nothing has been answered meanwhile, since nothing is answered before it is kept.
"""

from typing import TYPE_CHECKING

from yarl import URL

from jobs.choosing import Found, Invitation, choose, unknown_series, widened
from jobs.ledger.entries import Entry
from jobs.moments import moment
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record
from jobs.selection import Selection, Window
from worker import account
from worker.call import Reading
from worker.graph import master_path, view_paths
from worker.lane import Lane
from worker.reply import Reply
from worker.shift import Shift
from worker.verdict import Judgement, judge_page

if TYPE_CHECKING:
    from worker.page import Page


class PageCall(Reading):
    """The call that reads one page; `page` is what it brought, if it did."""

    def __init__(self, shift: Shift, lane: Lane, entry: Entry, url: str, *, first: bool) -> None:
        super().__init__(shift, lane, entry)
        self.page: Page | None = None
        self._url = url
        self._first = first

    def _goes_on(self) -> bool:
        # A long calendar may take longer than a shift, and would else never come to its end.
        return self._shift.goes_on(self._lane, begun=not self._first)

    async def _exchange(self, token: str) -> Reply:
        return await self._means.graph.read(self._url, token=token, client_request_id=self.id)

    def _judge(self, reply: Reply) -> Judgement:
        self.page = reply.page
        return judge_page(reply)

    async def _go_on(self, record: Record) -> bool:
        return True if self.page is not None else await super()._go_on(record)


class Finding:
    """One selection on its way to its responses."""

    def __init__(self, shift: Shift, lane: Lane, entry: Entry, selection: Selection) -> None:
        self._shift = shift
        self._lane = lane
        self._entry = entry
        self._selection = selection
        self._events: list[Invitation] = []
        self._read = set[str]()
        self._may_go_on = True

    async def make(self) -> bool:
        """
        Read all, choose, and put what was found into the lane.

        Returns whether the selection may take another step: it was not read to its end, and may
        be tried again.
        """
        window = self._find_window()
        found = [] if window is None else await self._find(window)
        if found is None:
            return self._may_go_on
        await self._keep(found)
        return False

    def _find_window(self) -> Window | None:
        """Return the window as the batch's start makes it; None if there is none left of it."""
        begins = moment(self._shift.part.batch.not_before_ms)
        try:
            return self._selection.events.window(begins)
        except ValueError:  # it was one when the batch was submitted, a moment earlier
            return None

    async def _find(self, window: Window) -> list[Found] | None:
        """Read all of the calendar that matters, and choose; None if it was not read to its end."""
        graph = self._shift.means.graph
        for path in view_paths(self._selection, widened(window)):
            if not await self._read_on(graph.address(path)):
                return None
        events, self._events = self._events, []
        for series in unknown_series(events, self._selection, window):
            if not await self._read_on(graph.address(master_path(self._selection, series))):
                return None
        masters = {event.id: event for event in self._events}
        return choose(events, masters, self._selection, window)

    async def _read_on(self, url: str | None) -> bool:
        """Read a page and those behind it; return whether all of them were read."""
        while url is not None:
            if url in self._read or not self._shift.means.graph.is_ours(url):
                await self._refuse(url)
                return False
            call = PageCall(self._shift, self._lane, self._entry, url, first=not self._read)
            self._may_go_on = await call.make()
            if call.page is None or not self._may_go_on:
                return False
            self._read.add(url)
            self._events += call.page.events
            url = call.page.next_link
        return True

    async def _refuse(self, url: str) -> None:
        """End the selection at a link that leads away, where no token goes, or back."""
        self._may_go_on = False
        account.bad_link(self._shift.means.log, self._shift.part, self._entry, _origin(url))
        failed = Ending(Outcome.FAILED, Reason.BAD_LINK)
        await self._shift.settle(self._entry, self._entry.record, failed)

    async def _keep(self, found: list[Found]) -> None:
        """Put what was found into the ledger, then into the lane; what is there already stays."""
        shift, part = self._shift, self._shift.part
        new = [each for each in found if part.is_new(self._selection.mailbox, each.event)]
        new = [each.planned() if part.batch.plan else each.discreet() for each in new]
        account.selection_found(
            shift.means.log, part, self._entry, new, duplicates=len(found) - len(new)
        )
        if new:
            await shift.keep_found(self._lane, self._entry, self._selection, new)
        else:
            nothing = Ending(Outcome.SKIPPED, Reason.NOTHING_FOUND)
            await shift.settle(self._entry, self._entry.record, nothing)


def _origin(url: str) -> str:
    try:
        return str(URL(url, encoded=True).origin())
    except ValueError:
        return "no address"
