"""
The worker's side of the ledger: open a slice, write its marks and records, close it.

How writes gather on their way to Redis is `jobs/ledger/writes.py`'s.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis

from jobs.aside import aside
from jobs.choosing import Found, pack_found
from jobs.ledger import keys
from jobs.ledger.archive import ARCHIVE, MOST, digest, pack, unpack
from jobs.ledger.entries import Entry, Number, found_entries, read_entries
from jobs.ledger.facts import PUT_AWAY, read_batch
from jobs.ledger.foreign import Unreadable, told_apart
from jobs.ledger.open_slice import LOGGED_AT_ONCE, OpenSlice
from jobs.ledger.reading import BYTES_AT_ONCE, FIELDS_AT_ONCE, read_fields
from jobs.ledger.script import Script
from jobs.ledger.writes import Answer, Kind, Word, Writes, Written
from jobs.record import Record
from jobs.selection import Selection

SCRIPTS: Final = ("open", "close", "found", "suspects", "unreadable")

SUSPECT: Final = b"suspect:"
"""Begins the fields that tell how often a response was begun alone, by whoever died in it."""

READ_IN_PASSING: Final = 32 << 10
"""Bytes of rows, and of all that is known of them: to start a thread for less takes longer."""


class Closed(StrEnum):
    """What a slice was when it was left."""

    OPEN = "open"
    WOKEN = "woken"
    DONE = "done"
    FINISHED = "finished"
    GONE = "gone"


class Slices:
    """Slices that one worker has open; `written` is shared by all that write for it."""

    def __init__(self, redis: Redis, now_ms: Callable[[], int], written: Written) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._now_ms = now_ms
        self._scripts = {name: Script(redis, name) for name in SCRIPTS}
        self._writes = Writes(redis, now_ms, written)

    async def open(self, worker: str, batch_id: str, number: int) -> OpenSlice | None:
        """
        Start a slice under a new epoch.

        Returns None if the batch is gone. Raises `Unreadable` if what Redis holds is not ours.
        """
        opened = await self._scripts["open"](
            [
                keys.batch(batch_id),
                keys.rows(batch_id),
                keys.slice_records(batch_id, number),
                keys.unlogged(batch_id, number),
            ],
            [number, self._now_ms(), FIELDS_AT_ONCE, BYTES_AT_ONCE],
        )
        if opened is None:
            return None
        epoch, body, facts, flat, unlogged, starts = opened
        records = _pairs(flat)
        if not records:  # else there is an epoch at least
            body, records = await self._read_big(batch_id, number)
        if body is None:
            return None
        try:
            batch = read_batch(batch_id, _pairs(facts))
            waiting = set(unlogged)
            read = await _read_in_time(body, records, waiting, finding=bool(batch.finding))
            deaths = int(records.get(b"begun", 1)) - 1
            doubted_ms = max(batch.doubted_ms, int(records.get(b"doubted_ms", 0)))
            suspects = {
                field[len(SUSPECT) :].decode(): int(tries)
                for field, tries in records.items()
                if field.startswith(SUSPECT)
            }
        except ValueError as error:
            raise Unreadable(str(error)) from error
        entries = read.entries
        if waiting.difference(str(entry.row).encode() for entry in entries):
            raise Unreadable("the rows that were not logged are none of its rows")
        unreadable = [entry for entry in entries if entry.error]
        if len(unreadable) != batch.unreadable.get(number, 0):
            await self._scripts["unreadable"]([keys.batch(batch_id)], [number, len(unreadable)])
        return OpenSlice(
            batch=batch,
            number=number,
            worker=worker,
            epoch=epoch,
            starts=bool(starts),
            deaths=deaths,
            doubted_ms=doubted_ms,
            suspects=suspects,
            lines={entry.row: entry for entry in entries},
            ended=read.ended,
            entries=[entry for entry in entries if entry.is_open],
            unreadable=unreadable,
            unlogged=[entry for entry in entries if str(entry.row).encode() in waiting],
            known=read.known,
        )

    async def _read_big(
        self, batch_id: str, number: int
    ) -> tuple[bytes | None, dict[bytes, bytes]]:
        """Read the rows and records of a big slice, which is open by then."""
        with told_apart(f"batch {batch_id}"):
            body = await self._redis.hget(keys.rows(batch_id), str(number))
            return body, await read_fields(self._redis, keys.slice_records(batch_id, number))

    async def write(self, part: OpenSlice, kind: Kind, entry: Entry, record: Record) -> Answer:
        """
        Write a record with whatever else gathers; return when Redis has it, or has refused it.

        Raises redis-py's errors and `OSError`: then nobody knows whether it was written.
        """
        answer = await self._writes.write(part, kind, entry, record)
        if answer.word is not Word.CONFLICT or not await self._has_put_away(part, entry, record):
            return answer
        return Answer(Word.OK)

    async def _has_put_away(self, part: OpenSlice, entry: Entry, record: Record) -> bool:
        """Look whether a record was put away: its end, said again, is no conflict."""
        archive = await self._redis.hget(keys.slice_records(part.batch.id, part.number), ARCHIVE)
        text = part.write(record)
        if archive is None or unpack(archive).get(str(entry.row).encode()) != text:
            return False
        entry.record, entry.stored = record, text
        return True

    async def keep_found(
        self, part: OpenSlice, entry: Entry, selection: Selection, found: list[Found]
    ) -> list[Entry] | None:
        """
        Put what a selection has found into its place; return its entries.

        Returns None if another worker was faster, or the batch is gone. Raises redis-py's errors
        and `OSError`; it may then be said again.
        """
        packed = await aside(len(found), lambda: pack_found(found))
        answer = await self._scripts["found"](
            [keys.batch(part.batch.id), keys.slice_records(part.batch.id, part.number)],
            [entry.row, entry.stored, packed, len(found)],
        )
        if Word(answer.decode()) is not Word.OK:
            return None
        entries = await aside(
            len(found), lambda: list(found_entries(entry.row, selection, found, {}))
        )
        part.put_in_place(entry, entries)
        return entries

    async def suspect(self, part: OpenSlice, row: Number, tries: int) -> None:
        """Note that a response is begun: who opens the slice after a death knows which it was."""
        await self._note_suspects(part, {row: tries})

    async def acquit(self, part: OpenSlice, *rows: Number | str) -> None:
        """Note that responses have lived, or have ended."""
        await self._note_suspects(part, dict.fromkeys(rows))

    async def excuse(self, part: OpenSlice, row: Number | None) -> None:
        """
        Note that whoever works on a slice ends in order: that is no death, and tells of no row.

        `row` is the one that was begun alone, or None; what was known of it before stays.
        """
        known = {} if row is None else {row: part.suspects.get(str(row))}
        await self._note_suspects(part, known, cleared=True)

    async def _note_suspects(
        self, part: OpenSlice, tries: Mapping[Number, int | None], *, cleared: bool = False
    ) -> None:
        """Note how often responses were begun alone; nothing of a slice that was opened anew."""
        noted = list[str | int | bytes]()
        for row, count in tries.items():
            noted += [SUSPECT + str(row).encode(), "" if count is None else count]
        await self._scripts["suspects"]([_records(part)], [part.epoch, int(cleared), *noted])

    async def close(self, part: OpenSlice) -> Closed:
        """
        Leave a slice; the one who leaves the last one of a batch is told that it is finished.

        When it is done, its records are put away, unless Redis has others than this worker knows.
        """
        await self._tell_logged(part)
        answer = await self._scripts["close"](
            [
                keys.batch(part.batch.id),
                keys.slice_records(part.batch.id, part.number),
                keys.unlogged(part.batch.id, part.number),
                keys.released(part.batch.id),
                keys.rows(part.batch.id),
            ],
            [
                part.number,
                part.size,
                self._now_ms(),
                keys.KEEP_S,
                keys.slices_prefix(part.batch.id),
                part.batch.wakes,
                *_archive(part),
                " ".join(str(row) for row in part.selections),
                part.epoch,
                0 if part.cleared else part.deaths,
                *part.logged,
            ],
        )
        part.logged = []
        return Closed(answer.decode())

    async def _tell_logged(self, part: OpenSlice) -> None:
        """Note what was logged, if it is more than the closing may take along."""
        while len(part.logged) > LOGGED_AT_ONCE:
            some = part.logged[:LOGGED_AT_ONCE]
            await self._redis.srem(keys.unlogged(part.batch.id, part.number), *some)
            part.logged = part.logged[LOGGED_AT_ONCE:]


@dataclass(slots=True)
class _Read:
    """
    What was read of a slice: its entries, how many others had ended, and the events of all.

    The events are those of each mailbox, and read only if selections are still looking for some.
    """

    entries: list[Entry] = field(default_factory=list)
    ended: int = 0
    known: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


async def _read_in_time(
    body: bytes, records: dict[bytes, bytes], unlogged: AbstractSet[bytes], *, finding: bool
) -> _Read:
    """Read a slice; a big mailbox takes a while, and the heartbeat must not wait for it."""
    if len(body) + sum(map(len, records.values())) <= READ_IN_PASSING:
        return _read(body, records, unlogged, finding=finding)
    return await asyncio.to_thread(_read, body, records, unlogged, finding=finding)


def _read(
    body: bytes, records: dict[bytes, bytes], unlogged: AbstractSet[bytes], *, finding: bool
) -> _Read:
    """Read a slice; of one too big to be put away only what matters is kept."""
    read, all_matter = _Read(), len(records) <= MOST
    for entry in read_entries(body, records):
        if finding and entry.event_id is not None:
            read.known[entry.given.mailbox].add(entry.event_id)
        if all_matter or _matters(unlogged, entry):
            read.entries.append(entry)
        else:
            read.ended += 1
    return read


def _matters(unlogged: AbstractSet[bytes], entry: Entry) -> bool:
    """Whether anything is still to be done for a response."""
    return entry.record.ending is None or entry.finds or str(entry.row).encode() in unlogged


def _archive(part: OpenSlice) -> tuple[bytes, str, bytes]:
    """Return the archive of a slice, the digest of the records in it, and their rows."""
    if part.batch.version < PUT_AWAY or part.size > MOST or not part.settled:
        return b"", "", b""
    records = {str(row).encode(): entry.stored for row, entry in part.lines.items()}
    return pack(records), digest(records.values()), b" ".join(records)


def _records(part: OpenSlice) -> str:
    return keys.slice_records(part.batch.id, part.number)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
