"""
What an earlier worker left of a slice is put right before anything else is done.

Ends without a line are logged, marks without an end become calls of unknown outcome, and what a
forgetful Redis shows as unsent is put in doubt. A record that cannot be read is logged and left.
"""

import asyncio
from typing import Final

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.record import Record, State
from worker.slice import log_lines
from worker.slice.shift import Shift, until_written

CLOCKS_DIFFER_MS: Final = 10_000
"""By so much the clocks of workers may differ while they still begin calls, twice over."""

UNREADABLE_MS: Final = 60_000
"""When to look again at a slice with a record that cannot be read: it may have been put right."""


async def take_over(shift: Shift) -> None:
    """Put right what was left in the slice of a shift that begins."""
    slices, part = shift.context.ledger.slices, shift.part
    for entry in part.unreadable:
        shift.context.signals.unreadable.record(part, entry)
        shift.postpone(shift.now_ms() + UNREADABLE_MS)
    for entry in part.unlogged:
        if entry.record.ending is not None:
            shift.log_settled(entry)
    if ended := part.suspects.keys() - {str(entry.row) for entry in part.entries}:
        await until_written(lambda: slices.acquit(part, *ended))
    orphans = [entry for entry in part.entries if entry.record.state is State.SENDING]
    for entry in orphans:
        log_lines.call_lost(shift.log, part, entry)
    await shift.count_unended(orphans)
    now_ms = shift.now_ms()
    await asyncio.gather(*(shift.note(e, _orphaned(shift, e, now_ms)) for e in orphans))
    doubted_ms = _doubted_ms(part)
    doubtful = [e for e in part.entries if e.record.doubted_ms < doubted_ms]
    await asyncio.gather(*(shift.note(e, e.record.doubted(doubted_ms, now_ms)) for e in doubtful))


def _doubted_ms(part: OpenSlice) -> int:
    """
    Return when the ledger may have forgotten marks in a slice, ms since the epoch; 0 for never.

    A plan makes no mark, and neither does a batch before its time has come.
    """
    none_was_made = part.doubted_ms + CLOCKS_DIFFER_MS < part.batch.not_before_ms
    return 0 if part.batch.plan or none_was_made else part.doubted_ms


def _orphaned(shift: Shift, entry: Entry, now_ms: int) -> Record:
    """Return what becomes of a dead worker's mark; it died of this response, if tried by itself."""
    if shift.part.suspects.get(str(entry.row), 0) > 0:
        return entry.record.unknown(now_ms)
    return entry.record.orphaned(now_ms, shift.context.calls.max_attempts)
