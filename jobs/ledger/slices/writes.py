"""
Writing marks and records: one at a time for whoever writes, many at a time for Redis.

Writes are coalesced: whatever gathers, from all slices of this process, while one flush is under
way goes out as the next. A write is awaited; when it returns, Redis has it.

`jobs/ledger/coalescing.py` coalesces too, but has nothing in common with this beyond that rhythm.
There, commands keep their order, all of them go, and they wait a moment for others. Here, a flush
takes a share of each slice, so that a big one holds up no other; writes of one batch become one
call of a script; and none waits, because a call to Graph waits for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.forms.entries import Entry
from jobs.ledger.script import Argument, Script
from jobs.ledger.slices.open_slice import OpenSlice, Told
from jobs.record import Record

CALLS_PER_S: Final = 10
CALLS_BURST: Final = 4_000
"""A mailbox's allowance: burst + 600 s x rate is the 10,000 that Graph allows in 10 minutes."""

AT_ONCE: Final = 1_000
"""Writes in one flush, some 10 ms of Redis; more gather only when a big slice is put in doubt."""


MARK_GOOD_S: Final = 1.0
"""How long after a mark was asked for its call may begin; pausing a batch waits that long."""


class WriteStatus(StrEnum):
    """What the ledger answers to a write."""

    OK = "ok"
    CONFLICT = "conflict"
    STALE = "stale"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    WENT_BACK = "went_back"
    GONE = "gone"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Answer:
    """The ledger's answer; with LATER, how long the mailbox's allowance wants it to wait."""

    status: WriteStatus
    wait_ms: int = 0


_ANSWERS: Final = {status.encode(): Answer(status) for status in WriteStatus}
_UNKEPT: Final = frozenset({WriteStatus.WENT_BACK.encode(), WriteStatus.GONE.encode()})


class Kind(StrEnum):
    """What a write is; the contract is in `lua/write.lua`."""

    MARK = "mark"
    LOOK = "look"
    PAGE = "page"
    NOTE = "note"
    SETTLE = "settle"
    UNFOUND = "unfound"


_READING: Final = frozenset({Kind.LOOK, Kind.PAGE})
"""Kinds that only ask for permission, and set no record."""


@dataclass(slots=True)
class _Write:
    kind: Kind
    entry: Entry
    record: bytes
    outcome: str
    answer: asyncio.Future[Answer]

    def arguments(self) -> list[Argument]:
        """Return the six that `lua/write.lua` wants of it."""
        entry = self.entry
        allowance = keys.bucket(entry.given.mailbox)
        return [self.kind, entry.row, entry.stored, self.record, self.outcome, allowance]


Gathered = dict[OpenSlice, list[_Write]]


@dataclass(slots=True)
class Written:
    """
    The latest moment that a worker has written at, in ms since the epoch.

    A ledger that knows only an earlier one has forgotten something. At 0 it is taken as it is: it
    went back, and what it holds was put in doubt.
    """

    ms: int = 0


class Writes:
    """Writes of one worker, to slices that it has open; `written` is that of all its writes."""

    def __init__(self, redis: Redis, now_ms: Callable[[], int], written: Written) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._now_ms = now_ms
        self._script = Script(redis, "write")
        self._gathered: Gathered = {}
        self._flushing: asyncio.Task[None] | None = None
        self._written = written

    async def write(self, part: OpenSlice, kind: Kind, entry: Entry, record: Record) -> Answer:
        """
        Write a record together with what else gathers; return once Redis has it or has refused it.

        Raises redis-py's errors and `OSError`: then nobody knows whether it was written.
        """
        write = _Write(
            kind,
            entry,
            part.write(record),
            record.ending.outcome if record.ending else "",
            asyncio.get_running_loop().create_future(),
        )
        self._gathered.setdefault(part, []).append(write)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        answer = await write.answer
        if answer.status is WriteStatus.OK and kind not in _READING:
            entry.record, entry.stored = record, write.record
        return answer

    async def _flush(self) -> None:
        while self._gathered:
            gathered = self._take()
            try:
                await self._flush_once(gathered)
            except Exception as error:  # noqa: BLE001  # passed to whoever waits for an answer
                _fail(gathered, error)

    def _take(self) -> Gathered:
        """Take what has gathered, up to what Redis may be kept busy with; the rest goes next."""
        taken: Gathered = {}
        room = AT_ONCE
        while self._gathered and room:
            part = next(iter(self._gathered))
            writes = self._gathered.pop(part)
            taken[part], left = writes[:room], writes[room:]
            room -= len(taken[part])
            if left:
                self._gathered[part] = left  # behind the others
        return taken

    async def _flush_once(self, gathered: Gathered) -> None:
        together = defaultdict[tuple[str, str, int], Gathered](dict)
        for part, writes in gathered.items():  # what is judged alike goes in one command
            together[part.batch.id, part.worker, part.batch.doubted_ms][part] = writes
        now_ms = self._now_ms()
        flushes = (self._flush_batch(each, now_ms) for each in together.values())
        if all(await asyncio.gather(*flushes)):
            self._written.ms = max(self._written.ms, now_ms)

    async def _flush_batch(self, gathered: Gathered, now_ms: int) -> bool:
        """Write what belongs to one batch; return whether the ledger has noted the moment."""
        told = {part: part.take_told() for part in gathered}
        try:
            answers: list[list[Any]] = await self._script(*self._command(gathered, told, now_ms))
        except Exception as error:  # noqa: BLE001  # passed to whoever waits for an answer
            for part in gathered:
                part.put_back(told[part])
            _fail(gathered, error)
            return False
        for writes, answer in zip(gathered.values(), answers, strict=True):
            _answer(writes, answer)
        return not any(_UNKEPT.intersection(answer) for answer in answers)

    def _command(
        self, gathered: Gathered, told: dict[OpenSlice, Told], now_ms: int
    ) -> tuple[list[str], list[Argument]]:
        first = next(iter(gathered))
        batch = first.batch
        names = [keys.batch(batch.id), keys.worker(first.worker), keys.WRITTEN, keys.HOME]
        arguments: list[Argument] = [now_ms, 1000 // CALLS_PER_S, CALLS_BURST]
        arguments += [sum(each.replies for each in told.values())]
        arguments += [sum(each.throttled for each in told.values())]
        arguments += [self._written.ms, batch.doubted_ms]
        for part, writes in gathered.items():
            names += [keys.slice_records(batch.id, part.number)]
            names += [keys.unlogged(batch.id, part.number)]
            logged = told[part].logged
            arguments += [part.epoch, len(logged), *logged, len(writes)]
            for write in writes:
                arguments += write.arguments()
        return names, arguments


def _answer(writes: Iterable[_Write], answer: list[Any]) -> None:
    for write, told in zip(writes, answer, strict=True):
        if not write.answer.done():
            write.answer.set_result(_read_answer(told))


def _read_answer(told: bytes | int) -> Answer:
    if isinstance(told, int):
        return Answer(WriteStatus.LATER, wait_ms=told)
    return _ANSWERS[told]


def _fail(gathered: Gathered, error: Exception) -> None:
    for write in chain.from_iterable(gathered.values()):
        if not write.answer.done():
            write.answer.set_exception(error)
