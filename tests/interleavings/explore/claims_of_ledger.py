"""What must hold of what the ledger keeps; each function says what does not, or nothing."""

from collections import Counter
from functools import lru_cache
from typing import Final

from jobs.ledger import keys
from jobs.outcome import Outcome
from jobs.rows.selection import Selection
from tests.interleavings.explore.words import wanted
from tests.interleavings.model.client import Command
from tests.interleavings.model.ledger import Data
from tests.interleavings.model.records import REMEMBERED, batches, entries, facts, slices
from tests.interleavings.model.state import State

RETRIED: Final = frozenset({Outcome.FAILED, Outcome.EXPIRED, Outcome.UNCERTAIN})


@lru_cache(REMEMBERED)
def check_counts(data: Data) -> str:
    """Check that counts equal records."""
    for batch in batches(data):
        if not (told := facts(data, batch)):
            continue
        open_, total, finding, outcomes = 0, 0, 0, Counter[Outcome]()
        for number, found in slices(data, batch):
            ended = [each.record.ending for each in found if each.record.ending is not None]
            done = int(data.fields(keys.slice_records(batch, number)).get(b"done", 0))
            if done != len(ended):
                return f"slice {number} counts {done} as done, and {len(ended)} are"
            open_, total = open_ + len(found) - len(ended), total + len(found)
            finding += sum(isinstance(each.response, Selection) and each.is_open for each in found)
            outcomes.update(ending.outcome for ending in ended)
        counted = {"open": open_, "total": total, "finding": finding}
        counted |= {f"outcome:{each}": outcomes[each] for each in Outcome}
        for name, count in counted.items():
            if (known := int(told.get(name.encode(), 0))) != count:
                return f"batch {batch} counts {name} as {known}, and it is {count}"
    return ""


@lru_cache(REMEMBERED)
def check_care(data: Data) -> str:
    """Check that a batch that goes on is looked after, and that nothing of it ends by itself."""
    for batch in batches(data):
        told = facts(data, batch)
        if not told or b"finished_at_ms" in told:
            continue
        if batch.encode() not in data.members(keys.ACTIVE):
            return f"nobody looks after batch {batch}, which goes on"
        if b"announced" in told:
            return f"batch {batch} goes on, and its end counts as told"
        prefixes = (keys.batch(batch), keys.rows(batch), keys.slices_prefix(batch))
        for key in data.keys:
            kept = key.kind == b"hash" and key.name.decode().startswith(prefixes)
            if kept and key.ends_ms is not None:
                return f"batch {batch} goes on, and {key.name.decode()} will expire"
    return ""


def check_marks(before: State, after: State, command: Command) -> str:
    """Check the marks that a command was granted: none old, none forbidden."""
    batch, lease = command[3].decode(), command[4]
    flags = before.data.fields(batch)
    for each in wanted(command):
        was = before.data.fields(each.slice)
        now = after.data.fields(each.slice)
        same = was.get(each.row) == each.record
        if each.kind != "mark" or same or now.get(each.row) != each.record:
            continue
        wrongs = {
            "under an old epoch": was.get(b"epoch") != each.epoch
            or _has_other(before.opened, each.slice, after.mover),
            "under a lost lease": lease not in before.data.by_name,
            "in a paused batch": flags.get(b"paused") == b"1",
            "in a cancelled batch": flags.get(b"cancelled") == b"1",
            "over a newer record": was.get(each.row, b"") != each.expected,
        }
        for wrong, is_so in wrongs.items():
            if is_so:
                return f"row {each.row.decode()} was marked {wrong}"
    return ""


def check_ends(before: Data, after: Data, *, reopens: bool) -> str:
    """Check that an end is final, but for what failed and is retried."""
    for batch in batches(before):
        if _has_same_slices(before, after):
            continue
        now = {each.row: each for each in entries(after, batch)}
        for was in entries(before, batch):
            ending = was.record.ending
            if ending is None or (was.row in now and now[was.row].record == was.record):
                continue
            if not reopens:
                return f"the end of row {was.row} did not stay"
            if ending.outcome not in RETRIED:
                return f"row {was.row} ended well ({ending.outcome}), and was reopened"
    return ""


def check_cancels(before: Data, after: Data) -> str:
    """Check that a cancel is final until its batch has ended."""
    for batch in batches(before):
        was, now = facts(before, batch), facts(after, batch)
        undone = was.get(b"cancelled") == b"1" and now and now.get(b"cancelled") != b"1"
        if undone and b"finished_at_ms" not in was:
            return f"the cancel of batch {batch} was undone"
    return ""


def check_lives(data: Data, batch: str) -> str:
    """Check that nothing of a batch that is over is kept for ever, and all of it as long."""
    prefix = keys.batch(batch).encode()
    own = data.by_name.get(prefix)
    for key in data.keys:
        if own is not None and key.name.startswith(prefix + b":"):
            if key.ends_ms is None or own.ends_ms is None:
                return f"batch {batch} is over, and {key.name.decode()} is kept for ever"
            if key.kind == b"hash" and key.ends_ms < own.ends_ms:
                return f"{key.name.decode()} ends before its batch"
    return ""


def _has_other(opened: frozenset[tuple[str, int]], name: str, opener: int) -> bool:
    """Whether somebody else has opened a slice last."""
    return any(each[0] == name and each[1] != opener for each in opened)


def _has_same_slices(before: Data, after: Data) -> bool:
    return all(after.by_name.get(key.name) is key for key in before.keys if b":slice:" in key.name)
