"""
What one call needs before it may be made: permission from the gate, and from the ledger.

Both are asked for before each try, and given up again when no call comes of it.
"""

from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from jobs.ledger.slices.writes import MARK_GOOD_S, Answer, WriteStatus
from worker.graph.reply import Reply
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.throttle.gate import Permission


class Admission:
    """The admission of one call in a lane, from asking for it to the reply."""

    def __init__(self, shift: Shift, lane: Lane) -> None:
        self._shift = shift
        self._lane = lane
        self._gate = shift.context.calls.gate
        self._clocks = shift.context.signals.clocks
        self._worker_lease = shift.context.ledger.worker_lease
        self._permission = Permission.OPEN
        self._asked_s = 0.0

    async def ask(self, mark: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """
        Pass the gate, then `mark`; return the ledger's answer, or None if the gate is closed.

        While Redis is away no call passes.
        """
        self._asked_s = self._clocks.unstopped()
        try:
            self._permission = await self._gate.ask(self._shift.part.worker)
            if self._permission is Permission.CLOSED:
                self._shift.end_lane(self._lane, self._gate.reopens_ms())
                return None
            answer = await mark()
        except (RedisError, OSError):
            # Perhaps it was written, but nothing was sent: the next opening looks into it.
            answer = Answer(WriteStatus.STALE)
        if answer.status is not WriteStatus.OK:
            self.give_back()
        return answer

    def give_back(self) -> None:
        """Give the permission back, if it was not used: else no call could probe any more."""
        self._gate.give_back(self._permission)
        self._permission = Permission.OPEN

    def is_overtaken(self) -> bool:
        """Whether the shift or the lane ended while the call waited for its mark or its slot."""
        if self._shift.stopped or self._shift.context.signals.log_lost.is_set():
            return True
        if self._permission is Permission.PROBE:
            # The gate closes a lane to all but its probe: the others beside it have asked in vain.
            return self._lane.refused
        return self._lane.closed or self._gate.closed

    def is_timely(self) -> bool:
        """Whether the mark is recent enough for the call to begin."""
        return self._clocks.unstopped() - self._asked_s < MARK_GOOD_S

    def is_permitted(self) -> bool:
        """Whether the lease still holds: a process that stood still must not send on its mark."""
        return self._worker_lease.holds(self._shift.part.worker)

    async def replied(
        self, reply: Reply, throttled_until_ms: int | None = None, *, went_through: bool = False
    ) -> None:
        """Let the gate learn from the reply, which uses up the permission."""
        if not reply.reached:  # Graph was not asked, so the gate learns nothing
            self.give_back()
        await self._shift.replied(
            self._permission, self._lane.mailbox, throttled_until_ms, went_through=went_through
        )
        self._permission = Permission.OPEN
