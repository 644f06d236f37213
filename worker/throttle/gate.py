"""
The gate before all calls: it closes when Graph throttles the app, and opens after one probe.

A mailbox that was throttled is paused in the ledger, for all workers. When many mailboxes are
throttled within a second it is the app that is throttled: the gate closes for every worker, and
opens again after one call, a probe, has gone through. Such a call is made every few minutes at
least: that the app is throttled is our conclusion, and what Graph asked for holds for a mailbox.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import StrEnum

from structlog.typing import FilteringBoundLogger

from jobs.ledger.workers.leases import Leases
from jobs.times import write_moment

STORM_MS = 1_000
STORM_MAILBOXES = 10
"""So many mailboxes throttled within a second, and half of those called, mean the app is."""

CALLED_KEPT = 10_000
"""Mailboxes of which is remembered when they were called, and what came of it."""

PROBE_EVERY_MS = 300_000
"""The longest that everything is paused before one call tries whether it still has to be."""

PROBE_AGAIN_MS = 5_000
"""When to probe again after a call without an answer, or with one that is not Graph's."""

ASK_AGAIN_MS = 500
"""When to ask the gate again while another worker's probe is under way."""


class Permission(StrEnum):
    """The gate's answer to a call."""

    OPEN = "open"
    PROBE = "probe"
    CLOSED = "closed"


class Gate:
    """The pause of everything, shared by all workers; opened by one call, the probe."""

    def __init__(
        self, leases: Leases, now_ms: Callable[[], int], log: FilteringBoundLogger
    ) -> None:
        self._leases = leases
        self._now_ms = now_ms
        self._log = log
        self._closed_until_ms: int | None = None
        self._probing = False
        self._closing = False
        self._asked = False
        self._replies: deque[tuple[int, str | None]] = deque()
        self._throttled: OrderedDict[str, bool] = OrderedDict()  # by the latest call

    async def ask(self, worker: str) -> Permission:
        """
        Ask whether a call may be made now; when the pause is over, one worker's one call may.

        Raises redis-py's errors.
        """
        if self._closed_until_ms is None:
            return Permission.OPEN
        if self._probing or self._closed_until_ms > self._now_ms():
            return Permission.CLOSED
        self._probing, claimed = True, False  # others who ask meanwhile are not to claim as well
        try:
            claimed = await self._claim(worker)
        finally:
            self._probing = claimed
        if claimed:
            return Permission.PROBE
        return Permission.OPEN if self._closed_until_ms is None else Permission.CLOSED

    @property
    def closed(self) -> bool:
        """Whether everything is paused, as far as was known at the last heartbeat."""
        return self._closed_until_ms is not None

    async def _claim(self, worker: str) -> bool:
        # What was known at the last heartbeat may be over: another worker's probe frees the claim
        # when it ends, whether it has opened the gate or prolonged the pause.
        if not await self._wants_probe():
            return False
        return await self._leases.claim_probe(worker) and await self._wants_probe()

    async def _wants_probe(self) -> bool:
        await self.refresh()
        return self._closed_until_ms is not None and self._closed_until_ms <= self._now_ms()

    def give_back(self, permission: Permission) -> None:
        """Give a permission back: the call was not made after all."""
        if permission is Permission.PROBE:
            self._probing = False

    def begun(self, mailbox: str) -> None:
        """Note that a mailbox is called now."""
        self._throttled[mailbox] = self._throttled.pop(mailbox, False)
        if len(self._throttled) > CALLED_KEPT:
            self._throttled.popitem(last=False)

    def reopens_ms(self) -> int:
        """Return when it is worth asking again, while it is closed."""
        return max(self._closed_until_ms or 0, self._now_ms() + ASK_AGAIN_MS)

    async def refresh(self) -> None:
        """Learn what the other workers know. Raises redis-py's errors."""
        until_ms = await self._leases.graph_paused_until_ms()
        if until_ms is not None and until_ms > (latest_ms := self._now_ms() + PROBE_EVERY_MS):
            until_ms = latest_ms  # an older version pauses for as long as Graph asks
            await self._leases.shorten_graph_pause(until_ms)
        if until_ms is None and (self._closed_until_ms is not None or not self._asked):
            await self._tell_lifted()
            self._open()
        self._asked = True
        self._closed_until_ms = until_ms

    async def _tell_lifted(self) -> None:
        if (by := await self._leases.claim_lifted()) is not None:
            self._log.info("graph.resumed", by=by)

    async def replied(
        self,
        permission: Permission,
        mailbox: str,
        throttled_until_ms: int | None,
        *,
        went_through: bool = True,
    ) -> None:
        """
        Learn from one reply: a probe that went through opens, a storm closes.

        A probe that neither was throttled nor went through has shown nothing, and another one is
        made soon. Raises redis-py's errors; then it may be called again.
        """
        if permission is Permission.PROBE:
            shown_nothing = throttled_until_ms is None and not went_through
            again_ms = self._now_ms() + PROBE_AGAIN_MS
            await self._probed(again_ms if shown_nothing else throttled_until_ms)
        elif self._closed_until_ms is None and self._storm(mailbox, throttled_until_ms is not None):
            await self._close(throttled_until_ms or self._now_ms())

    async def _probed(self, throttled_until_ms: int | None) -> None:
        if throttled_until_ms is None:
            await self._leases.open_graph()
            self._open()
            self._log.info("graph.resumed", by=None)
        else:
            await self._close(throttled_until_ms)
        self._probing = False

    async def _close(self, asked_ms: int) -> None:
        """Pause everything until a moment that Graph asked for, or a probe that comes earlier."""
        if self._closing:  # for another one of those that were in flight together
            return
        self._closing = True
        now_ms = self._now_ms()
        until_ms = min(asked_ms, now_ms + PROBE_EVERY_MS)
        try:
            await self._leases.pause_graph(until_ms)
        finally:
            self._closing = False
        self._closed_until_ms = until_ms
        self._replies.clear()
        wait_s = round((asked_ms - now_ms) / 1000, 3)
        self._log.warning("graph.paused", retry_after_s=wait_s, until=write_moment(until_ms))

    def _open(self) -> None:
        self._closed_until_ms = None
        self._throttled.clear()

    def _storm(self, mailbox: str, throttled: bool) -> bool:  # noqa: FBT001  # of the reply
        """Note a reply; return whether half of all calls are throttled, in many mailboxes."""
        now_ms = self._now_ms()
        again = throttled and self._throttled.get(mailbox, False)
        self._throttled[mailbox] = throttled
        if not again:  # a mailbox that was throttled before proves nothing new of the app
            self._replies.append((now_ms, mailbox if throttled else None))
        while self._replies and self._replies[0][0] < now_ms - STORM_MS:
            self._replies.popleft()
        if not throttled:
            return False
        refused = {name for _, name in self._replies if name is not None}
        enough = len(refused) >= STORM_MAILBOXES and len(refused) * 2 >= len(self._replies)
        return enough and self._outnumber(refused)

    def _outnumber(self, refused: set[str]) -> bool:
        """Whether they are half of those called meanwhile: refusals are faster than answers."""
        called = [name in refused for name in self._throttled]
        last = len(called) - called[::-1].index(True)
        return len(refused) * 2 >= last - called.index(True)
