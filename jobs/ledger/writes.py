"""
Writing marks and records: one at a time for whoever writes, many at a time for Redis.

Writes are coalesced: whatever gathers, from all slices of this process, while one flush is under
way goes out as the next. A write is awaited; when it returns, Redis has it.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.entries import Entry
from jobs.ledger.open_slice import OpenSlice, Told
from jobs.ledger.script import Argument, Script
from jobs.record import Record

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


_ANSWERS: Final = {word.encode(): Answer(word) for word in Word}
_UNKEPT: Final = frozenset({Word.WENT_BACK.encode(), Word.GONE.encode()})


class Kind(StrEnum):
    """What a write is; the contract is in `lua/write.lua`."""

    MARK = "mark"
    LOOK = "look"
    NOTE = "note"
    SETTLE = "settle"
    UNFOUND = "unfound"


@dataclass(slots=True)
class _Write:
    kind: Kind
    entry: Entry
    record: bytes
    outcome: str
    answer: asyncio.Future[Answer]


@dataclass(slots=True)
class Written:
    """
    The latest moment that a worker has written at, in ms since the epoch.

    The ledger must not know of an earlier one only. With 0 it is taken as it is: after it went
    back, and what it holds was put in doubt.
    """

    ms: int = 0


class Writes:
    """Writes of one worker, to slices that it has open; `written` is that of all its writes."""

    def __init__(self, redis: Redis, now_ms: Callable[[], int], written: Written) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._now_ms = now_ms
        self._script = Script(redis, "write")
        self._gathered: dict[OpenSlice, list[_Write]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._written = written

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
        answers = await self._execute(commands)
        for part, answer in zip(gathered, answers, strict=True):
            if not isinstance(answer, list):
                part.put_back(told[part])
        for writes, answer in zip(gathered.values(), answers, strict=True):
            _answer(writes, answer)
        if all(_took_note(answer) for answer in answers):
            self._written.ms = max(self._written.ms, now_ms)

    async def _execute(self, commands: list[tuple[list[str], list[Argument]]]) -> list[object]:
        running = (self._script(names, arguments) for names, arguments in commands)
        answers: list[object] = await asyncio.gather(*running, return_exceptions=True)
        return answers

    def _command(
        self, part: OpenSlice, told: Told, writes: Iterable[_Write], now_ms: int
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
        past = (self._written.ms, part.batch.doubted_ms)
        head: list[Argument] = [part.epoch, now_ms, *rate, *counts, *past]
        arguments = [*head, len(told.logged), *told.logged]
        for write in writes:
            entry = write.entry
            allowance = keys.bucket(entry.response.mailbox)
            arguments += [write.kind.value, entry.row, entry.stored]
            arguments += [write.record, write.outcome, allowance]
        return names, arguments


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
    return _ANSWERS[word]


def _fail(gathered: dict[OpenSlice, list[_Write]], error: Exception) -> None:
    for writes in gathered.values():
        _fail_writes(writes, error)


def _fail_writes(writes: Iterable[_Write], error: Exception) -> None:
    for write in writes:
        if not write.answer.done():
            write.answer.set_exception(error)
