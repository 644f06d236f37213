"""
Responses tried one by one, in a slice whose workers have died: the one that kills is given up.

It works around the usual way, so that nothing of that way has to be trusted. Before a response is
begun a note of it is written to the ledger, and removed when the worker has survived it. A worker
that dies leaves the note, and the response becomes a suspect. A suspect is tried when nothing else
is under way in the process: a worker that dies then has died of it. A worker that ends in order
removes its note too.
"""

from typing import Final

from redis.exceptions import RedisError

from jobs.ledger.forms.entries import Entry
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import State
from jobs.steps import Step
from worker.slice.lane import AnswerEntry, Lane
from worker.slice.shift import Shift, until_written

TRIES: Final = 3
"""So often a response is tried by itself and not survived before it is given up."""

CRASHED_MS: Final = 5_000
"""When to come back to a response at which the program has failed."""


async def answer_singly(shift: Shift, answer: AnswerEntry, lane: Lane, entry: Entry) -> None:
    """
    Take a response while nothing else of its slice is under way; a death makes it a suspect.

    `answer` is the usual way to take one.
    """
    if _begins(shift, lane, entry):
        await _take_noted(shift, answer, lane, entry, tries=0)
    else:
        await answer(lane, entry)


async def answer_suspect(shift: Shift, answer: AnswerEntry, lane: Lane, entry: Entry) -> None:
    """Take a suspect while nothing else is under way in this process, or give it up."""
    if not _begins(shift, lane, entry):
        await answer(lane, entry)
        return
    tries = shift.part.suspects[str(entry.row)]
    if tries >= TRIES:
        await _give_up(shift, entry, tries)
        return
    async with shift.context.calls.process_lock.exclusive():
        shift.begin_anew()
        await _take_noted(shift, answer, lane, entry, tries + 1)


def _begins(shift: Shift, lane: Lane, entry: Entry) -> bool:
    """Whether more is to be done for it now than to wait, or to write down its end."""
    step = shift.next_step(entry).step
    return step in {Step.SEND, Step.LOOK} and shift.may_begin(lane)


async def _take_noted(
    shift: Shift, answer: AnswerEntry, lane: Lane, entry: Entry, tries: int
) -> None:
    if not shift.may_begin(lane):  # meanwhile
        return
    slices, row = shift.context.ledger.slices, entry.row
    shift.trial = row
    await until_written(lambda: slices.suspect(shift.part, row, tries))
    try:
        await answer(lane, entry)
    except (RedisError, OSError):  # the response is not the cause of that
        await until_written(lambda: slices.acquit(shift.part, row))
        raise
    except Exception:
        shift.log.exception("response.crashed", batch=shift.part.batch.id, row=row)
        shift.postpone(shift.now_ms() + CRASHED_MS)
    else:
        await until_written(lambda: slices.acquit(shift.part, row))
    shift.trial = None  # not if it is cut off: then the shift takes the note back


async def _give_up(shift: Shift, entry: Entry, tries: int) -> None:
    """End it; each time that it was tried by itself and not survived was an attempt."""
    # What a look has shown as not carried out since is not in doubt any more.
    sent = entry.record.unknown_since_ms or entry.record.state is State.SENDING
    failed = Ending(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    record = entry.record._replace(attempts=max(entry.record.attempts, tries))
    await shift.settle(entry, record, Ending(Outcome.UNCERTAIN) if sent else failed)
    await until_written(lambda: shift.context.ledger.slices.acquit(shift.part, entry.row))
