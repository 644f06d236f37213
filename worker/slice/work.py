"""
One slice from start to end: the way of its responses, in order. Read this first.

A slice is opened under a new epoch. What a dead worker left is put right. Its mailboxes are leased,
and each mailbox's responses walk down a lane. For each the next step is asked for
(`jobs/record.py`) and taken: a call is made (`worker/slice/calls/call.py`), or it is settled,
or it waits. Nobody sleeps here: when nothing in the slice can go on, it says when to come back.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Final

from jobs.ledger.forms.entries import Entry
from jobs.ledger.queue import job_id
from jobs.ledger.workers.leases import Unended
from jobs.outcome import Ending
from jobs.record import Next, State, Step
from jobs.rows.selection import Selection
from worker.slice import log_lines
from worker.slice.calls.event_call import Looking, Sending
from worker.slice.calls.finding import Finding
from worker.slice.context import Context
from worker.slice.lane import Lane, all_of
from worker.slice.quarantine import answer_singly, answer_suspect
from worker.slice.shift import Shift
from worker.slice.takeover import take_over

DEATHS: Final = 3
"""After so many deaths over a slice its responses are tried one by one."""


async def work(context: Context, batch_id: str, number: int) -> int | None:
    """
    Take one slice as far as it goes now.

    Returns the moment (ms since the epoch) to come back at, or None when there is nothing left.
    Raises redis-py's errors while Redis is away, and `ValueError` if what it holds is not ours.
    """
    ledger, log = context.ledger, context.signals.log
    async with context.calls.process_lock.shared():
        part = await ledger.slices.open(ledger.worker_lease.name, batch_id, number)
        if part is None:
            log.critical("batch.gone", batch=batch_id, slice=number)
            return None
        if part.starts:
            log_lines.batch_submitted(log, part.batch)
        with ledger.recent_marks.watching(part):
            return await _work_on(Shift(context, part))


async def _work_on(shift: Shift) -> int | None:
    excusing = asyncio.create_task(_excuse_when_draining(shift))
    try:
        await take_over(shift)
        await Walk(shift).walk_lanes()
    except asyncio.CancelledError:
        await shift.abandon()
        raise
    finally:
        excusing.cancel()
    return await shift.leave()


async def _excuse_when_draining(shift: Shift) -> None:
    """Say at once that this worker ends in order: it may be killed before it comes to its end."""
    await shift.context.signals.draining.wait()
    await shift.excuse()


class Walk:
    """The responses of one slice on their way, for the length of a shift."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._calls = shift.context.calls
        self._part = shift.part
        self._job = job_id(shift.part.batch.id, shift.part.number)

    async def walk_lanes(self) -> None:
        """Walk a lane for each mailbox that could be leased, all of them at once."""
        if (until_ms := self._shift.held_until_ms()) is not None:
            self._shift.stop(until_ms)
            return
        entries = defaultdict[str, list[Entry]](list)
        for entry in self._part.entries:
            entries[entry.given.mailbox].append(entry)
        taken = await self._shift.lease(list(entries))
        lanes, suspects = list[Lane](), list[tuple[Lane, Entry]]()
        for name, away in taken.held.items():
            if (most := self._width(name, entries[name], taken.unended.get(name))) < 1:
                continue
            trusted, suspected = self._tell_apart(entries.pop(name))
            lanes.append(Lane(name, trusted, most, away=away))
            suspects += [(lanes[-1], entry) for entry in suspected]
        self._calls.slots.want(self._job, sum(lane.width for lane in lanes))
        try:
            await self._walk_all(lanes)
            await self._answer_suspects(suspects)
            await all_of(map(self._end_unsent, entries.values()))
        except asyncio.CancelledError:
            lines = self._part.lines.values()
            sending = [each for each in lines if each.record.state is State.SENDING]
            await self._shift.count_unended(sending)
            raise
        finally:
            await self._shift.give_back([*taken.held])

    def _width(self, mailbox: str, entries: list[Entry], unended: Unended | None) -> int:
        """Return how many calls a lane may have in flight now; with none it comes back."""
        # Graph may still be at a call that was given up: it is counted until that must be over.
        over_ms = self._shift.now_ms() - self._calls.settle_ms
        unknown = sum(1 for entry in entries if entry.record.unknown_since_ms > over_ms)
        full = self._calls.widths.of(mailbox)
        most = max(1, full - unknown)
        if unended is not None and (most := min(most, full - unended.calls)) < 1:
            self._shift.postpone(unended.ends_ms)
        return most

    async def _walk_all(self, lanes: list[Lane]) -> None:
        if self._part.deaths < DEATHS:
            await all_of(lane.walk(self.answer, self._changed) for lane in lanes)
            return
        where = {"batch": self._part.batch.id, "slice": self._part.number}
        self._shift.log.error("slice.poisoned", deaths=self._part.deaths, **where)
        for lane in lanes:
            lane.most = 1
            await lane.walk(partial(answer_singly, self._shift, self.answer), self._changed)

    async def _answer_suspects(self, suspects: Iterable[tuple[Lane, Entry]]) -> None:
        """Take those at which somebody may have died, when the others can be harmed no more."""
        for lane, entry in suspects:
            if not (lane.closed or self._shift.stopped):
                await answer_suspect(self._shift, self.answer, lane, entry)

    def _tell_apart(self, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Return those that are trusted, and those at which somebody may have died."""
        suspects = self._part.suspects
        if not suspects:
            return entries, []
        trusted = [entry for entry in entries if str(entry.row) not in suspects]
        return trusted, [entry for entry in entries if str(entry.row) in suspects]

    def _changed(self, calls: int) -> None:
        self._calls.slots.change(self._job, calls)

    async def _end_unsent(self, entries: Iterable[Entry]) -> None:
        """End what is over in a mailbox that may not be called: that takes no call."""
        for entry in entries:
            if self._shift.context.signals.log_lost.is_set():
                return
            following = self._shift.next_step(entry)
            if following.ending is not None:
                await self._shift.settle(entry, entry.record, following.ending)
            elif not entry.record.unknown_since_ms:
                self._shift.postpone(self._part.batch.deadline_ms)

    async def answer(self, lane: Lane, entry: Entry) -> None:
        """Take one response step by step, until it is settled or cannot go on now."""
        while True:
            match self._shift.next_step(entry):
                case Next(Step.NOTHING):
                    return
                case Next(Step.WAIT, until_ms=until_ms):
                    self._shift.postpone(until_ms)
                    return
                case Next(Step.SETTLE, ending=Ending() as ending):
                    await self._shift.settle(entry, entry.record, ending)
                    return
                case Next(step):
                    if not await self._take(step, lane, entry):
                        return

    async def _take(self, step: Step, lane: Lane, entry: Entry) -> bool:
        """Make a call, or find what is to be answered; return whether another step may follow."""
        if entry.finds and isinstance(entry.given, Selection):
            return await Finding(self._shift, lane, entry, entry.given).make()
        call = Looking if step is Step.LOOK else Sending
        return await call(self._shift, lane, entry).make()
