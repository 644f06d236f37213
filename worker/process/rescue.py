"""
What no shift would notice: slices without a job, slices that only wait and hold up others.

Also ends that were never announced, and a Redis that has lost what was written. Every worker may
make each round at once, and it does nothing where nothing is wrong.
"""

from collections import deque
from collections.abc import Iterable

from jobs.ledger.foreign import SharedUnreadable, Unreadable
from jobs.ledger.forms.batch import VERSIONS, Batch
from jobs.ledger.queue import Queue
from jobs.ledger.workers.failover import Change, Recollection
from worker.slice.announcement import announce
from worker.slice.context import Context

ROUND_S = 1.0
LOOKED_AT = 500
"""Batches in one round, a tenth of a core if all of them are at work."""

SOON_MS = 2_000
"""A slice that is due by then is as good as at work."""

NAMED = 100
"""Batches that a line of the log names, of those that were put in doubt."""

STRUCK_OFF_S = 15.0
"""How often dead processes are looked for: one that only stood still comes back meanwhile."""

ANNOUNCED_LATE_MS = 5_000
"""After that long the worker that finished a batch has died before it announced it."""

EXPIRED_LATE_MS = 60_000
"""After that long the worker that went through the slices of a finished batch has died."""


class Rescue:
    """Looks after all batches that are not finished and announced."""

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._ledger = context.ledger
        self._calls = context.calls
        self._signals = context.signals
        self._now_ms = context.signals.now_ms
        self._log = context.signals.log
        self._queue = queue
        self._active = set[str]()
        self._ahead = deque[str]()
        self._missing: dict[str, frozenset[int]] = {}
        self._dead = frozenset[tuple[str, str]]()

    async def look_round(self) -> None:
        """
        Look at each active batch once, by a clock that is right.

        Where there are more than `LOOKED_AT`, look at the next of them. Raises redis-py's errors.
        """
        if self._ledger.worker_lease.astray:
            return
        if not self._ahead:
            await self._list_active()
        some = [self._ahead.popleft() for _ in range(min(LOOKED_AT, len(self._ahead)))]
        for batch_id, batch in zip(some, await self._ledger.batches.find_all(some), strict=True):
            try:
                await self._look_at(batch_id, batch)
            except SharedUnreadable as error:
                self._signals.unreadable.key(str(error))
                return
            except Unreadable as error:
                self._signals.unreadable.batch(batch_id, str(error))

    async def _list_active(self) -> None:
        try:
            listed = await self._ledger.batches.active(self._signals.unreadable.key)
        except Unreadable as error:
            self._signals.unreadable.key(str(error))
            return
        active = set(listed)
        await self._miss(self._active - active)
        self._active, self._ahead = active, deque(listed)
        self._missing = {each: gone for each, gone in self._missing.items() if each in active}

    async def _miss(self, inactive: Iterable[str]) -> None:
        """Log an alarm for what is neither finished nor there: a flushed Redis reports nothing."""
        names = sorted(inactive)
        for batch_id, batch in zip(names, await self._ledger.batches.find_all(names), strict=True):
            if batch is None:
                self._log.critical("batch.gone", batch=batch_id)

    async def doubt(self) -> None:
        """When the ledger may have gone back, have what was lost looked at before it is sent."""
        went_back = self._signals.went_back
        if self._ledger.worker_lease.forgetful:
            went_back.set()
        if not went_back.is_set():
            return
        judgement = await self._ledger.home.judge(self._recall, self._now_ms)
        if judgement is None:  # others have still to write what they have worked on
            return
        went_back.clear()
        facts = {
            "batches": judgement.batches[:NAMED],
            "batch_count": len(judgement.batches),
            "slices": judgement.slices,
        }
        match judgement.change:
            case Change.SAME:
                return
            case Change.WENT_BACK:
                self._log.critical("redis.went_back", **facts)
            case how:
                self._log.warning("redis.changed", how=how.value, **facts)

    def _recall(self) -> Recollection:
        ledger, lease = self._ledger, self._ledger.worker_lease
        slices, reached_ms = ledger.recent_marks.lately(), lease.reached_ms
        unsure = ledger.recent_marks.any and reached_ms == 0
        return Recollection(lease.process, slices, ledger.written.ms, reached_ms, unsure)

    async def strike_off(self) -> None:
        """Remove from the crew what was dead the last time too. Raises redis-py's errors."""
        dead = await self._ledger.crew.dead()
        await self._ledger.crew.strike_off(dead & self._dead)
        self._dead = dead

    async def _look_at(self, batch_id: str, batch: Batch | Unreadable | None) -> None:
        if isinstance(batch, Unreadable):
            raise batch
        if batch is None:
            await self._ledger.batches.forget(batch_id)  # the next round logs it
        elif batch.version not in VERSIONS:
            error = f"this worker does not know its form, {batch.version}"
            self._signals.unreadable.batch(batch_id, error)
        else:
            await self._look_after(batch)

    async def _look_after(self, batch: Batch) -> None:
        now_ms = self._now_ms()
        if batch.not_before_ms > now_ms and not batch.cancelled:
            return
        if not batch.finished_at_ms:
            places = await self._queue.places(batch)
            if not places and batch.cursor == batch.slices:
                await self._check_end(batch)
            await self._queue.release(batch, self._count_waiting(places.values()))
            await self._restore(batch, frozenset(n for n, due in places.items() if due is None))
        elif batch.announced:
            if batch.expiry_since_ms and batch.expiry_since_ms < now_ms - EXPIRED_LATE_MS:
                await self._ledger.batches.expire(batch)
        elif batch.finished_at_ms < now_ms - ANNOUNCED_LATE_MS:
            await announce(self._context, batch.id)

    async def _check_end(self, batch: Batch) -> None:
        """Raise `Unreadable` unless a batch of which nothing is left to do has finished by now."""
        again = await self._ledger.batches.find(batch.id)
        if again is not None and not again.finished_at_ms and again.open == batch.open:
            raise Unreadable(f"nothing of it is left to do, and {batch.open} are counted as open")

    def _count_waiting(self, dues_ms: Iterable[float | None]) -> int:
        """
        Count the slices that wait for a mailbox: behind them others may go on.

        While everything waits there are no others.
        """
        if self._calls.gate.closed or not self._calls.tokens.available:
            return 0
        soon_ms = self._now_ms() + SOON_MS
        return sum(due is not None and due > soon_ms for due in dues_ms)

    async def _restore(self, batch: Batch, missing: frozenset[int]) -> None:
        """Queue what was without a job twice; after once, another worker may be about to."""
        lost = missing & self._missing.get(batch.id, frozenset())
        self._missing[batch.id] = missing - lost
        await self._queue.restore(batch, sorted(lost))
        for number in sorted(lost):
            self._log.warning("slice.rescued", batch=batch.id, slice=number)
