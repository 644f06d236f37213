"""How long the ledger's scripts keep Redis from everybody else, on the largest there is."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

import orjson
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Order
from jobs.ledger.forms.slice import Slice
from jobs.ledger.script import Script
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Kind, Written
from jobs.ledger.workers.leases import Leases
from jobs.operations.results import read_results
from jobs.operations.retry import Choice, queue_again
from jobs.outcome import Ending, Outcome, Reason
from jobs.redis.connection import connect
from jobs.times import now_ms
from tests.bench.apparatus import Apparatus
from tests.bench.figures import Figure

GOAL_MS: Final = 20.0
BATCH: Final = "b"
WORKER: Final = "w"
IN_FLIGHT: Final = 512
FAILED: Final = Ending(Outcome.FAILED, Reason.NOT_FOUND)
CHOICE: Final = Choice(frozenset({Outcome.FAILED.value}), frozenset())
FIRST: Final = 40
"""Characters by which a script is known that was sent whole: Redis logs no more than 128."""

SCRIPTS: Final = (
    *("announce", "close", "commit", "expiry", "found", "flag", "forget", "lease", "open"),
    *("pause", "release", "reopen", "sweep", "unlease", "write"),
)


def steps(apparatus: Apparatus) -> list[Figure]:
    """Let Redis say what took it longest, with one huge mailbox and with very many slices."""
    url = apparatus.environment["REDIS_URL"]
    rows, slices = apparatus.size(200_000, 10_000), apparatus.size(20_000, 1_000)
    asyncio.run(_measure(url, [rows]))
    figures = _figures(apparatus.redis, f"one mailbox of {rows:,} rows")
    asyncio.run(_measure(url, [1] * slices))
    return figures + _figures(apparatus.redis, f"{slices:,} slices")


async def _measure(url: str, sizes: list[int]) -> None:
    """Submit a batch, work it off, read it, retry it, work it off again, submit it anew."""
    async with _ledger(url) as (redis, batches, slices):
        for first in range(2):
            await batches.commit(_order(sum(sizes)), _slices(sizes), now_ms())
            await _work_off(batches, slices)
            await read_results(batches, BATCH)
            if first == 0:
                await queue_again(redis, batches, BATCH, CHOICE)
                await _work_off(batches, slices)
                await redis.delete(keys.batch(BATCH), keys.rows(BATCH))


@asynccontextmanager
async def _ledger(url: str) -> AsyncIterator[tuple[ArqRedis, Batches, Slices]]:
    redis = connect(url)
    try:
        await redis.flushall()
        await redis.config_set("slowlog-log-slower-than", 1_000)
        await redis.config_set("slowlog-max-len", 100_000)
        await redis.slowlog_reset()
        await Leases(redis).enlist(WORKER)
        await redis.persist(keys.worker(WORKER))
        yield redis, Batches(redis), Slices(redis, now_ms, Written())
    finally:
        await redis.aclose(close_connection_pool=True)


def _order(total: int) -> Order:
    return Order(
        batch=BATCH,
        fingerprint="f",
        total=total,
        duplicates=0,
        not_before_ms=0,
        allowed_ms=2 * now_ms(),
        check_first=False,
        plan=False,
        selections=0,
    )


def _slices(sizes: list[int]) -> Iterator[Slice]:
    first = 1
    for number, size in enumerate(sizes):
        rows = [[row, _row(number, row)] for row in range(first, first + size)]
        yield Slice(number, size, zlib.compress(orjson.dumps(rows), 1))
        first += size


def _row(number: int, row: int) -> dict[str, Any]:
    user = f"user{number}@contoso.com"
    return {"user": user, "event": f"AAMk{row:060}", "action": "decline", "sendResponse": True}


async def _work_off(batches: Batches, slices: Slices) -> None:
    while numbers := await batches.release(BATCH, 160):
        for number in numbers:
            part = await slices.open(WORKER, BATCH, number)
            assert part is not None
            await _settle(slices, part, part.entries[: len(part.entries) // 2])
            again = await slices.open(WORKER, BATCH, number)
            assert again is not None
            await _settle(slices, again, again.entries)
            if await slices.close(again) == "finished":
                await batches.announce(await batches.get(BATCH))
    for number in await batches.released(BATCH):
        part = await slices.open(WORKER, BATCH, number)
        assert part is not None
        await _settle(slices, part, part.entries)
        if await slices.close(part) == "finished":
            await batches.announce(await batches.get(BATCH))


async def _settle(slices: Slices, part: OpenSlice, entries: Iterable[Any]) -> None:
    guid = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
    left = iter(entries)
    while some := list(islice(left, IN_FLIGHT)):
        told = [
            entry.record.marked(guid).told(status=404, request_id=guid, code="ErrorItemNotFound")
            for entry in some
        ]
        await asyncio.gather(
            *(
                slices.write(part, Kind.SETTLE, entry, record.settled(FAILED, now_ms()))
                for entry, record in zip(some, told, strict=True)
            )
        )
        part.logged += [entry.row for entry in some]


def _figures(redis: Any, what: str) -> list[Figure]:
    slowest = _slowest(redis)
    return [
        Figure("steps", f"{name}, {what}", ms, "ms", GOAL_MS)
        for name, ms in sorted(slowest.items(), key=lambda each: -each[1])
    ]


def _slowest(redis: Any) -> dict[str, float]:
    """Return the longest time of each script and command that took 1 ms or more, in ms."""
    names = {Script(redis, name).source.encode()[:FIRST]: f"{name}.lua" for name in SCRIPTS}
    names |= {Script(redis, name).digest.encode(): f"{name}.lua" for name in SCRIPTS}
    slowest = dict[str, float]()
    for entry in redis.slowlog_get(100_000):
        command, text = entry["command"].split(b" ", 1)
        name = command.decode().lower()
        if name == "evalsha":
            name = names[text.split(b" ")[0]]
        elif name == "eval":
            name = names[text[:FIRST]]
        slowest[name] = max(slowest.get(name, 0.0), entry["duration"] / 1000)
    return slowest
