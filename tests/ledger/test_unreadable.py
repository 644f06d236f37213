"""A record in Redis that is none of ours costs its own response, and no other one."""

from typing import Any

import pytest
from click.testing import CliRunner

from jobs.draft.packing import SLICE_SIZE
from jobs.ledger import keys
from jobs.ledger.queue import job_id
from jobs.operations.results import read_results
from jobs.operations.status import describe
from tests.support.awaited import awaited
from tests.support.harness import Harness, harnessed
from tests.support.program import Program
from tests.support.rarely import first_always
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import events
from worker.commands import main

NONSENSE = [
    b'["s",1]',
    b"",
    b"\xff\xfe",
    b"[" * 5_000,
    b'["q",0,0,null,null,null,null,0,0,0,0,["none"]]',
    b'["s",0,0,null,null,null,["sent","not_found"],5]',
]


async def open_again(harness: Harness, redis: Any) -> None:
    """Have the slice opened now, whenever it wanted to come back."""
    redis.zadd(keys.QUEUE, {job_id("b", 0): 1})
    await harness.poll()


@pytest.mark.parametrize("text", first_always(NONSENSE))
@awaited
async def test_the_others_go_on(redis_url: str, redis: Any, text: bytes) -> None:
    """All others end; the one is named once, and shown; put right, it ends as well."""
    async with harnessed(redis_url) as harness:
        await harness.submit(4)
        redis.hset(keys.slice_records("b", 0), "2", text)
        await harness.poll()
        for _ in range(3):
            await open_again(harness, redis)
        told, batch = events(harness.heard), await harness.ledger.batches.get("b")
        unread = list[Any]()
        results = await read_results(harness.ledger.batches, "b", tell=unread.append)
        status = describe(batch, await harness.ledger.batches.pauses("b", 0))
        due = redis.zscore(keys.QUEUE, job_id("b", 0))
        redis.hdel(keys.slice_records("b", 0), "2")
        await open_again(harness, redis)
        mended = await harness.ledger.batches.get("b")

    assert ["expired", None, "expired", "expired"] == [each["outcome"] for each in results]
    assert [None, "unreadable_record", None, None] == [each["reason"] for each in results]
    assert [2] == [line.row for line in unread]
    assert (1, 0) == (told.count("record.unreadable"), told.count("slice.crashed"))
    assert (1, 1, None) == (status["open"], status["unreadable"], status["finishedAt"])
    assert due > 1
    assert (0, {}, True) == (mended.open, mended.unreadable, mended.finished_at_ms > 0)


def test_results_name_a_record_that_cannot_be_read(program: Program, redis: Any) -> None:
    """`results` lists all, and says on standard error which one cannot be read."""
    rows = [{"user": "a@b.c", "event": f"E{n}", "action": "decline"} for n in range(3)]
    batch = program.submit(rows)
    redis.hset(keys.slice_records(batch, 0), "2", b'["s",{}]')
    run = CliRunner().invoke(main, ["results", batch], env=program.environment)
    status = CliRunner().invoke(main, ["status", batch], env=program.environment)

    assert (0, 0) == (run.exit_code, status.exit_code), run.output
    assert 3 == sum("decline" in line for line in run.stdout.splitlines())
    assert "unreadable_record" in run.stdout
    assert "row 2: Redis holds no record of it, but: not a record: a dict at" in run.stderr


def test_what_a_selection_has_found(program: Program, redis: Any) -> None:
    """Where what was found cannot be read, that selection alone is named."""
    rows: list[dict[str, Any]] = [
        {"user": "a@b.c", "events": {"from": "2026-12-01T00:00:00Z"}, "action": "decline"},
        {"user": "a@b.c", "event": "E", "action": "decline"},
    ]
    batch = program.submit(rows, "--plan")
    redis.hset(keys.slice_records(batch, 0), "found:1", b"nonsense")
    run = CliRunner().invoke(main, ["results", batch, "--format", "jsonl"], env=program.environment)

    assert 0 == run.exit_code, run.output
    assert 2 == len(run.stdout.splitlines())
    assert "row 1: Redis holds no record of it, but: what was found is not as it" in run.stderr


def test_a_slice_that_cannot_be_read_hides_no_other(
    program: Program, sandbox: SandboxClient, redis: Any
) -> None:
    """`results` and `retry` do what they can, name the slice, and exit as an unreadable ledger."""
    sandbox.faults([{"times": -1, "status": 403, "code": "ErrorAccessDenied"}])
    rows = [
        {"user": f"p{n}@contoso.com", "event": "E1", "action": "decline"}
        for n in range(2 * SLICE_SIZE)
    ]
    batch = program.submit(rows)
    program.burst()
    redis.hset(keys.rows(batch), "0", b"nonsense")
    results = program.here("results", batch, "--format", "jsonl")
    retried = program.here("retry", batch)

    assert (4, 4) == (results.code, retried.code)
    assert SLICE_SIZE == len(results.lines)
    assert f"queued {SLICE_SIZE} responses" in retried.err
    assert all(f"left out: batch {batch}, slice 0" in each.err for each in (results, retried))
