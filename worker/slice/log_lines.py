"""
The lines of the log about calls, responses and batches.

One `call.finished` for every call, one `response.settled` for every response. No line holds a
comment, a token or a body: only what is named here is written.
"""

from collections import Counter
from collections.abc import Iterable

from structlog.typing import FilteringBoundLogger

from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.outcome import Ending, Outcome
from jobs.rows.choosing import Found
from jobs.times import write_moment
from worker.graph.reply import Reply
from worker.graph.verdict import Verdict


def call_finished(
    log: FilteringBoundLogger,
    part: OpenSlice,
    entry: Entry,
    *,
    attempt: int,
    method: str,
    client_request_id: str,
    reply: Reply,
    verdict: Verdict,
) -> None:
    """Log one call to Graph."""
    given = entry.given
    log.info(
        "call.finished",
        batch=part.batch.id,
        row=entry.row,
        user=given.user,
        event_id=entry.event_id,
        action=given.action,
        method=method,
        attempt=attempt,
        status=reply.status,
        error_code=reply.code,
        client_request_id=client_request_id,
        request_id=reply.request_id,
        retry_after_s=reply.retry_after_s,
        duration_ms=round(reply.duration_ms, 1),
        verdict=verdict,
    )


def call_lost(log: FilteringBoundLogger, part: OpenSlice, entry: Entry) -> None:
    """Log a call whose worker died before it could: its mark is all that is known."""
    given, record = entry.given, entry.record
    log.warning(
        "call.finished",
        batch=part.batch.id,
        row=entry.row,
        user=given.user,
        event_id=entry.event_id,
        action=given.action,
        method="POST",
        attempt=record.attempts + 1,
        status=None,
        error_code="worker_lost",
        client_request_id=record.client_request_id,
        request_id=None,
        retry_after_s=None,
        duration_ms=None,
        verdict=Verdict.LOOK,
    )


LEVELS = {Outcome.FAILED: "warning", Outcome.EXPIRED: "warning", Outcome.UNCERTAIN: "error"}
"""By who must act: nobody, somebody tomorrow, or an administrator who decides."""


def response_settled(log: FilteringBoundLogger, part: OpenSlice, entry: Entry) -> None:
    """Log the end of one response. Raises `ValueError` for one that has not ended."""
    record = entry.record
    ending = record.ending
    if ending is None:
        raise ValueError(f"row {entry.row} of batch {part.batch.id} has not ended")
    due_ms = max(part.batch.submitted_at_ms, part.batch.not_before_ms)
    getattr(log, LEVELS.get(ending.outcome, "info"))(
        "response.settled",
        batch=part.batch.id,
        row=entry.row,
        user=entry.given.user,
        event_id=entry.event_id,
        action=entry.given.action,
        outcome=ending.outcome,
        reason=ending.reason,
        status=record.status,
        error_code=record.code,
        attempts=record.attempts,
        throttled=record.throttled,
        client_request_id=record.client_request_id,
        request_id=record.request_id,
        waited_ms=max(0, record.settled_at_ms - due_ms),
    )


def selection_found(
    log: FilteringBoundLogger,
    part: OpenSlice,
    entry: Entry,
    found: Iterable[Found],
    *,
    duplicates: int,
) -> None:
    """Log what a selection has found: what will be answered, and what it skips and why."""
    ends = Counter(each.ending for each in found)
    planned = ends.pop(Ending(Outcome.PLANNED), 0)
    passed_over = {(e.reason or e.outcome).value: n for e, n in ends.items() if e is not None}
    log.info(
        "selection.found",
        batch=part.batch.id,
        row=entry.row,
        user=entry.given.user,
        found=ends[None] + planned,
        passed_over=passed_over,
        duplicates=duplicates,
    )


def bad_link(log: FilteringBoundLogger, part: OpenSlice, entry: Entry, origin: str) -> None:
    """Log that a page of a calendar named a next one that leads elsewhere, or back."""
    log.error(
        "selection.bad_link",
        batch=part.batch.id,
        row=entry.row,
        user=entry.given.user,
        origin=origin,
    )


def stale_pages(log: FilteringBoundLogger, part: OpenSlice, entry: Entry, pages: int) -> None:
    """Log that the latest pages of a calendar brought nothing new, and that no more are read."""
    log.warning(
        "selection.stale",
        batch=part.batch.id,
        row=entry.row,
        user=entry.given.user,
        pages=pages,
    )


def event_unreadable(
    log: FilteringBoundLogger, part: OpenSlice, entry: Entry, event_id: str
) -> None:
    """Log an event, or a series, that a selection met and that cannot be read."""
    log.warning(
        "event.unreadable",
        batch=part.batch.id,
        row=entry.row,
        user=entry.given.user,
        event_id=event_id,
    )


def mailbox_paused(
    log: FilteringBoundLogger,
    part: OpenSlice,
    entry: Entry,
    retry_after_s: float | None,
    until_ms: int,
) -> None:
    """Log that a mailbox is paused for all workers until a moment."""
    log.warning(
        "mailbox.paused",
        batch=part.batch.id,
        user=entry.given.user,
        retry_after_s=retry_after_s,
        until=write_moment(until_ms),
    )


def mailbox_away(
    log: FilteringBoundLogger,
    part: OpenSlice,
    entry: Entry,
    reply: Reply,
    *,
    times: int,
    until_ms: int,
) -> None:
    """Log that a mailbox cannot be used, how many times in a row, and when it is tried next."""
    log.warning(
        "mailbox.away",
        batch=part.batch.id,
        user=entry.given.user,
        error_code=reply.code,
        times=times,
        retry_after_s=reply.retry_after_s,
        until=write_moment(until_ms),
    )


def mailbox_back(log: FilteringBoundLogger, part: OpenSlice, entry: Entry) -> None:
    """Log that a mailbox that was away can be used again."""
    log.info("mailbox.back", batch=part.batch.id, user=entry.given.user)


def batch_submitted(log: FilteringBoundLogger, batch: Batch) -> None:
    """Log the start of a batch."""
    log.info("batch.submitted", batch=batch.id, total=batch.total, duplicates=batch.duplicates)


def batch_finished(log: FilteringBoundLogger, batch: Batch) -> None:
    """Log the end of a batch, with its counts by outcome."""
    counts = {outcome.value: batch.outcomes.get(outcome, 0) for outcome in Outcome}
    start_ms = max(batch.submitted_at_ms, batch.not_before_ms)
    (log.info if batch.successful else log.warning)(
        "batch.finished",
        batch=batch.id,
        total=batch.total,
        **counts,
        duration_s=round(max(0, batch.finished_at_ms - start_ms) / 1000, 3),
        calls=batch.calls,
        throttled=batch.waits,
    )
