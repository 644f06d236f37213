"""
The calls that a selection makes: one reads a page of a calendar, or a series itself.

`worker/slice/calls/finding.py` puts together what they bring.
"""

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.record import Record
from jobs.rows.choosing import Invitation, Item, Master, Unreadable
from worker.graph import codes
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement, Verdict, judge_page
from worker.slice.calls.reading import Reading
from worker.slice.lane import Lane
from worker.slice.shift import Shift

if TYPE_CHECKING:
    from worker.graph.page import Page

LATER_MS: Final = 1_000
"""How long a reading that has begun waits for the mailbox's allowance, rather than begin anew."""

GONE: Final = "erroritemnotfound"
"""Graph's code for an event that does not exist, in lower case."""


class PageCall(Reading):
    """The call that reads one page; `page` is what it brought, if it did."""

    kind = Kind.PAGE
    single = False

    def __init__(self, shift: Shift, lane: Lane, entry: Entry, url: str, *, first: bool) -> None:
        super().__init__(shift, lane, entry)
        self.page: Page | None = None
        self.later_ms: int | None = None
        self._url = url
        self._first = first

    @property
    def done(self) -> bool:
        """Whether it has brought what it was made for."""
        return self.page is not None

    def _may_begin(self) -> bool:
        # A long calendar may take longer than a shift, and would else never come to its end.
        return self._shift.may_begin(self._lane, continuing=not self._first)

    def _obey(self, answer: Answer) -> None:
        # To come back later would be to begin anew, and to use up the allowance again and again.
        if answer.status is WriteStatus.LATER and not self._first and answer.wait_ms <= LATER_MS:
            self.later_ms = answer.wait_ms
        else:
            super()._obey(answer)

    async def _exchange(self, token: str) -> Reply:
        return await self._calls.graph.read(
            self._url, token=token, client_request_id=self.id, timely=self._admission.is_timely
        )

    def _judge(self, reply: Reply) -> Judgement:
        if reply.page is not None and reply.page.single is not self.single:
            reply = replace(reply, page=None)
        judgement = judge_page(reply)
        if judgement.verdict is Verdict.SEEN:
            self.page = reply.page
        return judgement

    async def _note(self, record: Record) -> bool:
        return True if self.done else await super()._note(record)


class MasterCall(PageCall):
    """
    The call that reads a series itself; `master` is what is known of it when it is `done`.

    A series that cannot be read does not hold up the others: what Graph refuses is settled at
    once. After a failure, `failure` is the record that the selection would go on with.
    """

    single = True

    def __init__(
        self, shift: Shift, lane: Lane, entry: Entry, url: str, *, first: bool, series: str
    ) -> None:
        super().__init__(shift, lane, entry, url, first=first)
        self.master: Master = Unreadable(series)
        self.failure: Record | None = None
        self._series = series
        self._refused = False

    @property
    def done(self) -> bool:
        """Whether it has been tried, with whatever success."""
        return self._refused or self.failure is not None or super().done

    def _judge(self, reply: Reply) -> Judgement:
        judgement = super()._judge(reply)
        if self.page is not None:
            self.master = self._read(self.page)
        ending = judgement.ending
        if judgement.verdict is not Verdict.REFUSED or (ending and ending.reason in codes.ANYWHERE):
            return judgement
        self._refused = True
        if reply.status == HTTPStatus.NOT_FOUND and (reply.code or "").casefold() == GONE:
            self.master = None
        return replace(judgement, ending=None)  # the series has ended, and the selection goes on

    def _read(self, page: "Page") -> Item:
        """Return the series; another event, or one of a series itself, is not what was meant."""
        (event,) = page.events
        its_own = isinstance(event, Invitation) and event.series is None
        return event if its_own and event.id == self._series else Unreadable(self._series)

    async def _note(self, record: Record) -> bool:
        if not self.done and record.failed_looks > self._before.failed_looks:
            self.failure = record
        return await super()._note(record)
