"""
What is kept of a batch as a whole: what was ordered, and what the ledger shows of it now.

`jobs/ledger/batches/store.py` asks Redis for it; this module does not.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from jobs.ledger.fields import BatchField
from jobs.outcome import UNSUCCESSFUL, Outcome
from jobs.storable import stored_field, stored_moment, stored_number

PLAIN = 1
SELECTING = 2
PUT_AWAY = 3
CODED = 4
"""
The forms of a batch in the ledger: responses only; also selections or a plan; also slices whose
records are put away when they are done; also Graph's error codes in records. New batches have the
last form.

To a program that does not know form 3, what was put away would look as if it had never been sent;
one that does not know form 4 cannot read a record with a code.
"""

VERSIONS = frozenset({PLAIN, SELECTING, PUT_AWAY, CODED})
"""The forms that this program understands; a worker leaves batches of other forms alone."""


class BatchState(StrEnum):
    """The state of a batch, as `status` names it."""

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

    `cursor` is how many of its slices have been released. `expiry_since_ms` is since when its
    slices are being given their expiry, or kept; 0 if that is done. `unreadable` counts, by slice,
    the responses whose records cannot be read, as seen by the workers that opened these slices, and
    1 for a slice that is unreadable as a whole: while there are any, the batch does not finish.
    """

    id: str
    version: int
    fingerprint: str
    total: int
    duplicates: int
    slices: int
    cursor: int
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
    expiry_since_ms: int
    doubted_ms: int
    wakes: int
    calls: int
    waits: int
    outcomes: Mapping[Outcome, int]
    unreadable: Mapping[int, int]

    def state(self, now_ms: int) -> BatchState:
        """Return its state; a cancelled batch stays `cancelled` when it has ended."""
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
    def successful(self) -> bool:
        """Whether nothing failed, is uncertain or expired."""
        return not any(self.outcomes.get(outcome) for outcome in UNSUCCESSFUL)

    @property
    def called_off(self) -> bool:
        """Whether it was cancelled, ended or not; `retry` changes only what it retries."""
        return self.cancelled or self.outcomes.get(Outcome.CANCELLED, 0) > 0


ROWS_LACK: Final = "its rows lack a slice that it should have"
"""What is wrong with a batch that counts more slices than it has."""

_EXPIRY: Final = re.compile(rb"([0-9]+) ([a-z]+) [0-9]{1,15} ([0-9]+)")
"""The end of the batch, what is done to its slices, a running number, and since when."""


def read_batch(batch_id: str, facts: Mapping[bytes, bytes]) -> Batch:
    """Read a batch's hash. Raises `ValueError` if bulkrsvp has not written it."""
    read = {
        field.decode(): stored_field(rule, facts, field)
        for rule, fields in _RULES.items()
        for field in fields
    }
    outcomes = {
        outcome: stored_field(stored_number, facts, BatchField.OUTCOME + outcome.encode())
        for outcome in Outcome
    }
    batch = Batch(
        id=batch_id,
        fingerprint=facts.get(BatchField.FINGERPRINT, b"").decode(),
        expiry_since_ms=_expiry_since_ms(facts),
        outcomes={outcome: count for outcome, count in outcomes.items() if count > 0},
        unreadable=_unreadable(facts),
        **read,
    )
    _check_together(batch)
    return batch


def _flag(text: bytes) -> bool:
    if text not in {b"0", b"1"}:
        raise ValueError("not a flag as bulkrsvp writes it")
    return text == b"1"


_RULES: Final[Mapping[Callable[[bytes], Any], Sequence[BatchField]]] = {
    stored_number: (
        BatchField.VERSION,
        BatchField.TOTAL,
        BatchField.DUPLICATES,
        BatchField.SLICES,
        BatchField.CURSOR,
        BatchField.OPEN,
        BatchField.ALLOWED_MS,
        BatchField.FINDING,
        BatchField.WAKES,
        BatchField.CALLS,
        BatchField.WAITS,
    ),
    stored_moment: (
        BatchField.SUBMITTED_AT_MS,
        BatchField.NOT_BEFORE_MS,
        BatchField.DEADLINE_MS,
        BatchField.STARTED_AT_MS,
        BatchField.FINISHED_AT_MS,
        BatchField.DOUBTED_MS,
    ),
    _flag: (
        BatchField.CHECK_FIRST,
        BatchField.PLAN,
        BatchField.PAUSED,
        BatchField.CANCELLED,
        BatchField.ANNOUNCED,
    ),
}
"""The fields that stand in a `Batch` under their own names, by how they are read."""


def _expiry_since_ms(facts: Mapping[bytes, bytes]) -> int:
    """Read what `lua/expiry.lua` notes; what it noted about an earlier end no longer counts."""
    text = facts.get(BatchField.EXPIRY, b"")
    found = _EXPIRY.fullmatch(text)
    if text and found is None:
        raise ValueError("its expiry: not as bulkrsvp writes it")
    if found is None or found[1] != facts.get(BatchField.FINISHED_AT_MS) or found[2] == b"expired":
        return 0
    return stored_moment(found[3])


def _unreadable(facts: Mapping[bytes, bytes]) -> dict[int, int]:
    return {
        stored_number(name.removeprefix(BatchField.UNREADABLE)): stored_number(count)
        for name, count in facts.items()
        if name.startswith(BatchField.UNREADABLE)
    }


def _check_together(batch: Batch) -> None:
    """Raise `ValueError` if facts contradict each other: trusting them, nothing would ever end."""
    if batch.announced and not batch.finished_at_ms:
        raise ValueError("its end is announced, but it has not ended")
    slices_fit = batch.cursor <= batch.slices <= batch.total
    if (
        not slices_fit
        or batch.open > batch.total
        or max(batch.unreadable, default=-1) >= batch.slices
    ):
        raise ValueError("its counts of responses and slices contradict each other")
