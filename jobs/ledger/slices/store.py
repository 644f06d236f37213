"""
The worker's side of the ledger: open a slice, write its marks and records, close it.

`jobs/ledger/slices/writes.py` gathers writes on their way to Redis.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis

from jobs.aside import aside
from jobs.ledger import keys
from jobs.ledger.fields import SliceField
from jobs.ledger.foreign import BatchUnreadable, Unreadable, told_apart
from jobs.ledger.forms.archive import MOST, digest, pack, unpack
from jobs.ledger.forms.batch import PUT_AWAY, ROWS_LACK, Batch, read_batch
from jobs.ledger.forms.entries import Entry, Number, found_entries
from jobs.ledger.forms.found import pack_found
from jobs.ledger.reading import BYTES_AT_ONCE, FIELDS_AT_ONCE, read_fields
from jobs.ledger.script import Script
from jobs.ledger.slices.open_slice import LOGGED_AT_ONCE, OpenSlice
from jobs.ledger.slices.opening import Opening, read_in_time
from jobs.ledger.slices.writes import Answer, Kind, Writes, WriteStatus, Written
from jobs.record import Record
from jobs.rows.choosing import Found
from jobs.rows.selection import Selection

SCRIPTS: Final = ("open", "close", "found", "suspects", "unreadable")


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

        Returns None if the batch is gone, and raises `Unreadable` if bulkrsvp did not write it.
        """
        opened = await self._start(batch_id, number)
        if opened is None:
            return None
        epoch, body, facts, flat, unlogged, starts, held = opened
        try:
            batch = _batch(batch_id, facts, held)
            waiting = set(unlogged)
            read = await self._read(batch, number, body, _pairs(flat), waiting)
        except BatchUnreadable:
            await self._note_unreadable(batch_id, number, "", epoch)
            raise
        except ValueError as error:
            known = number in range(batch.slices)
            await self._note_unreadable(batch_id, number, 1 if known else "", epoch)
            raise Unreadable(str(error)) from error
        if read is None:
            return None
        entries = read.entries
        unreadable = [entry for entry in entries if entry.error]
        if len(unreadable) != batch.unreadable.get(number, 0):
            await self._note_unreadable(batch_id, number, len(unreadable))
        return OpenSlice(
            batch=batch,
            number=number,
            worker=worker,
            epoch=epoch,
            starts=bool(starts),
            deaths=read.deaths,
            doubted_ms=max(batch.doubted_ms, read.doubted_ms),
            suspects=read.suspects,
            lines={entry.row: entry for entry in entries},
            ended=read.ended,
            entries=[entry for entry in entries if entry.is_open],
            unreadable=unreadable,
            unlogged=[entry for entry in entries if str(entry.row).encode() in waiting],
            known=read.known,
        )

    async def _start(self, batch_id: str, number: int) -> list[Any] | None:
        """Return what `lua/open.lua` returns; note an unreadable slice in its batch."""
        try:
            opened: list[Any] | None = await self._scripts["open"](
                [
                    keys.batch(batch_id),
                    keys.rows(batch_id),
                    keys.slice_records(batch_id, number),
                    keys.unlogged(batch_id, number),
                ],
                [number, self._now_ms(), FIELDS_AT_ONCE, BYTES_AT_ONCE],
            )
        except Unreadable:
            with suppress(Unreadable):  # then the batch is unreadable too
                await self._note_unreadable(batch_id, number, 1)
            raise
        return opened

    async def _read(
        self,
        batch: Batch,
        number: int,
        body: bytes | None,
        records: dict[bytes, bytes],
        unlogged: AbstractSet[bytes],
    ) -> Opening | None:
        """Read what was returned of a slice; None if it has gone since. Raises `ValueError`."""
        finding = bool(batch.finding)
        if records:
            if body is None:
                raise ValueError("its rows are not there")
            return await read_in_time(body, records, unlogged, finding=finding)
        # Read in steps, it may be caught between two writes of an earlier worker, but only once.
        for last in (False, True):
            body, records = await self._read_big(batch.id, number)
            if body is None:
                return None
            try:
                return await read_in_time(body, records, unlogged, finding=finding)
            except ValueError:
                if last:
                    raise
        return None

    async def _note_unreadable(
        self, batch_id: str, number: int, count: int | str, epoch: int | str = ""
    ) -> None:
        """
        Note how many responses of a slice are unreadable, "" to note nothing.

        A worker that opened it under `epoch` and gives it up here has not died over it.
        """
        names = [keys.batch(batch_id), keys.slice_records(batch_id, number)]
        await self._scripts["unreadable"](names, [number, count, epoch])

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
        if answer.status is not WriteStatus.CONFLICT or not await self._has_put_away(
            part, entry, record
        ):
            return answer
        return Answer(WriteStatus.OK)

    async def _has_put_away(self, part: OpenSlice, entry: Entry, record: Record) -> bool:
        """Whether a record was put away: writing its end again is not a conflict."""
        archive = await self._redis.hget(_records(part), SliceField.ARCHIVE)
        text = part.write(record)
        if archive is None or unpack(archive).get(str(entry.row).encode()) != text:
            return False
        entry.record, entry.stored = record, text
        return True

    async def keep_found(
        self, part: OpenSlice, entry: Entry, selection: Selection, found: list[Found]
    ) -> list[Entry] | None:
        """
        Put what a selection has found in the selection's place; return its entries.

        Returns None if another worker was faster, or the batch is gone. Raises redis-py's errors
        and `OSError`; it may then be called again.
        """
        packed = await aside(len(found), lambda: pack_found(found))
        answer = await self._scripts["found"](
            [keys.batch(part.batch.id), keys.slice_records(part.batch.id, part.number)],
            [entry.row, entry.stored, packed, len(found)],
        )
        if WriteStatus(answer.decode()) is not WriteStatus.OK:
            return None
        entries = await aside(
            len(found), lambda: list(found_entries(entry.row, selection, found, {}))
        )
        part.put_in_place(entry, entries)
        return entries

    async def suspect(self, part: OpenSlice, row: Number, tries: int) -> None:
        """Note that a response is begun: if its worker dies, the next one knows which it was."""
        await self._note_suspects(part, {row: tries})

    async def acquit(self, part: OpenSlice, *rows: Number | str) -> None:
        """Note that responses were survived, or have ended."""
        await self._note_suspects(part, dict.fromkeys(rows))

    async def excuse(self, part: OpenSlice, row: Number | None) -> None:
        """
        Note that the worker of a slice is ending normally: that is not a death, and no row's fault.

        `row` is the one that was begun alone, or None; what was noted of it earlier stays.
        """
        known = {} if row is None else {row: part.suspects.get(str(row))}
        await self._note_suspects(part, known, cleared=True)

    async def _note_suspects(
        self, part: OpenSlice, tries: Mapping[Number, int | None], *, cleared: bool = False
    ) -> None:
        """Note how often responses were begun alone, unless the slice has been opened again."""
        noted = list[str | int | bytes]()
        for row, count in tries.items():
            noted += [SliceField.SUSPECT + str(row).encode(), "" if count is None else count]
        await self._scripts["suspects"]([_records(part)], [part.epoch, int(cleared), *noted])

    async def close(self, part: OpenSlice) -> Closed:
        """
        Leave a slice; whoever leaves the last slice of a batch learns that it is finished.

        When it is done, its records are put away, unless those in Redis differ from this worker's.
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
        """Note what was logged, as far as it is more than closing may take along."""
        while len(part.logged) > LOGGED_AT_ONCE:
            some = part.logged[:LOGGED_AT_ONCE]
            await self._redis.srem(keys.unlogged(part.batch.id, part.number), *some)
            part.logged = part.logged[LOGGED_AT_ONCE:]


def _batch(batch_id: str, facts: list[bytes], held: int) -> Batch:
    """Read a batch whose rows hold `held` slices. Raises `BatchUnreadable`."""
    try:
        batch = read_batch(batch_id, _pairs(facts))
    except ValueError as error:
        raise BatchUnreadable(str(error)) from error
    if held < batch.slices:
        raise BatchUnreadable(ROWS_LACK)
    return batch


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
