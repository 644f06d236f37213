"""
The lease of a worker in its ledger, renewed by a heartbeat: it lives, and reaches Redis.

All that a worker holds depends on this one lease. When it is lost, because the process stood still
or Redis was away, what was begun under the old name is left, and the worker goes on under a new
one. A worker whose clock is wrong gives its lease back, and has none until the clock is right:
deadlines, waits and settle times are written by one worker and read by others.
"""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from structlog.typing import FilteringBoundLogger

from jobs.ledger.workers.facts import Facts
from jobs.ledger.workers.leases import LEASE_S, Leases
from worker.slice.clock import Clocks, Moment

BEAT_S = 0.4
"""Between two renewals: several may be missed before the lease is lost."""

SAFETY_S = 0.3
"""Nothing is sent on the strength of the lease so long before its end."""

STOOD_STILL_S: Final = 20.0
"""Between two beats: more than a Redis that does not answer makes of it, four time-outs of 5 s."""

OUTAGE_S: Final = 60.0
"""How long Redis may be away until what was noted last no longer shows how much it has lost."""

ASTRAY_S: Final = 5.0
"""How far the time of day here may be from that at Redis."""


class WorkerLease:
    """
    The lease of this worker. `facts` returns what it reports of itself at each beat.

    `process` is its own id, whatever its lease is called. `noted_ms` is the latest moment that it
    has noted in the ledger, by the clock of Redis, with a beat begun at `noted_s` by its own;
    `forgetful` is whether Redis has to be judged.
    A new process opens no slice before it has been on the crew for `settles_in_ms`.

    `clocks` measure how old the lease is. A time of day that was set forward looks like a pause, so
    nothing is sent until the next beat has asked Redis whether the lease was lost.
    """

    def __init__(
        self,
        leases: Leases,
        facts: Callable[[], Facts],
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self.process = uuid4().hex[:12]
        self.name = ""
        self.astray = False
        self.forgetful = False
        self.noted_ms = 0
        self.noted_s = 0.0
        self.settles_in_ms = 0
        self._leases = leases
        self._facts = facts
        self._clocks = clocks
        self._log = log
        self._stood_still = False
        self._tried_s = clocks.unstopped()
        self._renewed: Moment | None = None
        self._joined: Moment | None = None
        self._ripe = False
        self._away = False

    async def enlist(self) -> None:
        """Take a lease under a new name."""
        name, begun = uuid4().hex[:12], self._clocks.now()
        if await self._leases.enlist(name, self._facts(), process=self.process):
            self._joined, self._ripe = begun, False
        self.name, self._renewed = name, begun

    async def beat(self) -> None:
        """
        Renew the lease, or take a new one if it was lost; none while the clock is wrong.

        Raises redis-py's errors.
        """
        now_s = self._clocks.unstopped()
        self._stood_still |= now_s - self._tried_s > STOOD_STILL_S
        self._tried_s = now_s
        ahead_s = await self._ahead_s()
        if abs(ahead_s) > ASTRAY_S:
            await self._stand_aside(ahead_s)
        elif self.astray:
            await self._come_back()
        else:
            await self._renew()

    async def _renew(self) -> None:
        begun = self._clocks.now()
        known = self._is_known
        beat = await self._leases.renew(
            self.name, self._facts(), noted_ms=self.noted_ms, new=not known
        )
        self.forgetful = beat.forgetful
        if beat.renewed:
            self._renewed, self._ripe = begun, known
            if beat.noted_ms:
                self.noted_s, self.noted_ms = begun.unstopped_s, beat.noted_ms
                self._stood_still = False
            return
        self._log.warning("worker.lease_lost", worker=self.name)
        await self.enlist()

    async def _ahead_s(self) -> float:
        """Return how far the time of day is ahead of Redis's at least, or behind if negative."""
        before_s = self._clocks.wall()
        theirs_s = await self._leases.time_s()
        after_s = self._clocks.wall()
        if theirs_s is None:  # `bulkrsvp check` reports that
            return 0.0
        return max(before_s - theirs_s, 0.0) or min(after_s - theirs_s, 0.0)

    async def _stand_aside(self, ahead_s: float) -> None:
        if not self.astray:
            self.astray = True
            self._log.error("worker.clock_wrong", worker=self.name, ahead_s=round(ahead_s, 1))
            await self.resign()

    async def _come_back(self) -> None:
        await self.enlist()
        self.astray = False
        self._log.info("worker.clock_right", worker=self.name)

    async def resign(self) -> None:
        """Give the lease back, so that no other worker waits for it to end."""
        self._renewed = None
        await self._leases.resign(self.name, process=self.process)

    def away(self, error: Exception) -> None:
        """Log that Redis does not answer, or takes no writes; once, until it is back."""
        if not self._away:
            self._log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        self._away = True

    def back(self) -> None:
        """Log that Redis answers and takes writes, if it did not before."""
        if self._away:
            self._log.info("redis.back")
        self._away = False

    @property
    def reached_ms(self) -> int:
        """
        The latest moment that this process has noted; 0 if others may have come and gone since.

        That takes them `settles_in_ms` at least, and is not thought of while this process tries to
        reach Redis again and again, for some time.
        """
        away_s = self._clocks.unstopped() - self.noted_s
        return 0 if self._stood_still or away_s > OUTAGE_S else self.noted_ms

    @property
    def settled_in(self) -> bool:
        """
        Whether this process may open slices: the ledger will not forget it any more.

        It has beaten since: else it could not tell how much was lost of what it sends at once.
        """
        return self._is_known and (self._ripe or not self.settles_in_ms)

    @property
    def _is_known(self) -> bool:
        if self._joined is None or self.astray:
            return False
        return self._clocks.passed_s(self._joined) * 1000 >= self.settles_in_ms

    def holds(self, name: str) -> bool:
        """Whether what was begun under this name may still be carried out."""
        if name != self.name or self._renewed is None:
            return False
        return self._clocks.passed_s(self._renewed) < LEASE_S - SAFETY_S
