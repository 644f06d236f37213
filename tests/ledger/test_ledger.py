"""The ledger against a real Redis: what is granted, what is counted, what is left behind."""

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.exceptions import RedisError

from jobs.ledger import keys
from jobs.ledger.batches.expired import AT_ONCE, forget_expired
from jobs.ledger.batches.store import STAGED_AT_ONCE, Commit
from jobs.ledger.forms.batch import Batch, BatchState
from jobs.ledger.forms.entries import Entry
from jobs.ledger.forms.slice import Slice
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.store import Closed
from jobs.ledger.slices.writes import CALLS_BURST, CALLS_PER_S, Answer, Kind, WriteStatus
from jobs.ledger.workers.facts import Facts
from jobs.ledger.workers.leases import Taken, Unended
from jobs.outcome import Ending, Outcome
from jobs.record import State
from jobs.rows.choosing import Found
from jobs.rows.selection import Selection
from tests.support.awaited import awaited
from tests.support.redis.redis_proxy import Failure, redis_proxy
from tests.support.small_ledger import FAILED, NOW, SENT, Ledger, ledger_at, order, slices

WINDOW_MS = 600_000
"""Graph counts a mailbox's calls over 10 minutes."""

KEEP_MS = keys.KEEP_S * 1000

MAILBOXES = ["ada@c.com", "bob@c.com"]


def stored(redis: "Redis") -> set[str]:
    """List the keys that the ledger has."""
    return {key.decode() for key in redis.scan_iter("bulkrsvp:*")}


def lasting(redis: "Redis") -> set[str]:
    """List the keys that never expire."""
    return {key for key in stored(redis) if redis.ttl(key) == -1}


# Submitting


@awaited
async def test_a_batch_is_created_once(redis_url: str, redis: "Redis") -> None:
    """The first commit makes the batch, an equal one finds it, and another content is refused."""
    async with ledger_at(redis_url) as ledger:
        commits = [
            await ledger.batches.commit(wanted, slices(2, 1), NOW)
            for wanted in (order(3), order(3), order(3, fingerprint="other"))
        ]
        batch = await ledger.batches.get("b")

        assert [Commit.CREATED, Commit.SAME, Commit.OTHER] == commits
        assert (3, 3, 2, "f") == (batch.total, batch.open, batch.slices, batch.fingerprint)
        assert BatchState.RUNNING is batch.state(NOW)
        assert [batch] == await ledger.batches.all()
        assert ["b"] == await ledger.batches.active()
    assert {keys.BATCHES, keys.ACTIVE, keys.HOME, keys.batch("b"), keys.rows("b")} == stored(redis)
    assert stored(redis) == lasting(redis)


@awaited
async def test_a_submit_that_dies_leaves_nothing_that_runs(redis_url: str, redis: "Redis") -> None:
    """Rows staged by a submit that died before its commit belong to no batch, and expire."""

    def dying() -> Iterator[Slice]:
        yield from slices(*[1] * (STAGED_AT_ONCE + 1))
        raise KeyboardInterrupt

    async with ledger_at(redis_url) as ledger:
        with pytest.raises(KeyboardInterrupt):
            await ledger.batches.commit(order(99), dying(), NOW)

        assert [] == await ledger.batches.all()
        assert [] == await ledger.batches.active()
        assert [] == await ledger.batches.release("b", 9)
        assert Commit.CREATED == await ledger.batches.commit(order(1), slices(1), NOW)
    (staged,) = redis.scan_iter("bulkrsvp:staging:*")
    assert redis.ttl(staged) in range(1, keys.STAGING_S + 1)


@awaited
async def test_rows_that_expired_are_not_committed(redis_url: str, redis: "Redis") -> None:
    """A submit that was slower than its staged rows last makes no batch without rows."""

    def slow() -> Iterator[Slice]:
        yield from slices(*[1] * STAGED_AT_ONCE)
        redis.flushdb()

    async with ledger_at(redis_url) as ledger:
        assert Commit.UNSTAGED == await ledger.batches.commit(order(50), slow(), NOW)
    assert set() == stored(redis)


# Releasing


@awaited
async def test_a_window_of_slices_is_released(redis_url: str) -> None:
    """No more slices than the window are released at a time; each that is done makes room."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, 1, 1, 1)
        first = [await ledger.batches.release("b", 2) for _ in range(2)]
        await ledger.finish(1)
        second = [await ledger.batches.release("b", 2) for _ in range(2)]
        at_last = await ledger.batches.release("b", 9)

        assert [[0, 1], [], [2], [], [3]] == [*first, *second, at_last]
        assert [0, 2, 3] == await ledger.batches.released("b")


@awaited
async def test_a_paused_batch_releases_nothing(redis_url: str) -> None:
    """A paused batch keeps its slices, and gives them when it goes on."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        await ledger.batches.pause("b", paused=True)
        assert [] == await ledger.batches.release("b", 9)
        await ledger.batches.pause("b", paused=False)
        assert [0] == await ledger.batches.release("b", 9)


# Marks and records


@awaited
async def test_a_slice_is_opened_with_all_that_is_known(redis_url: str) -> None:
    """Whoever opens a slice finds its rows, its records, and a higher epoch than the last one."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        first = await ledger.open()
        batch = await ledger.batches.get("b")
        await ledger.mark(first, first.entries[1])
        await ledger.settle(first, first.entries[2])
        second = await ledger.open(worker="v")

        assert (batch, 3, 1, "w|b|0") == (first.batch, first.size, first.epoch, first.holder)
        assert (2, "v|b|0") == (second.epoch, second.holder)
        assert [1, 2] == [entry.row for entry in second.entries]
        assert [3] == [entry.row for entry in second.unlogged]
        assert first.entries == [*second.entries, *second.unlogged]
        assert State.SENDING is second.entries[1].record.state


@awaited
async def test_an_old_epoch_marks_nothing(redis_url: str) -> None:
    """When a slice has been opened again, whoever had it before gets no leave for any call."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        old, new = await ledger.open(), await ledger.open(worker="v")

        assert WriteStatus.STALE == await ledger.mark(old, old.entries[0])
        assert Answer(WriteStatus.STALE) == await ledger.look(old, old.entries[0])
        assert Answer(WriteStatus.STALE) == await ledger.turn_page(old, old.entries[0])
        assert Answer(WriteStatus.OK) == await ledger.turn_page(new, new.entries[0])
        assert b"" == new.entries[0].stored
        assert WriteStatus.OK == await ledger.mark(new, new.entries[0])


@awaited
async def test_without_a_lease_nothing_is_marked(redis_url: str) -> None:
    """A worker whose lease is gone gets no leave, not even under a new name for what it began."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        part = await ledger.open()
        await ledger.leases.resign("w")
        await ledger.enlist("newly named")

        assert WriteStatus.STALE == await ledger.mark(part, part.entries[0])
        assert Answer(WriteStatus.STALE) == await ledger.look(part, part.entries[0])


@awaited
async def test_a_mark_is_granted_once(redis_url: str) -> None:
    """The same mark asked for twice, after a reply that was lost, is a conflict and not a leave."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        part = await ledger.open()
        entry = part.entries[0]
        again = replace(entry)

        assert WriteStatus.OK == await ledger.mark(part, entry)
        assert WriteStatus.CONFLICT == await ledger.mark(part, again)


@awaited
async def test_the_truth_is_taken_from_anybody(redis_url: str) -> None:
    """A worker that lost slice and lease may still say how the call ended that it marked."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        old = await ledger.open()
        noted, settled = old.entries
        await ledger.mark(old, noted)
        await ledger.mark(old, settled)
        await ledger.open(worker="v")
        await ledger.leases.resign("w")
        record = noted.record.waiting(NOW + 5)
        answer = await ledger.slices.write(old, Kind.NOTE, noted, record)

        assert Answer(WriteStatus.OK) == answer
        assert WriteStatus.OK == await ledger.settle(old, settled)
        assert [record] == [entry.record for entry in (await ledger.open()).entries]


@awaited
async def test_what_somebody_else_found_out_stays(redis_url: str) -> None:
    """A note or an end that answers a mark which is no more changes nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        old = await ledger.open()
        await ledger.mark(old, old.entries[0])
        new = await ledger.open(worker="v")
        unknown = new.entries[0].record.unknown(NOW)
        await ledger.slices.write(new, Kind.NOTE, new.entries[0], unknown)

        assert WriteStatus.CONFLICT == await ledger.settle(old, old.entries[0])
        assert [unknown] == [entry.record for entry in (await ledger.open()).entries]
        assert 1 == (await ledger.batches.get("b")).open


@awaited
async def test_an_end_counts_once(redis_url: str) -> None:
    """However often an end is written, after replies that were lost, it is counted once."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        repeated = [replace(part.entries[0]) for _ in range(3)]
        words = [await ledger.settle(part, entry) for entry in repeated]
        words += await asyncio.gather(
            *(ledger.settle(part, replace(part.entries[0])) for _ in range(3))
        )
        batch = await ledger.batches.get("b")

        assert [WriteStatus.OK] * 6 == words
        assert (1, {Outcome.SENT: 1}) == (batch.open, batch.outcomes)
        assert WriteStatus.CONFLICT == await ledger.settle(part, part.entries[0], FAILED)
        assert batch == await ledger.batches.get("b")


@pytest.mark.parametrize(
    ("flag", "word"), [("pause", WriteStatus.PAUSED), ("cancel", WriteStatus.CANCELLED)]
)
@awaited
async def test_flags_refuse_marks(redis_url: str, flag: str, word: WriteStatus) -> None:
    """A paused or cancelled batch grants no mark and no page, but lets the unknown be looked at."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        part = await ledger.open()
        fresh, called, unknown = part.entries
        await ledger.mark(part, called)
        await raise_flag(ledger, flag)
        note = await ledger.slices.write(part, Kind.NOTE, called, called.record.unknown(NOW))

        assert word == await ledger.mark(part, fresh)
        assert Answer(word) == await ledger.turn_page(part, fresh)
        assert [Answer(WriteStatus.OK)] * 2 == [note, await ledger.look(part, unknown)]
        assert WriteStatus.OK == await ledger.settle(part, fresh, Ending(Outcome.CANCELLED))


async def raise_flag(ledger: Ledger, flag: str) -> None:
    """Pause or cancel the batch."""
    if flag == "pause":
        await ledger.batches.pause("b", paused=True)
    else:
        await ledger.batches.cancel("b")


@awaited
async def test_cancelling_ends_a_pause(redis_url: str) -> None:
    """A batch that is cancelled while it is paused is not held back from ending."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        await ledger.batches.pause("b", paused=True)
        await ledger.batches.cancel("b")
        batch = await ledger.batches.get("b")

        assert (False, BatchState.CANCELLED) == (batch.paused, batch.state(NOW))


@awaited
async def test_a_ledger_that_was_flushed_grants_nothing(redis_url: str, redis: "Redis") -> None:
    """When Redis has lost the batch nothing is granted or noted, and nothing of it comes back."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        part = await ledger.open()
        part.logged.append(9)
        part.replies = 5
        redis.flushdb()
        words = [
            await ledger.mark(part, part.entries[0]),
            (await ledger.look(part, part.entries[1])).status,
            await ledger.settle(part, part.entries[2]),
        ]

        assert [WriteStatus.GONE] * 3 == words
        assert Closed.GONE == await ledger.slices.close(part)
        assert await ledger.slices.open("w", "b", 0) is None
    assert set() == stored(redis)


@awaited
async def test_a_restarted_redis_is_told_its_scripts_again(redis_url: str, redis: "Redis") -> None:
    """A Redis that has forgotten the scripts gets them, and each write is carried out once."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        part = await ledger.open()
        redis.script_flush()
        marks = await asyncio.gather(*(ledger.mark(part, entry) for entry in part.entries))

        assert [WriteStatus.OK] * 3 == marks


@awaited
async def test_writes_are_told_apart(redis_url: str) -> None:
    """Writes that go out together, of several slices, each get their own answer."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(50, 50)
        parts = [await ledger.open(0), await ledger.open(1)]
        await ledger.slices.open("v", "b", 1)
        words = await asyncio.gather(
            *(ledger.mark(part, entry) for part in parts for entry in part.entries)
        )

        assert [WriteStatus.OK] * 50 + [WriteStatus.STALE] * 50 == words


@awaited
async def test_writes_are_counted_where_they_belong(redis_url: str) -> None:
    """Ends that go out together, of several slices and batches, end their own slice and batch."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2, 3)
        await ledger.submit(4, batch="other")
        parts = [await ledger.open(0), await ledger.open(1), await ledger.open(batch="other")]
        await asyncio.gather(
            *(
                ledger.settle(part, entry, ending)
                for part, ending in zip(parts, (SENT, FAILED, SENT), strict=True)
                for entry in part.entries
            )
        )
        batch, other = [await ledger.batches.get(name) for name in ("b", "other")]
        again = [await ledger.open(number) for number in (0, 1)]

        assert [2, 3] == [len(part.unlogged) for part in again]
        assert {Outcome.SENT: 2, Outcome.FAILED: 3} == batch.outcomes
        assert {Outcome.SENT: 4} == other.outcomes
        assert (0, 0) == (batch.open, other.open)


@awaited
async def test_replies_are_added_up_by_the_batch_once(redis_url: str) -> None:
    """Replies and throttled replies are added up by the batch, and told once."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        part.replies, part.throttled = 3, 1
        await ledger.mark(part, part.entries[0])
        await ledger.mark(part, part.entries[1])
        batch = await ledger.batches.get("b")

        assert (3, 1, 0) == (batch.calls, batch.waits, part.replies)


@awaited
async def test_what_was_logged_is_told_until_it_is_heard(redis_url: str, tmp_path: Path) -> None:
    """A write that Redis did not take loses neither the rows that were logged nor the counts."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(proxy.url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        first, second = part.entries
        await ledger.settle(part, first)
        part.logged.append(first.row)
        part.replies, part.throttled = 3, 1
        proxy.fail("EVALSHA")
        with pytest.raises(RedisError):
            await ledger.settle(part, second)
        proxy.fail(None)
        await ledger.settle(part, second)
        batch = await ledger.batches.get("b")

        assert [second.row] == [entry.row for entry in (await ledger.open(worker="v")).unlogged]
        assert (3, 1, []) == (batch.calls, batch.waits, part.logged)


# The allowance


async def drain(ledger: Ledger, part: OpenSlice, entry: Entry, most: int) -> tuple[int, int]:
    """Ask for leave to call until it is refused; return how often it was given, and the wait."""
    answers = await asyncio.gather(*(ledger.look(part, entry) for _ in range(most)))
    waits = {answer.wait_ms for answer in answers if answer.status is WriteStatus.LATER}
    assert len(waits) == 1
    return sum(answer.status is WriteStatus.OK for answer in answers), waits.pop()


@awaited
async def test_a_mailbox_has_its_burst_then_one_call_an_interval(redis_url: str) -> None:
    """A mailbox has its burst at once, then one call for each interval; another has its own."""
    interval_ms = 1000 // CALLS_PER_S
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, 1)
        part, other = await ledger.open(0), await ledger.open(1)
        entry = part.entries[0]

        assert (CALLS_BURST, interval_ms) == await drain(ledger, part, entry, CALLS_BURST + 3)
        assert WriteStatus.OK == await ledger.mark(other, other.entries[0])
        ledger.now_ms += interval_ms - 1
        assert Answer(WriteStatus.LATER, 1) == await ledger.look(part, entry)
        assert WriteStatus.LATER == await ledger.mark(part, entry)
        ledger.now_ms += 1
        assert WriteStatus.OK == await ledger.mark(part, entry)


@pytest.mark.parametrize("seed", range(2))
@awaited
async def test_ten_thousand_calls_in_ten_minutes(redis_url: str, seed: int) -> None:
    """However a mailbox's calls are spread, no ten minutes see more than Graph allows."""
    chance = random.Random(seed)
    granted = list[int]()
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        part = await ledger.open()
        pause_ms = CALLS_BURST * 1000 // CALLS_PER_S
        while ledger.now_ms < NOW + 2.5 * WINDOW_MS:
            most = min(CALLS_BURST, pause_ms * CALLS_PER_S // 1000 + 1) + 2
            count, _ = await drain(ledger, part, part.entries[0], most)
            granted += [ledger.now_ms] * count
            pause_ms = chance.choice([1, 99, 30_000, 60_000, 200_000, 400_000, WINDOW_MS])
            ledger.now_ms += pause_ms

    busiest = most_within(granted, WINDOW_MS)
    assert CALLS_BURST < busiest <= 10_000


def most_within(moments: list[int], window_ms: int) -> int:
    """Count the moments in the fullest window, both its ends included."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] < moment - window_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_allowance_adds_up() -> None:
    """A burst and what ten minutes add to it are exactly what Graph allows in them."""
    assert 10_000 == CALLS_BURST + CALLS_PER_S * WINDOW_MS // 1000


# Closing


@awaited
async def test_a_slice_is_done_when_all_is_settled_and_logged(redis_url: str) -> None:
    """A slice stays open while one of its responses is not settled, or settled and not logged."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        await ledger.batches.release("b", 9)
        part = await ledger.open()
        answers = []
        for entry in part.entries:
            await ledger.settle(part, entry)
            answers.append(await ledger.slices.close(part))
        part.logged.append(1)
        answers.append(await ledger.slices.close(part))
        part.logged.append(2)
        answers.append(await ledger.slices.close(part))

        assert [*[Closed.OPEN] * 3, Closed.FINISHED] == answers
        assert ([], []) == (part.logged, await ledger.batches.released("b"))


@awaited
async def test_a_batch_is_finished_once(redis_url: str) -> None:
    """Of all who leave its slices, exactly one is told that the batch is finished."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, 2, 1)
        await ledger.batches.release("b", 9)
        answers = [await ledger.finish(number) for number in (2, 0, 1, 1, 0)]
        batch = await ledger.batches.get("b")

        assert [Closed.DONE, Closed.DONE, Closed.FINISHED, Closed.DONE, Closed.DONE] == answers
        assert (0, NOW, {Outcome.SENT: 4}) == (batch.open, batch.finished_at_ms, batch.outcomes)
        assert BatchState.FINISHED is batch.state(NOW)


@awaited
async def test_a_slice_is_not_done_while_its_heir_is_at_what_was_found(redis_url: str) -> None:
    """Who still counts a selection as one response closes nothing that others have found for it."""
    december = {"from": "2026-12-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
    given = {"user": "ada@c.com", "action": "decline", "sendResponse": True}
    rows = [[1, given | {"events": december}], [2, given | {"event": "E"}]]
    body = zlib.compress(orjson.dumps(rows))
    shown = (None, "2026-12-02T10:00:00Z", "olga@c.com")
    found = [
        Found(event=event, quiet=False, seen="none", ending=None, series=None, shown=shown)
        for event in ("F", "G")
    ]
    async with ledger_at(redis_url) as ledger:
        await ledger.batches.commit(order(2, selections=1), [Slice(0, 2, body)], NOW)
        await ledger.batches.release("b", 9)
        late, heir = await ledger.open(), await ledger.open(worker="v")
        first = heir.entries[0]
        assert isinstance(first.response, Selection)
        ahead = await ledger.slices.keep_found(heir, first, first.response, found)
        assert ahead is not None
        in_vain = late.entries[0].record.settled(FAILED, NOW)
        unfound = await ledger.slices.write(late, Kind.UNFOUND, late.entries[0], in_vain)
        await ledger.settle(late, late.entries[1])
        await ledger.settle(heir, ahead[0])
        late.logged += [2, "1.1"]
        answers = [await ledger.slices.close(late)]
        await ledger.settle(heir, ahead[1])
        heir.logged += ["1.2"]
        answers.append(await ledger.slices.close(heir))

        assert (WriteStatus.CONFLICT, [Closed.OPEN, Closed.FINISHED]) == (unfound.status, answers)


@awaited
async def test_what_was_not_logged_is_found(redis_url: str) -> None:
    """An end whose worker died before it logged it is handed to the next one, and only once."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        dying = await ledger.open()
        for entry in dying.entries:
            await ledger.settle(dying, entry)
        dying.logged.append(1)
        await ledger.slices.close(dying)
        heir = await ledger.open(worker="v")
        heir.logged += [entry.row for entry in heir.unlogged]
        await ledger.slices.close(heir)

        assert [2] == [entry.row for entry in heir.unlogged]
        assert [] == (await ledger.open()).unlogged


# Again


async def reopen(ledger: Ledger, batch: Batch, deadline_ms: int) -> list[tuple[int, int]]:
    """Queue all that failed again, slice by slice; return how many were, and how many not yet."""
    parts = [part async for part in ledger.batches.lines(batch)]
    counts = []
    for number, part in enumerate(parts):
        failed = [line for line in part if line.record.ending == FAILED]
        answer = await ledger.retries.reopen(batch, number, failed, deadline_ms)
        assert answer is not None
        counts.append(answer)
    return counts


@awaited
async def test_retry_queues_what_failed(redis_url: str) -> None:
    """What failed is queued again and counted so, once, and the batch can be finished again."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3, 1)
        await ledger.batches.release("b", 9)
        await ledger.finish(0, [FAILED, SENT, FAILED])
        await ledger.finish(1)
        await ledger.batches.announce(await ledger.batches.get("b"))
        finished = await ledger.batches.get("b")
        counts = [await reopen(ledger, finished, NOW + 99) for _ in range(2)]
        batch = await ledger.batches.get("b")

        assert [[(2, 0), (0, 0)], [(0, 0), (0, 0)]] == counts
        assert (2, {Outcome.SENT: 2}) == (batch.open, batch.outcomes)
        assert (0, False, NOW + 99) == (batch.finished_at_ms, batch.announced, batch.deadline_ms)
        assert (["b"], [0]) == (
            await ledger.batches.active(),
            await ledger.batches.released("b"),
        )
        assert Closed.FINISHED == await ledger.finish(0)
        assert {Outcome.SENT: 4} == (await ledger.batches.get("b")).outcomes


@awaited
async def test_retry_leaves_alone_what_is_not_logged(redis_url: str) -> None:
    """An end that nobody has logged yet is not queued again: its line would be lost."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(2)
        dying = await ledger.open()
        for entry in dying.entries:
            await ledger.settle(dying, entry, FAILED)
        dying.logged.append(1)
        await ledger.slices.close(dying)
        counts = await reopen(ledger, batch, NOW)
        heir = await ledger.open(worker="v")
        heir.logged.append(2)
        await ledger.slices.close(heir)

        assert ([(1, 1)], [(1, 0)]) == (counts, await reopen(ledger, batch, NOW))
        assert ([1], [2]) == tuple(
            [entry.row for entry in entries] for entries in (heir.entries, heir.unlogged)
        )


@awaited
async def test_retry_takes_up_what_it_read(redis_url: str) -> None:
    """What has moved on since it was read is not queued again."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(1)
        await ledger.finish(0, [FAILED])
        (lines,) = [part async for part in ledger.batches.lines(batch)]
        first = await ledger.retries.reopen(batch, 0, lines, NOW)
        ledger.now_ms += 1
        await ledger.finish(0, [FAILED])
        second = await ledger.retries.reopen(batch, 0, lines, NOW)

        assert ((1, 0), (0, 0)) == (first, second)


# Leases


@awaited
async def test_a_mailbox_has_one_holder(redis_url: str) -> None:
    """What one slice holds is busy for all others until it is given back, and not for itself."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        await ledger.enlist("v")
        take = ledger.leases.take
        first = await take("w", "w|b|0", MAILBOXES, NOW)
        again = await take("w", "w|b|0", MAILBOXES, NOW)
        sibling = await take("w", "w|b|1", MAILBOXES, NOW)
        stranger = await take("v", "v|c|0", ["bob@c.com", "eve@c.com"], NOW)
        await ledger.leases.give_back("v|c|0", [*MAILBOXES, "eve@c.com"])
        await ledger.leases.give_back("w|b|0", ["ada@c.com"])
        after = await take("v", "v|c|0", [*MAILBOXES, "eve@c.com"], NOW)

        everything = frozenset(MAILBOXES)
        assert Taken(held=dict.fromkeys(MAILBOXES, 0)) == first == again
        assert Taken(busy=everything) == sibling
        assert Taken(held={"eve@c.com": 0}, busy=frozenset({"bob@c.com"})) == stranger
        assert {"ada@c.com": 0, "eve@c.com": 0} == after.held


@awaited
async def test_a_dead_worker_holds_nothing(redis_url: str) -> None:
    """When a worker's lease is gone, its slice may have every mailbox that it held."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        await ledger.enlist("v")
        await ledger.leases.take("w", "w|b|0", MAILBOXES, NOW)
        await ledger.leases.resign("w")

        assert Taken(lost=True) == await ledger.leases.take("w", "w|b|0", MAILBOXES, NOW)
        assert Taken(held=dict.fromkeys(MAILBOXES, 0)) == await ledger.leases.take(
            "v", "v|b|0", MAILBOXES, NOW
        )
        await ledger.leases.give_back("w|b|0", MAILBOXES)
        await ledger.enlist("u")
        assert Taken(busy=frozenset(MAILBOXES)) == await ledger.leases.take(
            "u", "u|b|0", MAILBOXES, NOW
        )


@awaited
async def test_a_dead_workers_calls_keep_others_out(redis_url: str, redis: Redis) -> None:
    """Another slice has a dead worker's mailboxes when its calls are counted, or must be over."""
    async with ledger_at(redis_url) as ledger:
        for worker in "wvu":
            await ledger.enlist(worker)
        take = ledger.leases.take
        await take("w", "w|b|0", MAILBOXES, NOW)
        await ledger.leases.resign("w")
        strangers = [await take("u", "u|c|0", MAILBOXES, NOW, 60_000) for _ in range(2)]
        left_ms: list[Any] = [redis.pttl(keys.mailbox(each)) for each in MAILBOXES]
        successor = await take("v", "v|b|0", ["ada@c.com"], NOW)
        await ledger.leases.give_back("v|b|0", ["ada@c.com"])
        redis.delete(keys.mailbox("bob@c.com"))  # as after the time that it lasts
        after = await take("u", "u|c|0", MAILBOXES, NOW)

        assert [Taken(busy=frozenset(MAILBOXES))] * 2 == strangers
        assert all(0 < each <= 60_000 for each in left_ms)
        assert {"ada@c.com": 0} == successor.held
        assert dict.fromkeys(MAILBOXES, 0) == after.held


@awaited
async def test_calls_for_which_nobody_waits(redis_url: str, redis: Redis) -> None:
    """They count against their mailbox, whoever holds it, until they must have ended."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        count, take = ledger.leases.count_unended, ledger.leases.take
        await count([("bob@c.com", "1"), ("bob@c.com", "2")], NOW, 1_000)
        await count([("bob@c.com", "2"), ("bob@c.com", "3")], NOW + 500, 1_000)
        taken = [await take("w", "w|b|0", MAILBOXES, NOW + at) for at in (999, 1_000, 1_500)]

        assert [dict.fromkeys(MAILBOXES, 0)] * 3 == [each.held for each in taken]
        assert [
            {"bob@c.com": Unended(3, NOW + 1_000)},
            {"bob@c.com": Unended(2, NOW + 1_500)},
            {},
        ] == [each.unended for each in taken]
        assert keys.unended("bob@c.com") not in lasting(redis)


@awaited
async def test_a_lost_lease_is_not_taken_up_again(redis_url: str) -> None:
    """A worker can renew the lease that it has, but not one that it has lost."""
    async with ledger_at(redis_url) as ledger:
        await ledger.leases.enlist("w")
        renewed = [(await ledger.leases.renew("w")).renewed]
        await ledger.leases.resign("w")
        renewed.append((await ledger.leases.renew("w")).renewed)

        assert [True, False] == renewed


@awaited
async def test_living_workers_are_named_with_their_latest_facts(
    redis_url: str, redis: Redis
) -> None:
    """Who lives is named with its latest facts; what is none of ours is named without any."""
    first, later = (Facts("host", 7, "1.0", NOW, calls) for calls in (0, 3))
    async with ledger_at(redis_url) as ledger:
        await ledger.leases.enlist("w", first)
        await ledger.leases.renew("w", later)
        await ledger.leases.enlist("gone", first)
        await ledger.leases.resign("gone")
        for name, lease in (("a", b"1"), ("b", b'{"pid": "x"}'), ("c", b"{}"), ("d", b"\xff{")):
            redis.set(keys.worker(name), lease)

        nobody = dict.fromkeys("abd")
        assert {**nobody, "c": Facts(), "w": later} == await ledger.leases.living()
        assert (None, None) == (Facts.from_json(b'{"host": 1}'), Facts.from_json(b'{"x": 1}'))


@awaited
async def test_a_paused_mailbox_is_held_by_nobody(redis_url: str) -> None:
    """A paused mailbox is held by nobody until then; the longer of two pauses counts."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        pause, take = ledger.leases.pause_mailbox, ledger.leases.take
        pauses = [await pause("b", "ada@c.com", NOW + until, NOW) for until in (500, 900, 700)]
        paused = await take("w", "w|b|0", MAILBOXES, NOW + 899)
        counted = [(await ledger.batches.pauses("b", NOW + at)).throttled for at in (899, 901)]
        after = await take("w", "w|b|0", MAILBOXES, NOW + 900)

        assert [NOW + 500, NOW + 900, NOW + 900] == pauses
        expected = Taken(held={"bob@c.com": 0}, paused_until_ms={"ada@c.com": NOW + 900})
        assert (expected, [1, 0]) == (paused, counted)
        assert Taken(held=dict.fromkeys(MAILBOXES, 0)) == after


@awaited
async def test_a_mailbox_that_is_away(redis_url: str) -> None:
    """Who takes a mailbox learns how often in a row it was away, until it has come back."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        pause, take = ledger.leases.pause_mailbox, ledger.leases.take
        await pause("b", "ada@c.com", NOW + 100, NOW, away=1)
        first = await take("w", "w|b|0", MAILBOXES, NOW + 100)
        await pause("b", "ada@c.com", NOW + 200, NOW, away=2)
        second = await take("w", "w|b|0", MAILBOXES, NOW + 200)
        await pause("b", "ada@c.com", NOW + 300, NOW)
        throttled = await take("w", "w|b|0", MAILBOXES, NOW + 300)
        await ledger.leases.come_back("ada@c.com")
        back = await take("w", "w|b|0", MAILBOXES, NOW + 300)

        assert Taken(held={"ada@c.com": 1, "bob@c.com": 0}) == first
        assert Taken(held={"ada@c.com": 2, "bob@c.com": 0}) == second == throttled
        assert Taken(held=dict.fromkeys(MAILBOXES, 0)) == back


# The start


@awaited
async def test_a_batch_starts_once(redis_url: str) -> None:
    """The first opening of any of its slices starts a batch, and no later one."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, 1)
        before = await ledger.batches.get("b")
        parts = [await ledger.open(number) for number in (1, 0, 1)]
        ledger.now_ms += 5
        again = await ledger.open(0)
        after = await ledger.batches.get("b")

        assert [True, False, False, False] == [part.starts for part in (*parts, again)]
        assert (0, NOW) == (before.started_at_ms, after.started_at_ms)
        assert NOW == parts[0].batch.started_at_ms


# What is left


@awaited
async def test_a_finished_batch_expires(redis_url: str, redis: "Redis") -> None:
    """Of a batch that is finished and announced nothing but its name in the index lasts."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2, 1)
        await ledger.batches.release("b", 9)
        await ledger.leases.pause_mailbox("b", "user0@contoso.com", NOW + 5, NOW)
        part = await ledger.open()
        await ledger.leases.take("w", part.holder, ["user0@contoso.com"], NOW)
        await ledger.mark(part, part.entries[0])
        for number in (0, 1):
            await ledger.finish(number)
        await ledger.batches.announce(await ledger.batches.get("b"))
        await ledger.leases.resign("w")

        assert {keys.BATCHES, keys.WRITTEN, keys.HOME} == lasting(redis)
        assert {keys.KEEP_S} == {
            redis.ttl(key) for key in stored(redis) if key.startswith(keys.batch("b"))
        }
        redis.delete(keys.batch("b"))
        assert [] == await ledger.batches.all()
        kept = redis.zcard(keys.BATCHES)
        await forget_expired(ledger.redis, NOW + KEEP_MS)
        kept_still = redis.zcard(keys.BATCHES)
        await forget_expired(ledger.redis, NOW + KEEP_MS + 1)
    assert (1, 1, 0) == (kept, kept_still, redis.zcard(keys.BATCHES))


@awaited
async def test_what_is_old_and_there_stays_listed(redis_url: str, redis: "Redis") -> None:
    """Only names of batches that are gone are taken out, the oldest first, some at a time."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        gone = {f"gone-{number}": NOW + number for number in range(AT_ONCE)}
        redis.zadd(keys.BATCHES, gone)
        for left in (2, 1):
            await forget_expired(ledger.redis, NOW + 2 * KEEP_MS)
            assert left == redis.zcard(keys.BATCHES)
        assert ["b"] == await ledger.batches.names()


@awaited
async def test_a_batch_that_is_made_anew_is_not_forgotten(
    redis_url: str, redis: "Redis", tmp_path: Path
) -> None:
    """Whoever saw that a batch is gone forgets it only if it still is: it stays in both indexes."""
    async with (
        redis_proxy(redis_url, tmp_path) as proxy,
        ledger_at(redis_url) as ledger,
        ledger_at(proxy.url) as slow,
    ):
        for act, command in (
            (lambda: forget_expired(slow.redis, NOW + KEEP_MS + 1), "ZREM"),
            (lambda: slow.batches.forget("b"), "SREM"),
        ):
            forget: Callable[[], Coroutine[None, None, None]] = act
            await ledger.submit(1)
            redis.delete(keys.batch("b"))
            proxy.fail(command, Failure.HOLD)
            forgetting = asyncio.create_task(forget())
            await proxy.failing.wait()
            await ledger.submit(1)
            proxy.fail(None)
            await forgetting
            seen = (await ledger.batches.names(), await ledger.batches.active())
            proxy.failing.clear()
            redis.flushdb()

            assert (["b"], ["b"]) == seen
