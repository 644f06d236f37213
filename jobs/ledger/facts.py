"""
What is kept of a batch as a whole: what was ordered, and what the ledger shows of it now.

It reads and asks nothing itself: that is `jobs/ledger/batches.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from jobs.outcome import UNSUCCESSFUL, Outcome
from jobs.storable import LARGEST

PLAIN = 1
SELECTING = 2
PUT_AWAY = 3
CODED = 4
"""
The forms of a batch in the ledger: responses only; with selections, or a plan; whatever is in it,
with slices whose records are put away when they are done; the same, with Graph's error codes in
its records. New batches are of the last one.

To a program that does not know form 3, what was put away would look as if it had never been
sent; to one that does not know form 4, a record with a code is none.
"""

VERSIONS = frozenset({PLAIN, SELECTING, PUT_AWAY, CODED})
"""What this program understands; a worker leaves batches of another form alone."""


class BatchState(StrEnum):
    """Where a batch stands, in the words of `status`."""

    SCHEDULED = "scheduled"
    FINDING = "finding"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What an administrator asks for with a batch; times in milliseconds since the epoch.

    `allowed_ms` is how long after `not_before_ms` it may still be sent.
    """

    batch: str
    fingerprint: str
    total: int
    duplicates: int
    not_before_ms: int
    allowed_ms: int
    check_first: bool
    plan: bool
    selections: int

    @property
    def deadline_ms(self) -> int:
        """The moment after which nothing is sent any more."""
        return self.not_before_ms + self.allowed_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    A batch as the ledger shows it now; times in milliseconds, 0 where there is none.

    `unreadable` counts the responses whose records are none of ours, by slice, as the workers that
    opened these have seen them: while there are any, the batch does not finish.
    """

    id: str
    version: int
    fingerprint: str
    total: int
    duplicates: int
    slices: int
    open: int
    submitted_at_ms: int
    not_before_ms: int
    deadline_ms: int
    allowed_ms: int
    started_at_ms: int
    finished_at_ms: int
    check_first: bool
    plan: bool
    finding: int
    paused: bool
    cancelled: bool
    announced: bool
    expiry: str
    doubted_ms: int
    wakes: int
    calls: int
    waits: int
    outcomes: Mapping[Outcome, int]
    unreadable: Mapping[int, int]

    def state(self, now_ms: int) -> BatchState:
        """Name its state; a cancelled batch stays `cancelled` when it has ended."""
        if self.cancelled:
            return BatchState.CANCELLED
        if self.finished_at_ms:
            return BatchState.FINISHED
        if self.paused:
            return BatchState.PAUSED
        if self.not_before_ms > now_ms:
            return BatchState.SCHEDULED
        return BatchState.FINDING if self.finding else BatchState.RUNNING

    @property
    def expiry_since_ms(self) -> int:
        """Since when its slices are given their expiry, or kept; 0 if there is no more to do."""
        match self.expiry.split():  # as `lua/expiry.lua` writes it
            case [end, "expire" | "keep", _, since] if end == str(self.finished_at_ms):
                return int(since)
        return 0

    @property
    def successful(self) -> bool:
        """Nothing failed, is uncertain or expired."""
        return not any(self.outcomes.get(outcome) for outcome in UNSUCCESSFUL)

    @property
    def called_off(self) -> bool:
        """It was cancelled, whether it has ended or not; `retry` changes only what it retries."""
        return self.cancelled or self.outcomes.get(Outcome.CANCELLED, 0) > 0


UNREADABLE = b"unreadable:"
"""Begins the fields of `Batch.unreadable`; `lua/unreadable.lua` knows it too."""


def read_batch(batch_id: str, facts: Mapping[bytes, bytes]) -> Batch:
    """Read a batch's hash. Raises `ValueError` if it is not one of ours."""

    def number(field: str) -> int:
        value = int(facts.get(field.encode(), 0))
        if abs(value) >= LARGEST:
            raise ValueError(f"its {field} is larger than any of ours")
        return value

    return Batch(
        id=batch_id,
        version=number("version"),
        fingerprint=facts.get(b"fingerprint", b"").decode(),
        total=number("total"),
        duplicates=number("duplicates"),
        slices=number("slices"),
        open=number("open"),
        submitted_at_ms=number("submitted_at_ms"),
        not_before_ms=number("not_before_ms"),
        deadline_ms=number("deadline_ms"),
        allowed_ms=number("allowed_ms"),
        started_at_ms=number("started_at_ms"),
        finished_at_ms=number("finished_at_ms"),
        check_first=bool(number("check_first")),
        plan=bool(number("plan")),
        finding=number("finding"),
        paused=bool(number("paused")),
        cancelled=bool(number("cancelled")),
        announced=bool(number("announced")),
        expiry=facts.get(b"expiry", b"").decode(),
        doubted_ms=number("doubted_ms"),
        wakes=number("wakes"),
        calls=number("calls"),
        waits=number("waits"),
        outcomes={
            outcome: count for outcome in Outcome if (count := number(f"outcome:{outcome}")) > 0
        },
        unreadable={
            int(name.removeprefix(UNREADABLE)): int(count)
            for name, count in facts.items()
            if name.startswith(UNREADABLE)
        },
    )
