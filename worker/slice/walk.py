"""How the responses of a slice share its lanes: which mailboxes, how wide, and who goes last."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Final

from jobs.ledger.forms.entries import Entry
from jobs.ledger.queue import job_id
from jobs.ledger.workers.leases import Unended
from jobs.record import State
from worker.slice.lane import AnswerEntry, Lane, all_of
from worker.slice.quarantine import answer_singly, answer_suspect
from worker.slice.shift import Shift

DEATHS: Final = 3
"""After so many deaths over a slice its responses are tried one by one."""


class Walk:
    """
    The lanes of one slice, for the length of a shift.

    `answer` takes one response as far as it goes; suspects and poisoned slices are taken with care
    around it (`worker/slice/quarantine.py`).
    """

    def __init__(self, shift: Shift, answer: AnswerEntry) -> None:
        self._shift = shift
        self._answer = answer
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
            trusted, suspected = self._split(entries.pop(name))
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
        """Return how many calls a lane may have in flight now; if none, the slice comes back."""
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
            await all_of(lane.walk(self._answer, self._changed) for lane in lanes)
            return
        where = {"batch": self._part.batch.id, "slice": self._part.number}
        self._shift.log.error("slice.poisoned", deaths=self._part.deaths, **where)
        for lane in lanes:
            lane.most = 1
            await lane.walk(partial(answer_singly, self._shift, self._answer), self._changed)

    async def _answer_suspects(self, suspects: Iterable[tuple[Lane, Entry]]) -> None:
        """Take those at which a worker may have died, when the others can no longer be harmed."""
        for lane, entry in suspects:
            if not (lane.closed or self._shift.stopped):
                await answer_suspect(self._shift, self._answer, lane, entry)

    def _split(self, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Return those that are trusted, and those at which a worker may have died."""
        suspects = self._part.suspects
        if not suspects:
            return entries, []
        trusted = [entry for entry in entries if str(entry.row) not in suspects]
        return trusted, [entry for entry in entries if str(entry.row) in suspects]

    def _changed(self, calls: int) -> None:
        self._calls.slots.change(self._job, calls)

    async def _end_unsent(self, entries: Iterable[Entry]) -> None:
        """End what is over in a mailbox that may not be called: that needs no call."""
        for entry in entries:
            if self._shift.context.signals.log_lost.is_set():
                return
            following = self._shift.next_step(entry)
            if following.ending is not None:
                await self._shift.settle(entry, entry.record, following.ending)
            elif not entry.record.unknown_since_ms:
                self._shift.postpone(self._part.batch.deadline_ms)
