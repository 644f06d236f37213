"""How a batch stands: what the ledger counts, and what follows from that."""

from typing import Any

from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch, BatchState
from jobs.storable import LAST_MS
from jobs.times import now_ms, write_moment


async def read_status(batches: Batches, batch_id: str) -> tuple[Batch, Pauses]:
    """Return a batch and what of it is paused. Raises `InputError`."""
    return await batches.get(batch_id), await batches.pauses(batch_id, now_ms())


def describe(batch: Batch, pauses: Pauses) -> dict[str, Any]:
    """Return what `status --json` prints for a batch."""
    now, graph_until_ms = now_ms(), pauses.graph_until_ms
    end = estimated_end_ms(batch, pauses, now)
    rate = rate_per_s(batch, now)
    return {
        "batch": batch.id,
        "state": batch.state(now).value,
        "total": batch.total,
        "open": batch.open,
        "outcomes": {outcome.value: count for outcome, count in batch.outcomes.items()},
        "throttled": pauses.throttled,
        "submittedAt": write_moment(batch.submitted_at_ms),
        "finishedAt": write_moment(batch.finished_at_ms) if batch.finished_at_ms else None,
        "duplicates": batch.duplicates,
        "notBefore": write_moment(batch.not_before_ms),
        "deadline": write_moment(batch.deadline_ms),
        "calls": batch.calls,
        "ratePerS": rate,
        "unreadable": sum(batch.unreadable.values()),
        "estimatedEnd": write_moment(end) if end else None,
        "graphPausedUntil": write_moment(graph_until_ms) if graph_until_ms else None,
    }


def rate_per_s(batch: Batch, now: int) -> float | None:
    """Return how many responses a second have ended since the first slice was opened, if any."""
    settled = batch.total - batch.open
    passed_ms = (batch.finished_at_ms or now) - batch.started_at_ms
    if not batch.started_at_ms or not settled or passed_ms <= 0:
        return None
    return round(settled * 1000 / passed_ms, 1)


def estimated_end_ms(batch: Batch, pauses: Pauses, now: int) -> int | None:
    """Return when a running batch will end at its rate, ms; None if nobody can say."""
    rate = rate_per_s(batch, now)
    if not rate or not batch.open or batch.state(now) is not BatchState.RUNNING:
        return None
    if pauses.graph_until_ms:
        return None
    end = now + int(batch.open * 1000 / rate)
    return end if end < LAST_MS else None
