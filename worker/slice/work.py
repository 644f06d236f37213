"""
One slice from start to end: the way of its responses, in order. Read this first.

A slice is opened under a new epoch. What a dead worker left is put right (`takeover.py`). The
mailboxes are leased, and the responses of each walk down a lane (`walk.py`). For each response the
next step is looked up (`jobs/record.py`) and taken: a call is made (`calls/call.py`), or the
response is settled, or it waits. Nothing sleeps here: when nothing in the slice can go on, the
slice is closed with the time to come back (`shift.py`).
"""

import asyncio
from functools import partial

from jobs.ledger.forms.entries import Entry
from jobs.outcome import Ending
from jobs.rows.selection import Selection
from jobs.steps import Next, Step
from worker.slice import log_lines
from worker.slice.calls.event_call import Looking, Sending
from worker.slice.calls.finding import Finding
from worker.slice.context import Context
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.slice.takeover import take_over
from worker.slice.walk import Walk


async def work(context: Context, batch_id: str, number: int) -> int | None:
    """
    Take one slice as far as it goes now.

    Returns the moment (ms since the epoch) to come back at, or None when there is nothing left.
    Raises redis-py's errors while Redis is away, and `ValueError` if what it holds is not ours.
    """
    ledger, log = context.ledger, context.signals.log
    async with context.calls.process_lock.shared():
        part = await ledger.slices.open(ledger.worker_lease.name, batch_id, number)
        if part is None:
            log.critical("batch.gone", batch=batch_id, slice=number)
            return None
        if part.starts:
            log_lines.batch_submitted(log, part.batch)
        with ledger.recent_marks.watching(part):
            return await _work_on(Shift(context, part))


async def _work_on(shift: Shift) -> int | None:
    excusing = asyncio.create_task(_excuse_when_draining(shift))
    try:
        await take_over(shift)
        await Walk(shift, partial(answer, shift)).walk_lanes()
    except asyncio.CancelledError:
        await shift.abandon()
        raise
    finally:
        excusing.cancel()
    return await shift.leave()


async def _excuse_when_draining(shift: Shift) -> None:
    """Note at once that this worker ends in order: it may be killed before it comes to its end."""
    await shift.context.signals.draining.wait()
    await shift.excuse()


async def answer(shift: Shift, lane: Lane, entry: Entry) -> None:
    """Take one response step by step, until it is settled or cannot go on now."""
    while True:
        match shift.next_step(entry):
            case Next(Step.NOTHING):
                return
            case Next(Step.WAIT, until_ms=until_ms):
                shift.postpone(until_ms)
                return
            case Next(Step.SETTLE, ending=Ending() as ending):
                await shift.settle(entry, entry.record, ending)
                return
            case Next(step):
                if not await _take(shift, step, lane, entry):
                    return


async def _take(shift: Shift, step: Step, lane: Lane, entry: Entry) -> bool:
    """Make a call, or find what is to be answered; return whether another step may follow."""
    if entry.finds and isinstance(entry.given, Selection):
        return await Finding(shift, lane, entry, entry.given).make()
    call = Looking if step is Step.LOOK else Sending
    return await call(shift, lane, entry).make()
