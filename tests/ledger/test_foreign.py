"""Nonsense in Redis, of every kind in every key, is left alone; what stands beside it goes on."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from jobs.ledger import keys
from jobs.ledger.batches.store import Commit
from jobs.ledger.foreign import Unreadable
from jobs.ledger.slices.writes import Kind, WriteStatus
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import Harness, harnessed
from tests.support.program import Program
from tests.support.small_ledger import NOW, events, ledger_at, order, slices
from worker.process.main import nothing_left
from worker.throttle.gate import Permission

MAILBOX = "user0@contoso.com"
VALUES: dict[str, bytes] = {
    "no UTF-8": b"\xff\xfe\x00",
    "nothing": b"",
    "huge": b"9" * 30,
    "too long": b"9" * 100_000,
    "wrongly shaped": b"nonsense",
}
Plant = Callable[[Any, str, bytes], object]


def string(redis: Any, key: str, value: bytes) -> None:
    """Put a value in the place of a string."""
    redis.set(key, value)


def a_hash(redis: Any, key: str, value: bytes) -> None:
    """Put a value into all fields of a hash but one, and into some that it did not have."""
    known = [field for field in redis.hkeys(key) if field != b"fingerprint"]
    redis.hset(key, mapping=dict.fromkeys([*known, MAILBOX, b"\xff", "1", "0"], value))


def a_set(redis: Any, key: str, value: bytes) -> None:
    """Add a value to a set."""
    redis.sadd(key, value)


def sorted_set(redis: Any, key: str, value: bytes) -> None:
    """Add a value to a sorted set, and give those in it a score that none of ours has."""
    if key in {keys.THROTTLED, keys.throttled("a")}:
        redis.zadd(key, {MAILBOX: float("inf")})
    redis.zadd(key, {value: 1})


KEYS: dict[str, Plant] = {
    keys.BATCHES: sorted_set,
    keys.ACTIVE: a_set,
    keys.batch("a"): a_hash,
    keys.rows("a"): a_hash,
    keys.released("a"): a_set,
    keys.throttled("a"): sorted_set,
    keys.slice_records("a", 0): a_hash,
    keys.unlogged("a", 0): a_set,
    keys.announcing("a"): string,
    keys.staging("x"): a_hash,
    keys.worker("x"): string,
    keys.mailbox(MAILBOX): string,
    keys.bucket(MAILBOX): string,
    keys.WRITTEN: string,
    keys.HOME: string,
    keys.BEATEN: string,
    keys.CREW: a_hash,
    keys.INQUIRY: a_hash,
    keys.ASKED: a_set,
    keys.ANY_UNENDED: string,
    keys.unended(MAILBOX): sorted_set,
    keys.LIFTED: string,
    keys.LEDGER: a_hash,
    keys.THROTTLED: sorted_set,
    keys.AWAY: a_hash,
    keys.GRAPH: string,
    keys.PROBE: string,
    keys.QUEUE: sorted_set,
    "arq:job:a:0": string,
    "arq:in-progress:a:0": string,
    "arq:retry:a:0": string,
}
STOPS_ALL = {keys.QUEUE, keys.ACTIVE, keys.BATCHES}
"""Of another type these stop a part of the program until somebody deletes them."""

TOLD = {
    "record.unreadable",
    "batch.unreadable",
    "slice.unreadable",
    "redis.unreadable",
    "job.unreadable",
    "job.dropped",
}
CALM = {*TOLD, "batch.submitted", "batch.finished", "response.settled", "slice.rescued"}
CALM |= {"batch.gone", "worker.lease_lost", "graph.resumed"}


async def rounds(harness: Harness, count: int) -> None:
    """Do so many times what a worker does again and again."""
    for _ in range(count):
        try:
            await harness.context.ledger.worker_lease.beat()
            await harness.context.calls.gate.refresh()
            await harness.rescue.doubt()
            await harness.rescue.look_round()
            await harness.rescue.strike_off()
        except Unreadable as error:  # as the process does
            harness.context.signals.unreadable.key(str(error))
        await harness.poll()


OFTEN = ["no UTF-8", "another type"]
SELDOM = [name for name in VALUES if name not in OFTEN]


@pytest.mark.parametrize("names", [OFTEN, pytest.param(SELDOM, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("key", KEYS)
@awaited
async def test_nonsense_is_left_alone(
    redis_url: str, redis: Any, key: str, names: list[str]
) -> None:
    """Whatever stands there, the batch beside it is worked to its end, and is listed."""
    for name in names:
        value = VALUES.get(name)
        redis.flushdb()
        async with harnessed(redis_url) as harness:
            await harness.submit(2, batch="a")
            await harness.submit(2, batch="b")
            if value is not None:
                KEYS[key](redis, key, value)
            else:
                redis.delete(key)
                redis.rpush(key, "x")
            await rounds(harness, 4)
            if value is None and key in STOPS_ALL:
                redis.delete(key)
                redis.sadd(keys.ACTIVE, "b")
                redis.zadd(keys.BATCHES, {"b": 1})
                await rounds(harness, 4)
            batch = await harness.ledger.batches.get("b")
            listed = [each.id for each in await harness.ledger.batches.all()]
            await nothing_left(harness.context)
            await harness.ledger.leases.living()
            told = Counter(events(harness.heard))

        assert (key, name, 0, True) == (key, name, batch.open, batch.finished_at_ms > 0)
        assert "b" in listed
        assert (key, name, set()) == (key, name, told.keys() - CALM)
        assert not [each for each in TOLD if told[each] > 1], (key, name, told)


MARKED = [keys.bucket(MAILBOX), keys.WRITTEN, keys.HOME, keys.THROTTLED, keys.AWAY]


@pytest.mark.parametrize("key", MARKED)
@awaited
async def test_a_call_beside_nonsense_is_granted(redis_url: str, redis: Any, key: str) -> None:
    """Nonsense in what a call depends on is cleared away, or judged, and the call is granted."""
    for name, value in {**VALUES, "another type": None}.items():
        if key == keys.HOME and value is None:
            continue  # `home.lua` has to say
        redis.flushdb()
        async with harnessed(redis_url) as harness:
            await harness.ledger.submit(1, batch="b", not_before_ms=now_ms(), allowed_ms=10**9)
            ledger = harness.context.ledger
            part = await ledger.slices.open(ledger.worker_lease.name, "b", 0)
            assert part is not None
            if value is not None:
                KEYS[key](redis, key, value)
            else:
                redis.rpush(key, "x")
            (entry,) = part.entries
            taken = await ledger.leases.take(part.worker, part.holder, [MAILBOX], now_ms())
            answer = await ledger.slices.write(part, Kind.MARK, entry, entry.record.marked("g"))
            if answer.status is WriteStatus.WENT_BACK:
                harness.context.signals.went_back.set()
                await harness.rescue.doubt()
                answer = await ledger.slices.write(part, Kind.MARK, entry, entry.record.marked("g"))
            until_ms = now_ms() + 1000
            paused_ms = await ledger.leases.pause_mailbox("b", MAILBOX, until_ms, now_ms(), away=1)

        assert (key, name, {MAILBOX: 0}) == (key, name, taken.held)
        assert (key, name, WriteStatus.OK) == (key, name, answer.status)
        assert (key, name, until_ms) == (key, name, paused_ms)


@awaited
async def test_a_pause_that_is_nonsense(redis_url: str, redis: Any) -> None:
    """A pause of everything that cannot be read is tried out by one call, and ends with it."""
    async with harnessed(redis_url) as harness:
        for value in VALUES.values():
            redis.set(keys.GRAPH, value)
            redis.set(keys.PROBE, value)  # for ever: no worker has claimed it
            gate = harness.context.calls.gate
            await gate.refresh()
            name = harness.worker
            asked = [await gate.ask(name) for _ in range(2)]
            await gate.replied(asked[-1], MAILBOX, None)

            assert [Permission.CLOSED, Permission.PROBE] == asked
            assert None is redis.get(keys.GRAPH)


@awaited
async def test_a_batch_that_cannot_be_listed_is_not_half_made(redis_url: str, redis: Any) -> None:
    """A batch that cannot be listed does not come to exist by half."""
    async with ledger_at(redis_url) as ledger:
        for key in (keys.BATCHES, keys.ACTIVE):
            redis.rpush(key, "x")
            with pytest.raises(Unreadable, match="not as it was stored"):
                await ledger.batches.commit(order(1), slices(1), NOW)
            assert (None, 0) == (await ledger.batches.find("b"), redis.exists(keys.rows("b")))
            redis.delete(key)
        assert Commit.CREATED == await ledger.batches.commit(order(1), slices(1), NOW)


def test_commands_list_what_they_can_beside_nonsense(program: Program, redis: Any) -> None:
    """`status` lists what it can, and names the rest once; what is asked for itself is named."""
    row = {"user": "ada@contoso.com", "event": "e", "action": "decline"}
    for name in ("good", "facts", "type"):
        program.submit([row], "--batch", name)
    redis.hset(keys.batch("facts"), "total", "x" * 100)
    redis.delete(keys.batch("type"))
    redis.rpush(keys.batch("type"), "x")
    redis.zadd(keys.BATCHES, {b"\xff\x1b[2J": 1})
    listed = program.here("status", "--json")
    table = program.here("status")
    asked = program.here("results", "type")

    assert (0, ["good"]) == (listed.code, [each["batch"] for each in listed.json])
    assert "good" in table.out
    for told in (listed.err, table.err):
        assert ["facts", "type"] == sorted(
            line.split()[3] for line in told.splitlines() if "cannot be read" in line
        )
        assert r"'\xff\x1b[2J' in bulkrsvp:batches was not written by bulkrsvp" in told
        assert "see who else writes to that Redis" in told
    assert (4, True) == (asked.code, "WRONGTYPE" in asked.err)
    assert "Traceback" not in asked.err


@pytest.mark.chaos
def test_a_worker_beside_nonsense_does_what_is_good(program: Program, redis: Any) -> None:
    """A real worker lives on beside all of it at once, and works on what is good."""
    row = {"user": "ada@contoso.com", "event": "e", "action": "decline"}
    program.submit([row], "--batch", "a")
    for value in VALUES.values():
        for key, plant in KEYS.items():
            plant(redis, key, value)
    redis.delete(keys.HOME)
    with program.worker() as worker:
        program.submit([row], "--batch", "good")
        status = program.wait_until_finished("good")

    assert {"sent": 1} == status["outcomes"]
    assert [] == worker.events("worker.broken")
    assert {1} == set(Counter(line["error"] for line in worker.events("redis.unreadable")).values())
