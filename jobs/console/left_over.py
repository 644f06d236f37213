"""
What is printed about a cancelled batch: what it left unsent, and how to send only that.

The same rows under another id would also send again what the cancelled batch has sent, so the way
shown begins with its results. This module only words it; nothing is asked or sent here.
"""

from pathlib import Path

from jobs.ledger.foreign import MAX_BATCH_ID
from jobs.ledger.forms.batch import Batch
from jobs.outcome import Outcome
from jobs.times import UNITS_MS, now_ms, write_moment

SUFFIX = "-again"
ROOM = MAX_BATCH_ID - len(SUFFIX)
"""Characters of the old id that fit into the new one."""


def tell_left_over(batch: Batch, command: str = "submit", *, file: Path | None = None) -> str:
    """
    Return lines that say what became of a cancelled batch, and how `command` sends the rest.

    `file` is where its results are, if its Redis will have stopped by then.
    """
    left = batch.outcomes.get(Outcome.CANCELLED, 0)
    if not batch.finished_at_ms:
        first = f"batch {batch.id} was cancelled, and has not ended yet"
        when = f"when it has ended (bulkrsvp status {batch.id} --watch), send"
    elif left:
        first = f"batch {batch.id} was cancelled; {left} of its responses were not sent"
        when = "send"
    else:
        return f"batch {batch.id} was cancelled, but nothing of it was left unsent"
    return "\n".join(
        [
            first,
            f"{when} what it left, and nothing else, with: {_way(batch, command, file)}",
            "all its rows under another --batch would also send again what it has sent",
        ]
    )


def _way(batch: Batch, command: str, file: Path | None) -> str:
    options = " ".join([f"--batch {batch.id[:ROOM]}{SUFFIX}", *_wishes(batch)])
    if file is not None:
        return f"bulkrsvp {command} FILE {options}, where FILE has the cancelled rows of {file}"
    results = f"bulkrsvp results {batch.id} --outcome cancelled --format jsonl"
    return f"{results} | bulkrsvp {command} - --format jsonl {options}"


def _wishes(batch: Batch) -> list[str]:
    """Repeat the options of the batch: without them, more would be sent than was asked for."""
    wishes = []
    if batch.not_before_ms > now_ms():
        wishes.append(f"--at {write_moment(batch.not_before_ms)}")
    wishes.append(f"--deadline {_duration(batch.allowed_ms)}")
    if batch.check_first:
        wishes.append("--check-first")
    if batch.plan:
        wishes.append("--plan")
    return wishes


def _duration(duration_ms: int) -> str:
    for unit in ("d", "h", "m"):
        if duration_ms % UNITS_MS[unit] == 0:
            return f"{duration_ms // UNITS_MS[unit]}{unit}"
    return f"{duration_ms / UNITS_MS['s']:g}s"
