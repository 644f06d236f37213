"""The passing of time: to the next moment at which something may be otherwise."""

from collections.abc import Iterator
from typing import Final

from arq.constants import in_progress_key_prefix

from jobs.ledger import keys
from jobs.ledger.workers.leases import LEASE_S
from tests.interleavings.explore.scenarios import Fault
from tests.interleavings.model.actors import Claim, Event, Request
from tests.interleavings.model.hands import Hands
from tests.interleavings.model.nature import BEGIN_MS
from tests.interleavings.model.staff import SETTLE_MS
from tests.interleavings.model.state import Move, State
from worker.process.rescue import ANNOUNCED_LATE_MS, ROUND_S
from worker.slice.lease import BEAT_S

LEASE_MS: Final = int(LEASE_S * 1000)

RENEWED_MS: Final = 1_500
"""A living worker's lease never has less left than this, when time has passed."""

BEAT_MS: Final = int(BEAT_S * 1000)
ROUND_MS: Final = int(ROUND_S * 1000)

PATIENCE_MS: Final = 8_000
"""So long nobody waits with what he is about to do."""

_LEASED: Final = (keys.WORKER.encode(), in_progress_key_prefix.encode())


class Passing:
    """Lets time pass: who lives renews its lease meanwhile, then what has come to its end ends."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._slow = Fault.SLOW in hands.scenario.faults

    def moves(self, state: State, *, free: bool, faults: int) -> Iterator[Move]:
        """Yield the step by which time passes; where somebody could go on it is a fault."""
        if not free and not (faults and self._slow):
            return
        if _may_wait(state) and state.now_ms >= BEGIN_MS + PATIENCE_MS:
            return
        moment_ms = min(_moments(state), default=None)
        if moment_ms is None or moment_ms >= _latest(state):
            return
        words = f"time passes to {(moment_ms - BEGIN_MS) / 1000:.3f} s"
        yield Move("time", words, 0 if free else 1, self._passed(state, moment_ms))

    def _passed(self, state: State, now_ms: int) -> State:
        if self._hands.scenario.rewinds and now_ms - BEAT_MS > state.now_ms:
            state = self._beaten(state._replace(now_ms=now_ms - BEAT_MS))._replace(rewound=())
        state = state._replace(now_ms=now_ms)
        rescued = False
        for number, person in enumerate(state.people):
            if person.works and person.mode in {"alive", "spare"}:
                state = self._renewed(state, number)
                if person.mode == "alive" and not rescued and _needs_rescue(state):
                    rescued, state = True, self._hands.part(state, number, "rescue", "rescue")
        state = self._hands.changed(state, self._hands.ledger.ended(state.data, now_ms))
        for number, person in enumerate(state.people):
            due_ms = state.people[number].node.timer_ms
            if person.mode in {"alive", "spare"} and due_ms is not None and due_ms <= now_ms:
                state = self._hands.happened(state, number, Event("time"))
        return state._replace(mover=-1)

    def _renewed(self, state: State, number: int) -> State:
        """Let a worker beat, as it does several times before its lease would end."""
        hands, lease = self._hands, state.lease_of(number)
        rewinds = hands.scenario.rewinds
        if lease is not None:
            ends_ms = state.data.by_name[lease.encode()].ends_ms or 0
            least_ms = LEASE_MS - BEAT_MS + 1 if rewinds else RENEWED_MS
            if ends_ms - state.now_ms >= least_ms:
                return state
            idle = any(isinstance(op.what, Claim) for op in state.people[number].node.ops)
            for claim in () if idle else state.claims_of(lease):
                command = (b"PEXPIRE", claim.encode(), b"%d" % LEASE_MS)
                _, data = hands.ledger.carry_out(state.data, (command,), state.now_ms)
                state = state._replace(data=data)
        return hands.part(state, number, "beat", "beat")

    def _beaten(self, state: State) -> State:
        for number, person in enumerate(state.people):
            if person.works and person.mode in {"alive", "spare"}:
                state = self._renewed(state, number)
        return state


def _may_wait(state: State) -> bool:
    """Whether somebody takes his time who could act."""
    return any(
        person.waits or (person.mode == "still" and state.lease_of(number) is None)
        for number, person in enumerate(state.people)
    )


def _moments(state: State) -> Iterator[int]:
    """Yield the moments at which something may be otherwise."""
    for person in state.people:
        if person.mode in {"alive", "spare"} and person.node.timer_ms is not None:
            yield person.node.timer_ms
    for key in state.data.keys:
        leased = key.name.startswith(_LEASED) or key.name.endswith(b":announcing")
        if leased and key.ends_ms is not None:
            yield key.ends_ms
    for due in state.data.members(keys.QUEUE)[1::2]:
        if float(due) > state.now_ms:
            yield int(float(due))
    yield from _moments_of_data(state)


def _moments_of_data(state: State) -> Iterator[int]:
    home = state.data.text(keys.HOME) or b""
    if home and not home.startswith(state.data.identity.history.encode()):
        yield state.now_ms + BEAT_MS
    if _needs_rescue(state):
        yield state.now_ms + ROUND_MS
    for batch in state.data.members(keys.ACTIVE):
        facts = state.data.fields(keys.batch(batch.decode()))
        deadline_ms = int(facts.get(b"deadline_ms", 0))
        if state.now_ms < deadline_ms < BEGIN_MS + PATIENCE_MS:
            yield deadline_ms
        late_ms = int(facts.get(b"finished_at_ms", 0)) + ANNOUNCED_LATE_MS + 1
        if b"finished_at_ms" in facts and b"announced" not in facts and late_ms > state.now_ms:
            yield late_ms


def _latest(state: State) -> int:
    """Return until when time may pass before a call that is under way has come to its end."""
    ends = [each.ends_ms for each in state.calendar.late]
    ends += [
        op.since_ms + SETTLE_MS - 1
        for person in state.people
        if person.mode != "dead"
        for op in person.node.ops
        if isinstance(op.what, Request) and op.what.method == "POST"
    ]
    return min(ends, default=BEGIN_MS * 2)


def _needs_rescue(state: State) -> bool:
    """Whether a round of the rescue would find something to do."""
    queued = set(state.data.members(keys.QUEUE)[::2])
    for batch in state.data.members(keys.ACTIVE):
        facts = state.data.fields(keys.batch(batch.decode()))
        if finished := int(facts.get(b"finished_at_ms", 0)):
            if finished < state.now_ms - ANNOUNCED_LATE_MS:
                return True
        else:
            released = state.data.members(keys.released(batch.decode()))
            names = {batch + b":" + number for number in released}
            if names - queued or len(released) < int(facts.get(b"slices", 0)):
                return True
    return False
