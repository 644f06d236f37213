"""
A worker's hold on one slice, from taking it over to leaving it, shared by all of its lanes.

What is known is written down through it, then logged. It decides whether another call may begin,
and remembers when the slice must come back. It makes no calls; their order is in
`worker/slice/work.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from redis.exceptions import RedisError

from jobs.ledger.forms.entries import Entry, Number
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.store import Closed
from jobs.ledger.slices.writes import Kind, WriteStatus
from jobs.ledger.workers.leases import Taken
from jobs.outcome import Ending
from jobs.record import Record
from jobs.rows.choosing import Found
from jobs.rows.selection import Selection
from jobs.signals import is_cut_off
from jobs.steps import Next, Step, Terms, next_step
from worker.slice import log_lines
from worker.slice.announcement import announce
from worker.slice.context import Context
from worker.slice.lane import Lane
from worker.throttle.gate import Permission

SHIFT_MS: Final = 5_000
"""How long a slice is worked on before it goes back into the queue and lets others in."""

BUSY_MS: Final = 700
"""When to ask again for a mailbox that another slice holds."""

RETAKEN_MS: Final = 200
"""When to come back after the lease, the epoch or Redis was lost."""

UNWRITTEN_S: Final = 0.5
"""Between two tries to write what Redis did not take."""

T = TypeVar("T")


async def until_written(write: Callable[[], Awaitable[T]]) -> T:
    """
    Write, and try again until Redis has answered: what Graph has answered must not be lost.

    `write` makes one try, and may be called again after one that was perhaps carried out. Raises
    `CancelledError` instead of trying again when the task is being cancelled, because the worker
    ends: then the mark that stands has a successor look.
    """
    while True:
        try:
            return await write()
        except (RedisError, OSError) as error:
            if is_cut_off():
                raise asyncio.CancelledError from error
            await asyncio.sleep(UNWRITTEN_S)


class Shift:
    """One opening of one slice; `trial` is the response that is under way by itself, if any."""

    PAUSED_MS: Final = 60_000
    """When to look again at a batch that is paused; `resume` wakes it earlier."""

    def __init__(self, context: Context, part: OpenSlice) -> None:
        self.context = context
        self.log = context.signals.log
        self.now_ms = context.signals.now_ms
        self.part = part
        self.stopped = False
        self.trial: Number | None = None
        self._slices = context.ledger.slices
        self._leases = context.ledger.leases
        self._settle_ms = context.calls.settle_ms
        self._comeback_ms: int | None = None
        self._ends_ms = self.now_ms() + SHIFT_MS
        self._terms = Terms(
            deadline_ms=part.batch.deadline_ms,
            cancelled=part.batch.cancelled,
            check_first=part.batch.check_first,
            plan=part.batch.plan,
            max_attempts=context.calls.max_attempts,
            settle_ms=self._settle_ms,
        )

    def held_until_ms(self) -> int | None:
        """Return when to ask again, if the batch is paused or its time has not come."""
        batch, now_ms = self.part.batch, self.now_ms()
        if batch.cancelled or now_ms >= batch.deadline_ms:
            return None
        if batch.not_before_ms > now_ms:
            return batch.not_before_ms
        return min(now_ms + self.PAUSED_MS, batch.deadline_ms) if batch.paused else None

    async def lease(self, mailboxes: list[str]) -> Taken:
        """Lease mailboxes; return what came of it. For those that are not held it comes back."""
        part, now_ms = self.part, self.now_ms()
        taken = await until_written(
            lambda: self._leases.take(part.worker, part.holder, mailboxes, now_ms, self._settle_ms)
        )
        for until_ms in taken.paused_until_ms.values():
            self.postpone(until_ms)
        if taken.busy:
            self.postpone(now_ms + BUSY_MS)
        if taken.lost:
            self.stop(now_ms + RETAKEN_MS)
        return taken

    async def count_unended(self, marked: Iterable[Entry]) -> None:
        """Count calls against their mailboxes that may be under way and that no worker awaits."""
        calls = [
            (entry.given.mailbox, entry.record.client_request_id)
            for entry in marked
            if entry.record.client_request_id is not None
        ]
        if calls:
            await until_written(
                lambda: self._leases.count_unended(calls, self.now_ms(), self._settle_ms)
            )

    async def give_back(self, mailboxes: list[str]) -> None:
        """Let other slices have them."""
        await until_written(lambda: self._leases.give_back(self.part.holder, mailboxes))

    def next_step(self, entry: Entry) -> Next:
        """Return what is to be done next for a response."""
        terms = self._terms if entry.found is None else replace(self._terms, check_first=True)
        following = next_step(entry.record, terms, self.now_ms())
        if entry.ahead is not None and following.step is not Step.NOTHING:
            return Next(Step.SETTLE, ending=entry.ahead)
        return following

    async def keep_found(
        self, lane: Lane, entry: Entry, selection: Selection, found: list[Found]
    ) -> None:
        """Put what a selection has found into its place, and go on with it."""
        entries = await until_written(
            lambda: self._slices.keep_found(self.part, entry, selection, found)
        )
        if entries is None:  # another worker has found it: the next opening shows it
            self.stop(self.now_ms() + RETAKEN_MS)
        else:
            lane.add(entries)

    async def note(self, entry: Entry, record: Record) -> bool:
        """Write what a call has shown; return whether the response is still ours to go on with."""
        return await self._write(Kind.NOTE, entry, record)

    async def settle(self, entry: Entry, record: Record, ending: Ending) -> None:
        """Write the end of a response, then log it."""
        kind = Kind.UNFOUND if entry.finds else Kind.SETTLE
        if await self._write(kind, entry, record.settled(ending, self.now_ms())):
            self.log_settled(entry)

    async def pause_mailbox(self, mailbox: str, until_ms: int, *, away: int = 0) -> int:
        """
        Pause a mailbox for all workers; return until when.

        `away` is how often in a row it has answered by now that it cannot be used.
        """
        return await until_written(
            lambda: self._leases.pause_mailbox(
                self.part.batch.id, mailbox, until_ms, self.now_ms(), away=away
            )
        )

    async def come_back(self, lane: Lane) -> None:
        """Note that the mailbox of a lane is no longer away, for all workers."""
        lane.come_back()
        await until_written(lambda: self._leases.come_back(lane.mailbox))

    async def replied(
        self,
        permission: Permission,
        mailbox: str,
        throttled_until_ms: int | None,
        *,
        went_through: bool,
    ) -> None:
        """Count one reply, and let the gate learn from it."""
        self.part.replies += 1
        self.part.throttled += throttled_until_ms is not None
        self.context.calls.budget.earn()
        gate = self.context.calls.gate
        await until_written(
            lambda: gate.replied(permission, mailbox, throttled_until_ms, went_through=went_through)
        )

    async def _write(self, kind: Kind, entry: Entry, record: Record) -> bool:
        # It is compared with the mark that it answers, so it may come late, twice, or from a
        # worker that has lost its lease. A conflict means that another worker has found out.
        answer = await until_written(lambda: self._slices.write(self.part, kind, entry, record))
        if answer.status is not WriteStatus.OK:
            self.stop(self.now_ms() + RETAKEN_MS)
        return answer.status is WriteStatus.OK

    def log_settled(self, entry: Entry) -> None:
        """Log the end of a response, and note that in the ledger with the next write."""
        log_lines.response_settled(self.log, self.part, entry)
        # Without a log, the next worker that opens the slice logs it.
        if not self.context.signals.log_lost.is_set():
            self.part.note_logged(entry)

    def may_begin(self, lane: Lane, *, continuing: bool = False) -> bool:
        """
        Whether another call may begin; if not, have the slice come back.

        A reading that is `continuing`, and would have to begin anew, may take longer than a shift,
        unless a response waits for the exclusive lock.
        """
        now_ms, may_take_long = (
            self.now_ms(),
            continuing and not self.context.calls.process_lock.wanted,
        )
        signals = self.context.signals
        if signals.draining.is_set() or signals.log_lost.is_set():
            self.stop(now_ms)
        elif now_ms >= self._ends_ms and not may_take_long:
            self.end_lane(lane, now_ms)
        return not (self.stopped or lane.closed)

    def begin_anew(self) -> None:
        """Have a shift's time again, after a wait that was not for its own responses."""
        self._ends_ms = self.now_ms() + SHIFT_MS

    def end_lane(self, lane: Lane, until_ms: int) -> None:
        """Begin nothing more in this lane; its mailbox may go on at `until_ms`."""
        lane.close()
        ahead = self._terms.deadline_ms > self.now_ms()
        self.postpone(min(until_ms, self._terms.deadline_ms) if ahead else until_ms)

    def stop(self, until_ms: int) -> None:
        """Begin nothing more in this slice; it may go on at `until_ms`."""
        self.stopped = True
        self.postpone(until_ms)

    @property
    def overdue(self) -> bool:
        """Whether the batch's deadline has passed: what may have been sent is still looked at."""
        return self._terms.deadline_ms <= self.now_ms()

    def cancel(self) -> None:
        """Go on as a batch that was cancelled meanwhile."""
        self._terms = replace(self._terms, cancelled=True)

    def postpone(self, until_ms: int) -> None:
        """Have the slice come back at `until_ms` at the latest."""
        if self._comeback_ms is None or until_ms < self._comeback_ms:
            self._comeback_ms = until_ms

    async def excuse(self) -> None:
        """Note that this worker ends in order, whatever becomes of it now."""
        self.part.cleared = True
        await until_written(lambda: self._slices.excuse(self.part, self.trial))

    async def abandon(self) -> None:
        """Close the slice as it is, cut off: the next opening looks at what is marked."""
        await self.excuse()
        await until_written(lambda: self._slices.close(self.part))

    async def leave(self) -> int | None:
        """Close the slice; return when to come back to it, or None when nothing is left."""
        match await until_written(lambda: self._slices.close(self.part)):
            case Closed.OPEN:
                return self._comeback_ms or self.now_ms()
            case Closed.WOKEN:
                return self.now_ms()
            case Closed.FINISHED:
                await announce(self.context, self.part.batch.id)
        return None
