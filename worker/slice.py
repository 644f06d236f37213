"""
One slice from start to end: the way of its responses, in order. Read this first.

A slice is opened under a new epoch. What a dead worker left is put right. Its mailboxes are
leased, and each mailbox's responses walk down a lane. For each the next step is asked for
(`jobs/record.py`) and taken: a call is made (`worker/call.py`), or it is settled, or it waits.
Nobody sleeps here: when nothing in the slice can go on, it says when to come back.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from jobs.choosing import Found
from jobs.ledger.entries import Entry
from jobs.ledger.leases import Taken
from jobs.ledger.open_slice import OpenSlice
from jobs.ledger.slices import Closed
from jobs.ledger.writes import Kind, Word
from jobs.outcome import Ending
from jobs.queue import job_id
from jobs.record import Next, Record, Step, Terms, next_step
from jobs.response import Response
from jobs.selection import Selection
from worker import account
from worker.alone import answer_alone
from worker.call import Looking, Sending
from worker.finding import Finding
from worker.insist import insist
from worker.lane import Lane, all_of
from worker.means import Means
from worker.rescue import announce
from worker.takeover import take_over
from worker.throttle import Leave

SHIFT_MS: Final = 5_000
"""How long a slice is worked on before it goes back into the queue and lets others in."""

BUSY_MS: Final = 700
"""When to ask again for a mailbox that another slice holds."""

RETAKEN_MS: Final = 200
"""When to come back after the lease, the epoch or Redis was lost."""

DEATHS: Final = 3
"""After so many deaths over a slice its responses are tried one by one."""


async def work(means: Means, batch_id: str, number: int) -> int | None:
    """
    Take one slice as far as it goes now.

    Returns the moment (ms since the epoch) to come back at, or None when there is nothing left.
    Raises redis-py's errors while Redis is away, and `ValueError` if what it holds is not ours.
    """
    part = await means.slices.open(means.presence.name, batch_id, number)
    if part is None:
        means.log.critical("batch.gone", batch=batch_id, slice=number)
        return None
    if part.starts:
        account.batch_submitted(means.log, part.batch)
    shift = Shift(means, part)
    await take_over(shift)
    await shift.walk_lanes()
    return await shift.leave()


class Shift:
    """One opening of one slice, from taking it over to leaving it."""

    PAUSED_MS: Final = 60_000
    """When to look again at a batch that is paused; `resume` wakes it earlier."""

    def __init__(self, means: Means, part: OpenSlice) -> None:
        self.means = means
        self.part = part
        self._job = job_id(part.batch.id, part.number)
        self.stopped = False
        self._comeback_ms: int | None = None
        self._ends_ms = means.now_ms() + SHIFT_MS
        self._terms = Terms(
            deadline_ms=part.batch.deadline_ms,
            cancelled=part.batch.cancelled,
            check_first=part.batch.check_first,
            plan=part.batch.plan,
            max_attempts=means.max_attempts,
            settle_ms=means.settle_ms,
        )

    async def walk_lanes(self) -> None:
        """Walk a lane for each mailbox that could be leased, all of them at once."""
        now_ms = self.means.now_ms()
        if (until_ms := self._held_until_ms(now_ms)) is not None:
            self.stop(until_ms)
            return
        entries = defaultdict[str, list[Entry]](list)
        for entry in self.part.entries:
            entries[entry.response.mailbox].append(entry)
        taken = await self._lease(list(entries), now_ms)
        lanes = [self._lane(name, entries.pop(name)) for name in taken.held]
        self.means.slots.want(self._job, sum(lane.width for lane in lanes))
        try:
            await self._walk_all(lanes)
            await all_of(map(self._end_unsent, entries.values()))
        finally:
            await insist(lambda: self.means.leases.give_back(self.part.holder, list(taken.held)))

    def _held_until_ms(self, now_ms: int) -> int | None:
        """Return when to ask again, if the batch is paused or its time has not come."""
        batch = self.part.batch
        if batch.cancelled or now_ms >= batch.deadline_ms:
            return None
        if batch.not_before_ms > now_ms:
            return batch.not_before_ms
        return min(now_ms + self.PAUSED_MS, batch.deadline_ms) if batch.paused else None

    async def _end_unsent(self, entries: Iterable[Entry]) -> None:
        """End what is over in a mailbox that may not be called: that takes no call."""
        for entry in entries:
            following = self.next_step(entry)
            if following.ending is not None:
                await self.settle(entry, entry.record, following.ending)
            elif not entry.record.unknown_since_ms:
                self.postpone(self._terms.deadline_ms)

    def _lane(self, mailbox: str, entries: list[Entry]) -> Lane:
        # Graph may still be at a call that was given up: it is counted until it is looked at.
        unknown = sum(1 for entry in entries if entry.record.unknown_since_ms)
        most = max(1, self.means.widths.of(mailbox) - unknown)
        return Lane(mailbox, entries, most)

    async def _walk_all(self, lanes: list[Lane]) -> None:
        if self.part.deaths < DEATHS:
            await all_of(self._walk(lane) for lane in lanes)
            return
        where = {"batch": self.part.batch.id, "slice": self.part.number}
        self.means.log.error("slice.poisoned", deaths=self.part.deaths, **where)
        for lane in lanes:
            lane.most = 1
            await lane.walk(partial(answer_alone, self))

    async def _walk(self, lane: Lane) -> None:
        wanted = lane.width
        await lane.walk(self.answer)
        self.means.slots.less(self._job, wanted)

    async def _lease(self, mailboxes: list[str], now_ms: int) -> Taken:
        taken = await insist(
            lambda: self.means.leases.take(self.part.worker, self.part.holder, mailboxes, now_ms)
        )
        for until_ms in taken.paused_until_ms.values():
            self.postpone(until_ms)
        if taken.busy:
            self.postpone(now_ms + BUSY_MS)
        if taken.lost:
            self.stop(now_ms + RETAKEN_MS)
        return taken

    async def answer(self, lane: Lane, entry: Entry) -> None:
        """Take one response step by step, until it is settled or cannot go on now."""
        while True:
            match self.next_step(entry):
                case Next(Step.NOTHING):
                    return
                case Next(Step.WAIT, until_ms=until_ms):
                    self.postpone(until_ms)
                    return
                case Next(Step.SETTLE, ending=Ending() as ending):
                    await self.settle(entry, entry.record, ending)
                    return
                case Next(step):
                    if not await self._take(step, lane, entry):
                        return

    def next_step(self, entry: Entry) -> Next:
        """Say what is to be done next for a response."""
        following = next_step(entry.record, self._terms, self.means.now_ms())
        if entry.ahead is not None and following.step is not Step.NOTHING:
            return Next(Step.SETTLE, ending=entry.ahead)
        return following

    async def _take(self, step: Step, lane: Lane, entry: Entry) -> bool:
        """Make a call, or find what is to be answered; return whether another step may follow."""
        if isinstance(entry.response, Selection):
            return await Finding(self, lane, entry, entry.response).make()
        return await (Looking if step is Step.LOOK else Sending)(self, lane, entry).make()

    async def keep_found(
        self, lane: Lane, entry: Entry, selection: Selection, found: list[Found]
    ) -> None:
        """Put what a selection has found into its place, and go on with it."""
        entries = await insist(
            lambda: self.means.slices.keep_found(self.part, entry, selection, found)
        )
        if entries is None:  # another worker has found it: opening the slice again will tell
            self.stop(self.means.now_ms() + RETAKEN_MS)
        else:
            lane.add(entries)

    async def note(self, entry: Entry, record: Record) -> bool:
        """Write what a call has shown; return whether the response is still ours to go on with."""
        return await self._write(Kind.NOTE, entry, record)

    async def settle(self, entry: Entry, record: Record, ending: Ending) -> None:
        """Write the end of a response, then log it."""
        kind = Kind.SETTLE if isinstance(entry.response, Response) else Kind.UNFOUND
        if await self._write(kind, entry, record.settled(ending, self.means.now_ms())):
            self.log_settled(entry)

    async def pause_mailbox(self, mailbox: str, until_ms: int) -> int:
        """Pause a mailbox for all workers; return until when."""
        return await insist(
            lambda: self.means.leases.pause_mailbox(
                self.part.batch.id, mailbox, until_ms, self.means.now_ms()
            )
        )

    async def replied(self, leave: Leave, mailbox: str, throttled_until_ms: int | None) -> None:
        """Count one reply, and let the gate learn from it."""
        self.part.replies += 1
        self.part.throttled += throttled_until_ms is not None
        self.means.budget.earn()
        await insist(lambda: self.means.gate.replied(leave, mailbox, throttled_until_ms))

    async def _write(self, kind: Kind, entry: Entry, record: Record) -> bool:
        # It is compared with the mark that it answers, so it may come late, twice, or from a
        # worker that has lost its lease. A conflict means that somebody else has found out.
        answer = await insist(lambda: self.means.slices.write(self.part, kind, entry, record))
        if answer.word is not Word.OK:
            self.stop(self.means.now_ms() + RETAKEN_MS)
        return answer.word is Word.OK

    def log_settled(self, entry: Entry) -> None:
        """Log the end of a response, and have the ledger told so with the next write."""
        account.response_settled(self.means.log, self.part, entry)
        if not self.means.log_lost.is_set():  # else the next worker that opens the slice logs it
            self.part.logged.append(entry.row)

    def goes_on(self, lane: Lane, *, begun: bool = False) -> bool:
        """
        Whether another call may be begun; if not, see to it that the slice comes back.

        What was begun, and would have to begin anew, may take longer than a shift.
        """
        now_ms = self.means.now_ms()
        if self.means.draining.is_set() or self.means.log_lost.is_set():
            self.stop(now_ms)
        elif now_ms >= self._ends_ms and not begun:
            self.end_lane(lane, now_ms)
        return not (self.stopped or lane.closed)

    def end_lane(self, lane: Lane, until_ms: int) -> None:
        """Begin nothing more in this lane; its mailbox may go on at `until_ms`."""
        lane.close()
        ahead = self._terms.deadline_ms > self.means.now_ms()
        self.postpone(min(until_ms, self._terms.deadline_ms) if ahead else until_ms)

    def stop(self, until_ms: int) -> None:
        """Begin nothing more in this slice; it may go on at `until_ms`."""
        self.stopped = True
        self.postpone(until_ms)

    def cancel(self) -> None:
        """Go on as a batch that was cancelled meanwhile."""
        self._terms = replace(self._terms, cancelled=True)

    def postpone(self, until_ms: int) -> None:
        """Have the slice come back at `until_ms` at the latest."""
        if self._comeback_ms is None or until_ms < self._comeback_ms:
            self._comeback_ms = until_ms

    async def leave(self) -> int | None:
        """Close the slice; return when to come back to it, or None when nothing is left."""
        match await insist(lambda: self.means.slices.close(self.part)):
            case Closed.OPEN:
                return self._comeback_ms or self.means.now_ms()
            case Closed.WOKEN:
                return self.means.now_ms()
            case Closed.FINISHED:
                await announce(self.means, self.part.batch.id)
        return None
