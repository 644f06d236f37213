"""A slice whose records were put away, beside one that is kept as it is, alike to all."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from jobs.ledger import keys
from jobs.ledger.fields import SliceField
from jobs.ledger.forms.batch import SELECTING, Batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.writes import Kind
from jobs.outcome import Ending
from jobs.record import Record
from tests.support.awaited import awaited
from tests.support.small_ledger import FAILED, NOW, SENT, Ledger, ledger_at

SEED = 20_261_121
ROUNDS = 20


class Side:
    """One batch of a slice, and two workers at it."""

    def __init__(self, ledger: Ledger, batch: Batch) -> None:
        self.ledger = ledger
        self.batch = batch
        self.parts: dict[str, OpenSlice] = {}
        self.said: list[tuple[OpenSlice, Entry, Record]] = []
        self.read: list[Entry] = []

    async def open(self, worker: str) -> object:
        """Open the slice."""
        part = self.parts[worker] = await self.ledger.open(worker=worker, batch=self.batch.id)
        return [part.epoch, part.deaths, part.size, part.entries, part.unlogged]

    async def mark(self, worker: str, place: int) -> object:
        """Ask for a mark of one that was open."""
        if (entry := self._entry(worker, place)) is not None:
            return await self.ledger.mark(self.parts[worker], entry)
        return None

    async def note(self, worker: str, place: int) -> object:
        """Note a call of unknown outcome."""
        if (entry := self._entry(worker, place)) is not None:
            record = entry.record.unknown(self.ledger.now_ms)
            return await self.ledger.slices.write(self.parts[worker], Kind.NOTE, entry, record)
        return None

    async def settle(self, worker: str, place: int, ending: Ending) -> object:
        """Settle one that was open, and keep in mind how it was said."""
        if (entry := self._entry(worker, place)) is not None:
            record = entry.record.settled(ending, self.ledger.now_ms)
            self.said.append((self.parts[worker], replace(entry), record))
            return await self.ledger.slices.write(self.parts[worker], Kind.SETTLE, entry, record)
        return None

    async def say_again(self, place: int) -> object:
        """Say an end again, as if its reply had been lost."""
        if self.said:
            part, entry, record = self.said[-1 - place % len(self.said)]
            return await self.ledger.slices.write(part, Kind.SETTLE, replace(entry), record)
        return None

    async def leave(self, worker: str) -> object:
        """Leave the slice."""
        part = self.parts.get(worker)
        return part and await self.ledger.slices.close(part)

    async def log_and_leave(self, worker: str) -> object:
        """Leave the slice, all ends that the worker knows logged."""
        if (part := self.parts.get(worker)) is not None:
            ended = [each for each in part.lines.values() if each.record.ending is not None]
            part.logged += [each.row for each in ended]
        return await self.leave(worker)

    async def look(self) -> object:
        """Read all, as `results` does."""
        self.read = await self._lines()
        return self.read

    async def retry(self) -> object:
        """Queue again what had failed when it was read."""
        failed = [each for each in self.read if each.record.ending == FAILED]
        return await self.ledger.retries.reopen(self.batch, 0, failed, NOW)

    async def seen(self) -> object:
        """Return all that anybody can see of it."""
        batch = await self.ledger.batches.get(self.batch.id)
        return replace(batch, id="", version=0, expiry_since_ms=0), await self._lines()

    async def _lines(self) -> list[Entry]:
        parts = self.ledger.batches.lines(self.batch)
        return [line async for part in parts for line in part]

    def _entry(self, worker: str, place: int) -> Entry | None:
        all_open = self.parts[worker].entries if worker in self.parts else []
        entries = [entry for entry in all_open if entry.record.ending is None]
        return entries[place % len(entries)] if entries else None


def steps(chance: random.Random) -> Iterator[tuple[str, list[Any]]]:
    """Draw what two workers and an administrator do; most of it comes to an end again and again."""
    for _ in range(60):
        worker, place = chance.choice("wv"), chance.randrange(6)
        drawn: list[tuple[str, list[Any]]] = [
            ("open", [worker]),
            ("mark", [worker, place]),
            ("note", [worker, place]),
            *[("settle", [worker, place, ending]) for ending in (SENT, FAILED)] * 2,
            ("say_again", [place]),
            ("leave", [worker]),
            *[("log_and_leave", [worker])] * 2,
            ("look", []),
            ("retry", []),
        ]
        yield chance.choice(drawn)


@awaited
async def test_it_behaves_as_if_it_were_not_put_away(redis_url: str, redis: Any) -> None:
    """Whatever workers and retries do in whatever order, it is answered and counted the same."""
    chance, put_away, plain = random.Random(SEED), 0, 0
    async with ledger_at(redis_url) as ledger:
        for number in range(ROUNDS):
            sides = [
                Side(ledger, await ledger.submit(2, batch=f"{form}-{number}"))
                for form in ("older", "newer")
            ]
            redis.hset(keys.batch(f"older-{number}"), "version", SELECTING)
            for name, arguments in steps(chance):
                ledger.now_ms += 1
                older, newer = [await getattr(side, name)(*arguments) for side in sides]
                assert (name, older) == (name, newer)
                older, newer = [await side.seen() for side in sides]
                assert older == newer
                put_away += redis.hexists(
                    keys.slice_records(f"newer-{number}", 0), SliceField.ARCHIVE
                )
                plain += redis.hexists(keys.slice_records(f"older-{number}", 0), SliceField.ARCHIVE)

    assert (True, 0) == (put_away > 5 * ROUNDS, plain)
