"""Numbers in Redis that are none of ours: each costs its own batch, is named once, stops nobody."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.ledger import keys
from jobs.ledger.forms.batch import Batch
from jobs.ledger.queue import job_id
from jobs.storable import FIRST_MS, LAST_MS
from tests.ledger.test_foreign import rounds
from tests.ledger.test_unreadable import open_again
from tests.support.awaited import awaited
from tests.support.harness import Harness, harnessed
from tests.support.program import Program
from tests.support.rarely import first_always
from tests.support.small_ledger import NOW, events

ROW = {"user": "ada@contoso.com", "event": "e", "action": "decline"}
BEYOND = [300_000_000_000_000, -300_000_000_000_000]
"""Whole numbers that Redis, Lua and JSON know, and moments that no calendar does."""

MOMENTS = [
    "submitted_at_ms",
    "not_before_ms",
    "deadline_ms",
    "started_at_ms",
    "finished_at_ms",
    "doubted_ms",
]
COUNTS = [
    "version",
    "total",
    "duplicates",
    "slices",
    "cursor",
    "open",
    "allowed_ms",
    "check_first",
    "plan",
    "finding",
    "paused",
    "cancelled",
    "announced",
    "expiry",
    "wakes",
    "calls",
    "waits",
    "outcome:sent",
    "unreadable:0",
]
OF_SLICES = ["epoch", "begun", "done", "doubted_ms", "suspect:1"]
OF_RECORDS = [1, 2, 3, 7, 8, 9, 10, 12, 13]
"""Where a record has its numbers."""

CRASHES = {"slice.crashed", "response.crashed", "batch.gone", "slice.rescued"}
NAMES = {"batch.unreadable", "slice.unreadable", "record.unreadable", "redis.unreadable"}


def record_with(place: int, number: int) -> bytes:
    """Make a record of nonsense: it is queued, with a number where it has one."""
    fields: list[Any] = ["q", 0, 0, None, "guid", None, None, 0, 0, 0, 0, None, 0, 0]
    fields[place] = number
    return orjson.dumps(fields)


def test_impossible_moments_cost_their_own_batch_only(program: Program, redis: Any) -> None:
    """A batch with such a moment is left out by `status` and named, and hides no other one."""
    program.submit([ROW], "--batch", "good")
    facts, names = redis.hgetall(keys.batch("good")), set[str]()
    for field in MOMENTS:
        for number in BEYOND:
            name = f"{field}.{len(names)}"
            names.add(name)
            redis.hset(keys.batch(name), mapping={**facts, field: number})
            redis.zadd(keys.BATCHES, {name: NOW})
    listed, table = program.here("status", "--json"), program.here("status")
    asked = program.here("status", min(names))

    assert (0, ["good"]) == (
        listed.code,
        [each["batch"] for each in listed.json],
    )
    for each in (listed, table):
        lines = [line.split() for line in each.err.splitlines() if "cannot be read" in line]
        assert sorted(names) == sorted(words[3] for words in lines)
        assert all(f"its {words[3].partition('.')[0]}:" in " ".join(words) for words in lines)
    assert (4, True) == (asked.code, f"batch {min(names)} is not as it" in asked.err)


def test_an_impossible_moment_of_a_record_costs_its_own_line(program: Program, redis: Any) -> None:
    """A record that was settled at no time costs its own line of `results` only."""
    batch = program.submit([ROW, {**ROW, "event": "f"}])
    text = b'["s",1,0,202,"x","y",["sent","accepted"],%d]' % BEYOND[0]
    redis.hset(keys.slice_records(batch, 0), "1", text)
    run = program.here("results", batch, "--format", "jsonl")

    assert 0 == run.code, run.err
    reasons = [orjson.loads(line)["reason"] for line in run.out.splitlines()]
    assert ["unreadable_record", None] == reasons


@pytest.mark.parametrize("number", [BEYOND[0], 10**17, -1])
def test_an_impossible_end_of_a_pause_is_no_pause(
    program: Program, redis: Any, number: int
) -> None:
    """A pause of everything that ends at no time is none to `status`."""
    program.submit([ROW], "--batch", "good")
    redis.set(keys.GRAPH, number)
    shown, listed = program.here("status", "good", "--json"), program.here("status")

    assert (0, None) == (shown.code, shown.json["graphPausedUntil"])
    assert (0, True) == (listed.code, "good" in listed.out)


def test_a_pause_of_another_type_is_ended(program: Program, redis: Any) -> None:
    """`resume --graph` names the key, says what to do, and deletes it as the workers would."""
    redis.rpush(keys.GRAPH, "x")
    run = program.here("resume", "--graph")

    assert (0, 0) == (run.code, redis.exists(keys.GRAPH))
    told = run.err.splitlines()[0]
    assert told.startswith(f"{keys.GRAPH} is not as it was stored: WRONGTYPE")
    assert told.endswith("it is deleted: see who else writes to that Redis")


OF_BATCHES: dict[str, Callable[[Any], object]] = {
    "more slices": lambda r: r.hset(keys.batch("a"), mapping={"slices": 9**6, "total": 9**6}),
    "a moment": lambda r: r.hset(keys.batch("a"), "not_before_ms", BEYOND[1]),
    "too many open": lambda r: r.hset(keys.batch("a"), mapping={"open": 3, "total": 3}),
    "another cursor": lambda r: r.hset(keys.batch("a"), "cursor", 99),
    "released": lambda r: r.sadd(keys.released("a"), 99),
    "no end": lambda r: r.hset(keys.batch("a"), "announced", 1),
    "no flag": lambda r: r.hset(keys.batch("a"), "paused", 2),
    "another text": lambda r: r.hset(keys.batch("a"), "wakes", "007"),
    "an expiry": lambda r: r.hset(keys.batch("a"), "expiry", "1 expire 1 x"),
}


@pytest.mark.parametrize("name", OF_BATCHES)
@awaited
async def test_a_batch_is_named_once(redis_url: str, redis: Any, name: str) -> None:
    """A batch with nonsense in it is named once and left alone, and nothing goes on without end."""
    async with harnessed(redis_url) as harness:
        await harness.submit(2, batch="a")
        await harness.submit(2, batch="b")
        OF_BATCHES[name](redis)
        await rounds(harness, 5)
        told, batch = Counter(events(harness.heard)), await harness.ledger.batches.get("b")

    assert (1, True) == (told["batch.unreadable"], batch.finished_at_ms > 0)
    assert not told.keys() & (CRASHES | NAMES - {"batch.unreadable"}), told


SETTLED = b'["s",1,0,202,"x","y",["sent","accepted"],%d]' % NOW
OF_ONE_SLICE = {
    "done": -99,
    "done ": 99,
    "begun": -5,
    "epoch": 2**62,
    "doubted_ms": 2**60,
    "suspect:1": 10**25,
    "1": SETTLED,
}
"""Fields of a slice, and nonsense in them; the last one is no end that the slice has counted."""


@pytest.mark.parametrize("field", OF_ONE_SLICE)
@awaited
async def test_a_slice_is_named_once(redis_url: str, redis: Any, field: str) -> None:
    """A slice with nonsense in it is named once, shown, and done as usual when it is put right."""
    records = keys.slice_records("a", 0)
    async with harnessed(redis_url) as harness:
        await harness.submit(2, batch="a")
        await harness.submit(2, batch="b")
        redis.hset(records, field.strip(), OF_ONE_SLICE[field])
        await rounds(harness, 2)
        for _ in range(4):
            redis.zadd(keys.QUEUE, {job_id("a", 0): 1})
            await harness.poll()
        told = Counter(events(harness.heard))
        shown = (await harness.ledger.batches.get("a")).unreadable
        good = await harness.ledger.batches.get("b")
        redis.hdel(records, field.strip())
        redis.zadd(keys.QUEUE, {job_id("a", 0): 1})
        await harness.poll()
        mended = await harness.ledger.batches.get("a")

    assert (1, True) == (told["slice.unreadable"], good.finished_at_ms > 0)
    assert not told.keys() & (CRASHES | NAMES - {"slice.unreadable"}), told
    assert {0: 1} == shown
    assert ({}, 0, True) == (mended.unreadable, mended.open, mended.finished_at_ms > 0)
    assert "slice.poisoned" not in events(harness.heard)


@awaited
async def test_a_record_is_named_once(redis_url: str, redis: Any) -> None:
    """A response that would wait for ever is named."""
    async with harnessed(redis_url) as harness:
        await harness.submit(4)
        redis.hset(keys.slice_records("b", 0), "2", record_with(9, 2**63))
        await harness.poll()
        await open_again(harness, redis)
        told, batch = Counter(events(harness.heard)), await harness.ledger.batches.get("b")

    assert (1, 1, {0: 1}) == (told["record.unreadable"], batch.open, batch.unreadable)


@pytest.mark.parametrize("due", first_always([float("inf"), 1e17, float("-inf")]))
@awaited
async def test_a_job_that_is_due_at_no_time(redis_url: str, redis: Any, due: float) -> None:
    """A slice whose job would never be due, or at no time at all, is queued anew."""
    async with harnessed(redis_url) as harness:
        await harness.submit(2)
        redis.zadd(keys.QUEUE, {job_id("b", 0): due})
        await rounds(harness, 4)
        batch = await harness.ledger.batches.get("b")

    assert (0, True) == (batch.open, batch.finished_at_ms > 0)


integers = st.integers() | st.sampled_from(
    [2**53, 2**53 - 1, 2**63, 2**64 - 1, 10**30, -1, FIRST_MS - 1, LAST_MS, *BEYOND]
)
values = (
    integers.map(lambda number: b"%d" % number)
    | st.text(max_size=9).map(str.encode)
    | st.binary(max_size=9)
)
record_fields = st.lists(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from(["q", "m", "s", ["sent", "accepted"], ["expired", None], NOW])
    | st.text(max_size=3),
    max_size=16,
)
record_texts = st.tuples(st.sampled_from("qms"), record_fields).map(
    lambda record: orjson.dumps([record[0], *record[1]])
)
BAD, SLICE = keys.batch("bad"), keys.slice_records("bad", 0)
places = st.one_of(
    st.tuples(st.just(BAD), st.sampled_from(["fingerprint", *MOMENTS, *COUNTS]), values),
    st.tuples(
        st.just(SLICE), st.sampled_from([*OF_SLICES, "archive", "found:1", "found:2"]), values
    ),
    st.tuples(st.just(SLICE), st.sampled_from("123"), values | record_texts),
    st.tuples(st.just(keys.GRAPH), st.just(""), values),
)


def holds_whatever_is_planted(program: Program, redis: Any, examples: int) -> None:
    """Plant nonsense so many times, and ask how the batches stand."""
    selection = {"user": "a@b.c", "events": {"from": "2026-12-01T00:00:00Z"}, "action": "decline"}
    program.submit([ROW, {**ROW, "event": "f"}, selection], "--batch", "bad")
    program.submit([ROW], "--batch", "good")
    stored = {key: redis.dump(key) for key in redis.scan_iter()}

    @settings(max_examples=examples)
    @given(st.lists(places, min_size=1, max_size=3))
    @example([(BAD, "submitted_at_ms", b"%d" % BEYOND[0])])
    @example([(keys.GRAPH, "", b"%d" % BEYOND[0])])
    @example([(SLICE, "1", SETTLED.replace(b"%d" % NOW, b"%d" % BEYOND[0]))])
    def holds(planted: list[tuple[str, str, bytes]]) -> None:
        redis.flushdb()
        for key, dumped in stored.items():
            redis.restore(key, 0, dumped)
        for key, field, value in planted:
            redis.hset(key, field, value) if field else redis.set(key, value)
        listed = [program.here("status"), program.here("status", "--json")]
        asked = [program.here("status", "bad"), program.here("results", "bad")]

        assert [0, 0] == [each.code for each in listed], listed
        assert all("good" in each.out for each in listed)
        assert not {each.code for each in asked} - {0, 2, 4}, asked

    holds()


def test_whatever_is_planted_ends_no_command(program: Program, redis: Any) -> None:
    """Numbers and texts in any field end no command, and hide no other batch."""
    holds_whatever_is_planted(program, redis, 40)


@pytest.mark.chaos
def test_whatever_is_planted_for_long(program: Program, redis: Any) -> None:
    """The same, many times."""
    holds_whatever_is_planted(program, redis, 1_500)


def is_no_moment(number: int) -> bool:
    """Say whether it is none of ours: to wait until a moment that may come is no fault."""
    return not FIRST_MS <= number < LAST_MS


no_moments = integers.filter(is_no_moment)
met = st.one_of(
    st.tuples(
        st.just(keys.batch("a")),
        st.sampled_from([*MOMENTS, *COUNTS]),
        no_moments.map(lambda n: b"%d" % n),
    ),
    st.tuples(
        st.just(keys.slice_records("a", 0)),
        st.sampled_from(OF_SLICES),
        no_moments.map(lambda n: b"%d" % n),
    ),
    st.tuples(
        st.just(keys.slice_records("a", 0)),
        st.just("2"),
        st.builds(
            record_with,
            st.sampled_from(OF_RECORDS),
            no_moments.filter(lambda n: -(2**63) <= n < 2**64),
        ),
    ),
)


async def meets(harness: Harness, redis: Any, key: str, field: str, value: bytes) -> None:
    """Let a worker meet it, and hold it to what is promised."""
    await harness.submit(2, batch="a")
    await harness.submit(2, batch="b")
    redis.hset(key, field, value)
    await rounds(harness, 4)
    told = Counter(events(harness.heard))
    (bad, good) = await harness.ledger.batches.find_all(["a", "b"])

    assert isinstance(good, Batch)
    assert good.finished_at_ms
    assert not told.keys() & CRASHES, told
    ended = isinstance(bad, Batch) and (bad.finished_at_ms > 0 or bad.paused)
    assert ended or [1] == [told[name] for name in NAMES if told[name]], told


def workers_meet(redis_url: str, redis: Any, examples: int) -> None:
    """Let workers meet nonsense so many times."""

    @settings(max_examples=examples)
    @given(met)
    @awaited
    async def meet(planted: tuple[str, str, bytes]) -> None:
        redis.flushdb()
        async with harnessed(redis_url) as harness:
            await meets(harness, redis, *planted)

    meet()


def test_any_number_in_any_field_leaves_no_batch_stuck(redis_url: str, redis: Any) -> None:
    """A batch with any number in any of its fields ends, or is named once: it is never stuck."""
    workers_meet(redis_url, redis, 25)


@pytest.mark.chaos
def test_any_number_in_any_field_leaves_no_batch_stuck_for_long(redis_url: str, redis: Any) -> None:
    """The same, many times."""
    workers_meet(redis_url, redis, 500)
