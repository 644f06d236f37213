"""
What Redis returns when a worker opens a slice, read and checked for contradictions.

A slice with nonsense in its own numbers would never be done, and nobody would know why, so all of
it counts as unreadable. An unreadable record costs only its own response. Does not know Redis.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from jobs.ledger.fields import SliceField
from jobs.ledger.forms.archive import MOST
from jobs.ledger.forms.entries import Entry, read_entries
from jobs.storable import stored_field, stored_moment, stored_number

READ_IN_PASSING: Final = 32 << 10
"""Bytes of rows and records: for less, starting a thread takes longer than reading them."""


@dataclass(slots=True, kw_only=True)
class Opening:
    """
    What was read of a slice: its entries, how many others have ended, and the events of all.

    The events are listed by mailbox, and only if selections are still looking for events.
    `deaths`, `doubted_ms` and `suspects` are those of `OpenSlice`.
    """

    deaths: int
    doubted_ms: int
    suspects: dict[str, int]
    entries: list[Entry] = field(default_factory=list)
    ended: int = 0
    known: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


async def read_in_time(
    body: bytes, records: Mapping[bytes, bytes], unlogged: AbstractSet[bytes], *, finding: bool
) -> Opening:
    """
    Read a slice; a big mailbox takes a while, and the heartbeat must not wait for it.

    Raises `ValueError` if bulkrsvp did not write it.
    """
    if len(body) + sum(map(len, records.values())) <= READ_IN_PASSING:
        return _read(body, records, unlogged, finding=finding)
    return await asyncio.to_thread(_read, body, records, unlogged, finding=finding)


def _read(
    body: bytes, records: Mapping[bytes, bytes], unlogged: AbstractSet[bytes], *, finding: bool
) -> Opening:
    """Read a slice; of one too big to be put away, keep only what still matters."""
    read, all_matter = _read_facts(records), len(records) <= MOST
    for entry in read_entries(body, records):
        if finding and entry.event_id is not None:
            read.known[entry.given.mailbox].add(entry.event_id)
        if all_matter or _matters(unlogged, entry):
            read.entries.append(entry)
        else:
            read.ended += 1
    if unlogged - {str(entry.row).encode() for entry in read.entries}:
        raise ValueError("rows are noted as not logged that it does not have")
    _check_done(read, _number(records, SliceField.DONE))
    return read


def _read_facts(records: Mapping[bytes, bytes]) -> Opening:
    _number(records, SliceField.EPOCH)
    return Opening(
        deaths=max(_number(records, SliceField.BEGUN), 1) - 1,
        doubted_ms=stored_field(stored_moment, records, SliceField.DOUBTED_MS),
        suspects={
            field.removeprefix(SliceField.SUSPECT).decode(): _number(records, field)
            for field in records
            if field.startswith(SliceField.SUSPECT)
        },
    )


def _number(records: Mapping[bytes, bytes], name: bytes) -> int:
    return stored_field(stored_number, records, name)


def _check_done(read: Opening, done: int) -> None:
    """Raise `ValueError` unless as many have ended as the slice counts, as far as can be read."""
    ended = read.ended + sum(entry.record.ending is not None for entry in read.entries)
    if ended == done or (ended < done and any(entry.error for entry in read.entries)):
        return
    raise ValueError(f"{done} of its responses are counted as ended, and {ended} have")


def _matters(unlogged: AbstractSet[bytes], entry: Entry) -> bool:
    """Whether anything is still to be done for a response."""
    return entry.record.ending is None or entry.finds or str(entry.row).encode() in unlogged
