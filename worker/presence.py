"""
That this worker lives, and reaches its ledger: its lease there, renewed by a heartbeat.

All that a worker holds hangs on this one lease. When it is lost, because the process stood still
or Redis was away, what was begun under the old name is left, and the worker goes on under a new
one.
"""

from collections.abc import Callable
from uuid import uuid4

from structlog.typing import FilteringBoundLogger

from jobs.ledger.leases import LEASE_S, Facts, Leases
from worker.clock import Clocks, Moment

BEAT_S = 0.4
"""Between two renewals: several may be missed before the lease is lost."""

SAFETY_S = 0.3
"""So long before the lease ends nothing is sent on its strength any more."""


class Presence:
    """
    The lease of this worker. `facts` are what it says of itself at each beat.

    `clocks` say how old the lease is. A time of day that was set forward looks like a pause, so
    nothing is sent until the next beat has asked Redis whether the lease was lost.
    """

    def __init__(
        self,
        leases: Leases,
        facts: Callable[[], Facts],
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = ""
        self._leases = leases
        self._facts = facts
        self._clocks = clocks
        self._log = log
        self._renewed: Moment | None = None
        self._away = False

    async def enlist(self) -> None:
        """Take a lease under a new name."""
        name, begun = uuid4().hex[:12], self._clocks.now()
        await self._leases.enlist(name, self._facts())
        self.name, self._renewed = name, begun

    async def beat(self) -> None:
        """Renew the lease, or take a new one if it was lost. Raises redis-py's errors."""
        begun = self._clocks.now()
        if await self._leases.renew(self.name, self._facts()):
            self._renewed = begun
            return
        self._log.warning("worker.lease_lost", worker=self.name)
        await self.enlist()

    async def resign(self) -> None:
        """Give the lease back, so that nobody waits for it to end."""
        self._renewed = None
        await self._leases.resign(self.name)

    def away(self, error: Exception) -> None:
        """Say that Redis does not answer, or takes no writes; once, until it is back."""
        if not self._away:
            self._log.warning("redis.away", error=f"{type(error).__name__}: {error}")
        self._away = True

    def back(self) -> None:
        """Say that Redis answers and takes writes, if it did not before."""
        if self._away:
            self._log.info("redis.back")
        self._away = False

    def holds(self, name: str) -> bool:
        """Whether what was begun under this name may still be carried out."""
        if name != self.name or self._renewed is None:
            return False
        return self._clocks.passed_s(self._renewed) < LEASE_S - SAFETY_S
