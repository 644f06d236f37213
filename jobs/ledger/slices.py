"""
The worker's side of the ledger: open a slice, write its marks and records, close it.

Writes are coalesced: whatever gathers, from all slices of this process, while one flush is under
way goes out as the next. A write is awaited; when it returns, Redis has it.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from jobs.choosing import Found, pack_found
from jobs.ledger import keys
from jobs.ledger.batches import Batch, read_batch
from jobs.ledger.entries import Entry, Number, found_entries, read_entries
from jobs.ledger.script import Argument, Script
from jobs.record import Record
from jobs.selection import Selection

CALLS_PER_S: Final = 10
CALLS_BURST: Final = 4_000
"""A mailbox's allowance: burst + 600 s x rate is what Graph allows in any 10 minutes, 10,000."""


class Word(StrEnum):
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

    word: Word
    wait_ms: int = 0


_UNKEPT: Final = frozenset({Word.WENT_BACK.encode(), Word.GONE.encode()})


class Kind(StrEnum):
    """What a write is; the contract is in `lua/write.lua`."""

    MARK = "mark"
    LOOK = "look"
    NOTE = "note"
    SETTLE = "settle"
    UNFOUND = "unfound"


class Closed(StrEnum):
    """What a slice was when it was left."""

    OPEN = "open"
    WOKEN = "woken"
    DONE = "done"
    FINISHED = "finished"
    GONE = "gone"


@dataclass(slots=True, eq=False)
class OpenSlice:
    """
    A slice under way: what was read when it was opened, and what is to be told at the next write.

    `worker` is the name under which it was opened: if that lease is lost, no mark is granted any
    more, whatever the process calls itself by then. `deaths` counts those who worked on it and
    never came to leave it. `unlogged` are responses settled by a worker
    that may have died before it logged them. `known` are the events that have a response, if
    selections are still looking for some.
    """

    batch: Batch
    number: int
    worker: str
    epoch: int
    deaths: int
    size: int
    entries: list[Entry]
    unlogged: list[Entry]
    logged: list[Number] = field(default_factory=list)
    replies: int = 0
    throttled: int = 0
    known: set[tuple[str, str | None]] = field(default_factory=set)

    def is_new(self, mailbox: str, event: str) -> bool:
        """Say whether an event is answered by no response of this slice; from now on it is."""
        if (mailbox, event) in self.known:
            return False
        self.known.add((mailbox, event))
        return True

    def take_told(self) -> "_Told":
        """Take what is to be told at this write."""
        told = _Told(self.logged, self.replies, self.throttled)
        self.logged, self.replies, self.throttled = [], 0, 0
        return told

    def put_back(self, told: "_Told") -> None:
        """Have it told again: perhaps the ledger has not heard it."""
        self.logged = told.logged + self.logged
        self.replies += told.replies
        self.throttled += told.throttled

    @property
    def holder(self) -> str:
        """Name who holds a mailbox, for its lease."""
        return f"{self.worker}|{self.batch.id}|{self.number}"


@dataclass(frozen=True, slots=True)
class _Told:
    """What goes along with a flush, to be told again if the flush fails."""

    logged: list[Number]
    replies: int
    throttled: int


@dataclass(frozen=True, slots=True)
class _Write:
    kind: Kind
    entry: Entry
    record: bytes
    outcome: str
    answer: asyncio.Future[Answer]


class Slices:
    """The slices that one worker has open."""

    def __init__(self, redis: Redis, now_ms: Callable[[], int]) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._now_ms = now_ms
        self._scripts = {name: Script(redis, name) for name in ("open", "write", "close", "found")}
        self._gathered: dict[OpenSlice, list[_Write]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._written_ms = 0

    async def open(self, worker: str, batch_id: str, number: int) -> OpenSlice | None:
        """
        Start a slice under a new epoch.

        Returns None if the batch is gone. Raises `ValueError` if what Redis holds is not ours.
        """
        opened = await self._scripts["open"](
            [
                keys.batch(batch_id),
                keys.rows(batch_id),
                keys.slice_records(batch_id, number),
                keys.unlogged(batch_id, number),
            ],
            [number],
        )
        if opened is None:
            return None
        epoch, body, facts, flat, unlogged = opened
        records = _pairs(flat)
        # A big mailbox takes a while to check; the heartbeat must not wait for it.
        entries = await asyncio.to_thread(lambda: list(read_entries(body, records)))
        batch = read_batch(batch_id, _pairs(facts))
        waiting = {row.decode() for row in unlogged}
        return OpenSlice(
            batch=batch,
            number=number,
            worker=worker,
            epoch=epoch,
            deaths=int(records.get(b"begun", 1)) - 1,
            size=len(entries),
            entries=[entry for entry in entries if entry.record.ending is None],
            unlogged=[entry for entry in entries if str(entry.row) in waiting],
            known={(e.response.mailbox, e.event_id) for e in entries} if batch.finding else set(),
        )

    async def write(self, part: OpenSlice, kind: Kind, entry: Entry, record: Record) -> Answer:
        """
        Write a record with whatever else gathers; return when Redis has it, or has refused it.

        Raises redis-py's errors and `OSError`: then nobody knows whether it was written.
        """
        write = _Write(
            kind,
            entry,
            record.to_json(),
            record.ending.outcome.value if record.ending else "",
            asyncio.get_running_loop().create_future(),
        )
        self._gathered.setdefault(part, []).append(write)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        answer = await write.answer
        if answer.word is Word.OK and kind is not Kind.LOOK:
            entry.record, entry.stored = record, write.record
        return answer

    async def _flush(self) -> None:
        while self._gathered:
            gathered, self._gathered = self._gathered, {}
            try:
                await self._flush_once(gathered)
            except Exception as error:  # noqa: BLE001  # whoever waits for an answer is told
                _fail(gathered, error)

    async def _flush_once(self, gathered: dict[OpenSlice, list[_Write]]) -> None:
        told = {part: part.take_told() for part in gathered}
        now_ms = self._now_ms()
        commands = [self._command(p, told[p], writes, now_ms) for p, writes in gathered.items()]
        answers: list[object] = []
        try:
            answers = await self._execute(commands)
        finally:
            answers += [None] * (len(commands) - len(answers))
            for part, answer in zip(gathered, answers, strict=True):
                if not isinstance(answer, list):
                    part.put_back(told[part])
        for writes, answer in zip(gathered.values(), answers, strict=True):
            _answer(writes, answer)
        if all(_took_note(answer) for answer in answers):
            self._written_ms = max(self._written_ms, now_ms)

    @property
    def written_ms(self) -> int:
        """The latest moment that this worker has written at."""
        return self._written_ms

    def forget_written(self) -> None:
        """Take the ledger as it is, after it went back and what it holds was put in doubt."""
        self._written_ms = 0

    async def keep_found(
        self, part: OpenSlice, entry: Entry, selection: Selection, found: list[Found]
    ) -> list[Entry] | None:
        """
        Put what a selection has found into its place; return its entries.

        Returns None if another worker was faster, or the batch is gone. Raises redis-py's errors
        and `OSError`; it may then be said again.
        """
        answer = await self._scripts["found"](
            [keys.batch(part.batch.id), keys.slice_records(part.batch.id, part.number)],
            [entry.row, entry.stored, pack_found(found), len(found)],
        )
        if Word(answer.decode()) is not Word.OK:
            return None
        part.size += len(found) - 1
        return list(found_entries(entry.row, selection, found, {}))

    async def count_try(self, part: OpenSlice, entry: Entry) -> int:
        """Note that a response is tried by itself; return how often it was, this time included."""
        records = keys.slice_records(part.batch.id, part.number)
        count: int = await self._redis.hincrby(records, f"try:{entry.row}", 1)
        return count

    async def _execute(self, commands: list[tuple[list[str], list[Argument]]]) -> list[object]:
        script = self._scripts["write"]
        async with self._redis.pipeline(transaction=False) as pipe:
            for names, arguments in commands:
                pipe.evalsha(script.digest, len(names), *names, *arguments)
            answers: list[object] = await pipe.execute(raise_on_error=False)
        for index, (names, arguments) in enumerate(commands):
            if isinstance(answers[index], NoScriptError):
                answers[index] = await script(names, arguments)
        return answers

    def _command(
        self, part: OpenSlice, told: _Told, writes: Iterable[_Write], now_ms: int
    ) -> tuple[list[str], list[Argument]]:
        names = [
            keys.batch(part.batch.id),
            keys.slice_records(part.batch.id, part.number),
            keys.unlogged(part.batch.id, part.number),
            keys.worker(part.worker),
            keys.WRITTEN,
            keys.HOME,
        ]
        rate, counts = (CALLS_PER_S / 1000, CALLS_BURST), (told.replies, told.throttled)
        past = (self._written_ms, part.batch.doubted_ms)
        head: list[Argument] = [part.epoch, now_ms, *rate, *counts, *past]
        arguments = [*head, len(told.logged), *told.logged]
        for write in writes:
            entry = write.entry
            allowance = keys.bucket(entry.response.mailbox)
            arguments += [write.kind.value, entry.row, entry.stored]
            arguments += [write.record, write.outcome, allowance]
        return names, arguments

    async def close(self, part: OpenSlice) -> Closed:
        """Leave a slice; the one who leaves the last one of a batch is told that it is finished."""
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
                *part.logged,
            ],
        )
        part.logged = []
        return Closed(answer.decode())


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _took_note(answer: object) -> bool:
    """Whether the ledger has kept the moment of a write."""
    return isinstance(answer, list) and not _UNKEPT.intersection(answer)


def _answer(writes: Iterable[_Write], answer: object) -> None:
    if isinstance(answer, Exception):
        _fail_writes(writes, answer)
        return
    if not isinstance(answer, list):
        raise TypeError(f"the ledger answered {answer!r}")
    for write, word in zip(writes, answer, strict=True):
        if not write.answer.done():
            write.answer.set_result(_read_answer(word))


def _read_answer(word: bytes | int) -> Answer:
    if isinstance(word, int):
        return Answer(Word.LATER, word)
    return Answer(Word(word.decode()))


def _fail(gathered: dict[OpenSlice, list[_Write]], error: Exception) -> None:
    for writes in gathered.values():
        _fail_writes(writes, error)


def _fail_writes(writes: Iterable[_Write], error: Exception) -> None:
    for write in writes:
        if not write.answer.done():
            write.answer.set_exception(error)
