"""Slices whose records were put away: read, written late, retried, closed by two, opened again."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from config.errors import InputError
from jobs.ledger import keys
from jobs.ledger.fields import SliceField
from jobs.ledger.forms.archive import MOST
from jobs.ledger.forms.batch import SELECTING, VERSIONS
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.store import Closed
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.outcome import Outcome
from tests.ledger.test_ledger import reopen
from tests.slice.test_finding import ADA, CALENDAR, selection
from tests.support.awaited import awaited
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import FAILED, NOW, SENT, Ledger, ledger_at

DAY_S = 86_400


def fields(redis: Any, number: int = 0, batch: str = "b") -> set[bytes]:
    """Name the fields that a slice has."""
    return set(redis.hkeys(keys.slice_records(batch, number)))


PUT_AWAY = {b"archive", b"epoch", b"done"}
"""What is left of a slice when its records are put away."""


async def lines_of(ledger: Ledger, batch: str = "b") -> list[Entry]:
    """Read all responses of a batch."""
    found = await ledger.batches.get(batch)
    return [line async for part in ledger.batches.lines(found) for line in part]


async def settle_all(ledger: Ledger, part: OpenSlice) -> None:
    """Settle what is open of a slice, and log it."""
    await asyncio.gather(*(ledger.settle(part, entry) for entry in part.entries))
    part.logged += [entry.row for entry in part.entries]


# At the end of a slice


@pytest.mark.parametrize("size", [1, 3, 2_345])
@awaited
async def test_a_slice_that_is_done_is_put_away(redis_url: str, redis: Any, size: int) -> None:
    """Of a slice that is done one field is left, and its responses are read as they were."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(size)
        part = await ledger.open()
        for entry in part.entries[:2]:
            await ledger.mark(part, entry, f"{entry.row}")
        await settle_all(ledger, part)
        before = await lines_of(ledger)
        closed = await ledger.slices.close(part)

        assert (Closed.FINISHED, PUT_AWAY) == (closed, fields(redis))
        assert before == await lines_of(ledger) == list(part.lines.values())
        assert {True} == {line.stored.startswith(b'["s",') for line in before}


@awaited
async def test_only_what_is_done_is_put_away(redis_url: str, redis: Any) -> None:
    """While one response is open, or its end not logged, the records stay as they are."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        await ledger.settle(part, part.entries[0])
        part.logged.append(1)
        closed = [await ledger.slices.close(part)]
        await ledger.settle(part, part.entries[1])
        closed.append(await ledger.slices.close(part))

        assert ([Closed.OPEN] * 2, False) == (closed, SliceField.ARCHIVE in fields(redis))


@awaited
async def test_closing_puts_away_what_others_had_settled(redis_url: str, redis: Any) -> None:
    """Who closes a slice puts away also what others had settled before."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        first = await ledger.open()
        await ledger.settle(first, first.entries[1], FAILED)
        first.logged.append(2)
        await ledger.slices.close(first)

        assert Closed.FINISHED == await ledger.finish(0)
        assert [SENT, FAILED, SENT] == [line.record.ending for line in await lines_of(ledger)]
    assert PUT_AWAY == fields(redis)


@awaited
async def test_what_is_left_plain(redis_url: str, redis: Any) -> None:
    """Records stay in a batch of a form that older workers know, and in a huge slice."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2, batch="older")
        redis.hset(keys.batch("older"), "version", SELECTING)
        await ledger.submit(MOST + 1, batch="huge")
        for batch in ("older", "huge"):
            part = await ledger.open(batch=batch)
            await settle_all(ledger, part)
            assert Closed.FINISHED == await ledger.slices.close(part)

    assert {b"1", b"2", b"epoch", b"done"} == fields(redis, batch="older")
    assert MOST + 3 == len(fields(redis, batch="huge"))


@awaited
async def test_a_batch_of_a_newer_form_is_not_read(redis_url: str, redis: Any) -> None:
    """What a newer version has put away, perhaps in its own way, is not shown as open."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        redis.hset(keys.batch("b"), "version", max(VERSIONS) + 1)
        with pytest.raises(InputError, match="newer version"):
            await lines_of(ledger)


# Two at once


@awaited
async def test_two_workers_close_a_slice(redis_url: str, redis: Any) -> None:
    """Of two who know all ends one puts them away, and the other one changes nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        old = await ledger.open()
        for entry in old.entries[:2]:
            await ledger.settle(old, entry)
        new = await ledger.open(worker="v")
        await settle_all(ledger, new)
        assert WriteStatus.OK == await ledger.settle(old, old.entries[2])
        new.logged += [entry.row for entry in new.unlogged]
        closed = [await ledger.slices.close(new)]
        before = redis.hgetall(keys.slice_records("b", 0))
        closed += [await ledger.slices.close(part) for part in (old, new)]

        assert [Closed.FINISHED, Closed.DONE, Closed.DONE] == closed
        assert before == redis.hgetall(keys.slice_records("b", 0))
        assert PUT_AWAY == before.keys()


@awaited
async def test_who_knows_less_puts_nothing_away(redis_url: str, redis: Any) -> None:
    """Where another worker has found out something else, its record is kept, and not ours."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        await settle_all(ledger, part)
        newer = part.entries[0].record._replace(ending=FAILED)
        redis.hset(keys.slice_records("b", 0), "1", newer.to_json())
        closed = await ledger.slices.close(part)

        assert (Closed.FINISHED, False) == (closed, SliceField.ARCHIVE in fields(redis))
        assert [newer, part.entries[1].record] == [each.record for each in await lines_of(ledger)]


@awaited
async def test_a_mark_comes_after_all_was_put_away(redis_url: str) -> None:
    """Who holds the slice now, and has not heard of its end, gets no leave to send once more."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        old = await ledger.open()
        new = await ledger.open(worker="v")
        await settle_all(ledger, old)
        assert Closed.FINISHED == await ledger.slices.close(old)
        batch = await ledger.batches.get("b")
        first, second = new.entries

        assert (b"", b"") == (first.stored, second.stored)
        assert WriteStatus.CONFLICT == await ledger.mark(new, first)
        assert Answer(WriteStatus.CONFLICT) == await ledger.look(new, first)
        assert Answer(WriteStatus.CONFLICT) == await ledger.slices.write(
            new, Kind.NOTE, first, first.record.unknown(NOW)
        )
        assert WriteStatus.CONFLICT == await ledger.settle(new, second, FAILED)
        assert batch == await ledger.batches.get("b")
        assert Closed.DONE == await ledger.slices.close(new)


@awaited
async def test_an_end_is_said_again(redis_url: str) -> None:
    """An end repeated after it was put away, for its reply was lost, is no conflict."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        part = await ledger.open()
        unheard = replace(part.entries[0])
        await settle_all(ledger, part)
        await ledger.slices.close(part)
        batch = await ledger.batches.get("b")

        assert WriteStatus.OK == await ledger.settle(part, unheard)
        assert unheard == part.entries[0]
        assert batch == await ledger.batches.get("b")


@awaited
async def test_nothing_is_found_any_more(redis_url: str, redis: Any) -> None:
    """What a selection has found comes too late when its slice was put away."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        late = await ledger.open()
        await ledger.finish(0)
        batch, before = await ledger.batches.get("b"), redis.hgetall(keys.slice_records("b", 0))
        found = await ledger.slices.keep_found(late, late.entries[0], None, [])  # type: ignore[arg-type]

        assert found is None
        assert batch == await ledger.batches.get("b")
        assert before == redis.hgetall(keys.slice_records("b", 0))


@awaited
async def test_a_slice_is_opened_again(redis_url: str, redis: Any) -> None:
    """A job that comes twice finds nothing to do in what was put away, and leaves it so."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(3)
        await ledger.finish(0)
        before = await lines_of(ledger)
        part = await ledger.open(worker="v")
        closed = await ledger.slices.close(part)

        assert ([], [], 3) == (part.entries, part.unlogged, part.size)
        assert (Closed.DONE, PUT_AWAY) == (closed, fields(redis))
        assert before == await lines_of(ledger)
    assert keys.KEEP_S == redis.ttl(keys.slice_records("b", 0))


@awaited
async def test_a_slice_put_away_late_expires_all_the_same(redis_url: str, redis: Any) -> None:
    """Where the batch has finished before, what is put away lasts as long as it would have."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        redis.hset(keys.batch("b"), "version", SELECTING)
        await ledger.finish(0)
        redis.hset(keys.batch("b"), "version", max(VERSIONS))
        redis.expire(keys.slice_records("b", 0), DAY_S)
        part = await ledger.open(worker="v")

        assert Closed.DONE == await ledger.slices.close(part)
    assert PUT_AWAY == fields(redis)
    assert 0 < redis.ttl(keys.slice_records("b", 0)) <= DAY_S


# Again


@awaited
async def test_a_retry_takes_records_out(redis_url: str, redis: Any) -> None:
    """A retry leaves what it does not queue as it was, and the next end puts all away again."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(3)
        await ledger.finish(0, [SENT, FAILED, SENT])
        before = await lines_of(ledger)
        counts = await reopen(ledger, batch, NOW)
        out, after = fields(redis), await lines_of(ledger)
        closed = await ledger.finish(0)

        assert ([(1, 0)], {b"1", b"2", b"3", b"epoch", b"done"}) == (counts, out)
        assert ([before[0], before[2]], before[1].record.reopened()) == (
            [after[0], after[2]],
            after[1].record,
        )
        assert (Closed.FINISHED, PUT_AWAY) == (closed, fields(redis))
        assert {Outcome.SENT: 3} == (await ledger.batches.get("b")).outcomes


@awaited
async def test_many_retries_at_once_queue_each_response_once(redis_url: str) -> None:
    """However many take the records out at once, each response is queued once."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(2)
        await ledger.finish(0, [FAILED, FAILED])
        counts = await asyncio.gather(*(reopen(ledger, batch, NOW) for _ in range(5)))

        assert 2 == sum(count for retry in counts for count, _ in retry)
        assert 2 == (await ledger.batches.get("b")).open


@awaited
async def test_a_retry_just_before_the_close_is_not_put_away(redis_url: str, redis: Any) -> None:
    """What is queued again before its slice is closed is not put away, nor what came of it lost."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(2)
        part = await ledger.open()
        for entry in part.entries:
            await ledger.settle(part, entry, FAILED)
        part.logged += [1, 2]
        logged = await ledger.open(worker="v")
        logged.logged += [1, 2]
        await ledger.slices.write(logged, Kind.LOOK, logged.unlogged[0], logged.unlogged[0].record)
        counts = await reopen(ledger, batch, NOW)
        closed = [await ledger.slices.close(part)]
        ledger.now_ms += 1
        heir = await ledger.open(worker="v")
        await settle_all(ledger, heir)
        await ledger.slices.write(heir, Kind.LOOK, heir.entries[0], heir.entries[0].record)
        closed.append(await ledger.slices.close(part))

        assert ([(2, 0)], [Closed.OPEN, Closed.FINISHED]) == (counts, closed)
        assert SliceField.ARCHIVE not in fields(redis)
        assert heir.entries == await lines_of(ledger)
        assert {Outcome.SENT: 2} == (await ledger.batches.get("b")).outcomes
        assert Closed.DONE == await ledger.slices.close(heir)
    assert PUT_AWAY == fields(redis)


@awaited
async def test_a_retry_that_read_another_archive(redis_url: str, redis: Any) -> None:
    """Who was faster has put away something else by then: it is read again, and nothing is lost."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(1)
        await ledger.finish(0, [FAILED])
        before = redis.hgetall(keys.slice_records("b", 0))
        names = [keys.batch("b"), keys.slice_records("b", 0), "active", "released", "rows", "un"]
        answer = await ledger.retries._script(
            names, ["b", 0, NOW, "another", 1, "1", "wrong", "1", "wrong", "new", "failed", 0]
        )

        assert (None, before) == (answer, redis.hgetall(keys.slice_records("b", 0)))
        assert [(1, 0)] == await reopen(ledger, batch, NOW)


# With the real command


def test_results_and_retry_of_what_was_put_away(
    program: Program, sandbox: SandboxClient, redis: Any
) -> None:
    """What was found and sent is put away, and is told, planned and tried again as ever."""
    sandbox.plant(ADA, CALENDAR)
    rows = [
        selection(),
        {"user": "bob@contoso.com", "event": "plain", "action": "decline"},
        {"user": "denied@contoso.com", "event": "x", "action": "decline"},
    ]
    batch = program.submit(rows)
    settled = {line["row"]: line for line in program.burst().events("response.settled")}
    first = {line["row"]: line for line in program.results(batch)}
    put_away = all_fields(redis, batch)
    retried = program.here("retry", batch)
    again = program.burst().events("response.settled")
    second = {line["row"]: line for line in program.results(batch)}

    assert settled.keys() == first.keys() == {*(f"1.{n}" for n in range(1, 10)), 2, 3}
    for line in first.values():
        told = settled[line["row"]]
        assert (told["outcome"], told["request_id"]) == (line["outcome"], line["requestId"])
        assert told["client_request_id"] == line["clientRequestId"]
    assert PUT_AWAY | {b"found:1"} == put_away == all_fields(redis, batch)
    assert ("queued 1" in retried.err, [3]) == (True, [line["row"] for line in again])
    changed = {row for row in first if first[row] != second[row]}
    assert (first.keys(), {3}) == (second.keys(), changed)
    assert (
        first[3]["clientRequestId"] != second[3]["clientRequestId"] == again[0]["client_request_id"]
    )


def all_fields(redis: Any, batch: str) -> set[bytes]:
    """Name all fields that the slices of a batch have."""
    slices = redis.scan_iter(keys.slices_prefix(batch) + "*")
    return {field for name in slices for field in redis.hkeys(name)}
