"""
Responses tried one by one, in a slice whose workers have died: the one that kills is given up.

It stands outside the usual way, so that nothing of that way has to be trusted: before each try a
count goes into the ledger, and who dies in it has been counted.
"""

from typing import Final

from jobs.ledger.entries import Entry
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import State, Step
from worker.insist import insist
from worker.lane import Answer, Lane
from worker.shift import Shift

TRIES: Final = 1
TRIES_UNCLEAR: Final = 5
"""
How often a response may be begun by itself before it is given up as the one that kills.

One that may have been sent has more, to be looked at; its marks count as attempts meanwhile.
"""


async def answer_alone(shift: Shift, answer: Answer, lane: Lane, entry: Entry) -> None:
    """
    Take one response by itself, for one of its slice ends whoever works on it.

    `answer` is the usual way to take one.
    """
    if shift.next_step(entry).step is Step.WAIT:
        await answer(lane, entry)  # what waits is not begun, and kills nobody
        return
    tries = await insist(lambda: shift.means.slices.count_try(shift.part, entry))
    if tries > (TRIES_UNCLEAR if entry.record.unclear else TRIES):
        await _give_up(shift, entry)
        return
    try:
        await answer(lane, entry)
    except Exception:
        shift.means.log.exception("response.crashed", batch=shift.part.batch.id, row=entry.row)
        await _give_up(shift, entry)


async def _give_up(shift: Shift, entry: Entry) -> None:
    sent = entry.record.unclear or entry.record.state is State.SENDING
    failed = Ending(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    await shift.settle(entry, entry.record, Ending(Outcome.UNCERTAIN) if sent else failed)
