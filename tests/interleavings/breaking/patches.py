"""Ways to break the product in its Python code, each for the length of a block."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import worker.graph.verdict
import worker.slice.calls.event_call
import worker.slice.quarantine
import worker.slice.shift
import worker.slice.work
from jobs.ledger import keys
from jobs.ledger.batches.retries import Retries
from jobs.ledger.forms.batch import Batch
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.operations.retry import Choice
from jobs.outcome import Ending, Outcome
from jobs.record import Record
from jobs.steps import Next, Step, Terms, next_step
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement
from worker.slice.calls.admission import Admission

Patch = Callable[[], AbstractContextManager[object]]


def no_mark() -> AbstractContextManager[object]:
    """Call without a mark."""
    write = Slices.write

    async def unmarked(self: Slices, part: Any, kind: Kind, entry: Any, record: Any) -> Answer:
        if kind is not Kind.MARK:
            return await write(self, part, kind, entry, record)
        return Answer(WriteStatus.OK)

    return patch.object(Slices, "write", unmarked)


def stepping(following: Callable[[Record, Terms, int], Next]) -> Patch:
    """Have the next step of a response be found so."""
    return lambda: patch.object(worker.slice.shift, "next_step", following)


def no_look(record: Record, terms: Terms, now_ms: int) -> Next:
    """Send at once what may have been sent."""
    return next_step(record._replace(unknown_since_ms=0), terms, now_ms)


def no_settle_time(record: Record, terms: Terms, now_ms: int) -> Next:
    """Look while a call may still be on its way."""
    return next_step(record, replace(terms, settle_ms=0), now_ms)


def cancels_unlooked(record: Record, terms: Terms, now_ms: int) -> Next:
    """Call cancelled what may have been sent."""
    if terms.cancelled and record.ending is None:
        return Next(Step.SETTLE, ending=Ending(Outcome.CANCELLED))
    return next_step(record, terms, now_ms)


def no_takeover() -> AbstractContextManager[object]:
    """Leave what a dead worker has left as it is."""

    async def nothing(_: object) -> None:
        pass

    return patch.object(worker.slice.work, "take_over", nothing)


def no_permission() -> AbstractContextManager[object]:
    """Send on a mark of whatever age, with whatever lease."""
    patches = ExitStack()
    for name in ("is_permitted", "is_timely"):
        patches.enter_context(patch.object(Admission, name, lambda _: True))
    return patches


def believes_failures() -> AbstractContextManager[object]:
    """Take a 503 for a word that nothing was done."""
    judge = worker.graph.verdict.judge

    def credulous(reply: Reply, *told: Any) -> Judgement:
        return worker.graph.verdict.AGAIN if reply.status == 503 else judge(reply, *told)

    return patch.object(worker.slice.calls.event_call, "judge", credulous)


def retries_all() -> AbstractContextManager[object]:
    """Queue again what has ended well, too."""
    return patch.object(Choice, "has", lambda _, line: line.record.ending is not None)


def keeps_apart() -> AbstractContextManager[object]:
    """Take the expiry from a batch by commands of their own, before it is reopened."""

    async def keep(self: Any, batch_id: str) -> None:
        batch: Batch = await self._batches.get(batch_id)
        names = [keys.batch(batch_id), keys.rows(batch_id)]
        names += [keys.slice_records(batch_id, number) for number in range(batch.slices)]
        for name in names:
            await self._redis.persist(name)
        await self._redis.hset(keys.batch(batch_id), "kept_ms", batch.finished_at_ms)

    return patch.object(Retries, "_keep", keep)


def counts_early() -> AbstractContextManager[object]:
    """Count a try of a response before it is tried alone."""
    take = worker.slice.quarantine._take_noted

    async def early(shift: Any, answer: Any, lane: Any, entry: Any, tries: int) -> None:
        await take(shift, answer, lane, entry, max(tries, 1))

    return patch.object(worker.slice.quarantine, "_take_noted", early)
