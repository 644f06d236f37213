"""From a file to a batch: all of it or nothing, and the same one however often."""

import sys
from dataclasses import replace
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from config.errors import InputError
from jobs.draft.draft import Refused
from jobs.ledger import keys
from jobs.ledger.batches.store import Commit
from jobs.operations.submit import STDIN, Submitted, Wishes, queue_batch, read_file
from jobs.rows.reading import Format
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import queued
from tests.support.small_ledger import Ledger, ledger_at, order

HOUR_MS = 3_600_000
PLAIN = Wishes(format=None, batch=None, at_ms=0, allowed_ms=HOUR_MS, check_first=False)
CSV = "user,event,action\nada@contoso.com,E1,decline\nbob@contoso.com,E2,tentative\n"
JSONL = """
{"user": "ada@contoso.com", "event": "E1", "action": "decline"}
{"user": "bob@contoso.com", "event": "E2", "action": "tentativelyAccept"}
"""


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Write a file with two rows."""
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    return str(path)


async def submit(ledger: Ledger, file: str, wishes: Wishes = PLAIN) -> Submitted:
    """Make a file a batch."""
    with read_file(file, wishes, proposals_allowed=True) as checked:
        return await queue_batch(ledger.redis, checked, wishes)


def stored(redis: Any) -> dict[bytes, bytes]:
    """Return all that stands in Redis."""
    return {key: redis.dump(key) for key in redis.scan_iter("*")}


@awaited
async def test_a_file_becomes_a_batch(redis_url: str, redis: "Redis", csv: str) -> None:
    """The rows of a file are a batch under the wishes it came with, and its slices are queued."""
    at_ms = now_ms() + HOUR_MS
    wishes = replace(PLAIN, batch="leavers", at_ms=at_ms, check_first=True)
    async with ledger_at(redis_url) as ledger:
        submitted = await submit(ledger, csv, wishes)
        batch = await ledger.batches.get("leavers")
        (lines,) = [lines async for lines in ledger.batches.lines(batch)]

    assert Submitted(batch="leavers", created=True, total=2, duplicates=0) == submitted
    assert (at_ms, at_ms + HOUR_MS, True) == (
        batch.not_before_ms,
        batch.deadline_ms,
        batch.check_first,
    )
    assert [(1, "ada@contoso.com"), (2, "bob@contoso.com")] == [
        (line.row, line.response.user) for line in lines
    ]
    assert ["leavers:0"] == queued(redis)


@awaited
async def test_a_moment_that_has_passed_is_now(redis_url: str, csv: str) -> None:
    """The time for a batch begins when it is submitted, not before."""
    before_ms = now_ms()
    async with ledger_at(redis_url) as ledger:
        submitted = await submit(ledger, csv, replace(PLAIN, at_ms=before_ms - HOUR_MS))
        batch = await ledger.batches.get(submitted.batch)

    assert before_ms <= batch.not_before_ms <= now_ms()
    assert HOUR_MS == batch.deadline_ms - batch.not_before_ms


@awaited
async def test_the_same_rows_are_one_batch(
    redis_url: str, redis: "Redis", csv: str, tmp_path: Path
) -> None:
    """Submitted again, and be it in the other format, rows find the batch that they are."""
    jsonl = tmp_path / "rows.jsonl"
    jsonl.write_text(JSONL)
    async with ledger_at(redis_url) as ledger:
        first = await submit(ledger, csv)
        before = stored(redis)
        again = [await submit(ledger, file) for file in (csv, str(jsonl))]

    assert [replace(first, created=False)] * 2 == again
    assert before == stored(redis)


@awaited
async def test_a_submit_that_died_is_finished(redis_url: str, redis: "Redis", csv: str) -> None:
    """A batch whose submit died before its slices were queued is queued by the next submit."""
    async with ledger_at(redis_url) as ledger:
        with read_file(csv, PLAIN, proposals_allowed=True) as checked:
            wanted = order(2, checked.batch_id, fingerprint=checked.fingerprint)
            commit = await ledger.batches.commit(wanted, checked.slices(), now_ms())
        before = queued(redis)
        submitted = await submit(ledger, csv)

    assert (Commit.CREATED, False) == (commit, submitted.created)
    assert ([], [f"{submitted.batch}:0"]) == (before, queued(redis))


@awaited
async def test_a_name_that_is_taken(redis_url: str, redis: "Redis", csv: str) -> None:
    """Other rows under the id of a batch are refused, and change nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(1, batch="leavers")
        before = stored(redis)
        with pytest.raises(InputError, match="already a batch 'leavers' with other content"):
            await submit(ledger, csv, replace(PLAIN, batch="leavers"))

    assert before == stored(redis)


@awaited
async def test_a_wrong_row_queues_nothing(redis_url: str, redis: "Redis", tmp_path: Path) -> None:
    """One wrong row among good ones, and Redis is not touched."""
    file = tmp_path / "rows.csv"
    file.write_text(CSV + "eve@contoso.com,E3,declien\n")
    async with ledger_at(redis_url) as ledger:
        with pytest.raises(Refused) as caught:
            await submit(ledger, str(file))

    assert [4] == [problem.line for problem in caught.value.problems]
    assert {} == stored(redis)


def piped(text: str) -> Any:
    """Make a stream as standard input has it."""
    return BufferedReader(BytesIO(text.encode()))


def test_standard_input_is_a_file(csv: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes through a pipe is read as a file is, its format told or guessed."""
    found = set()
    for text, form in ((CSV, None), (JSONL, None), (JSONL, Format.JSONL)):
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(piped(text)))
        wishes = replace(PLAIN, format=form)
        with read_file(STDIN, wishes, proposals_allowed=True) as checked:
            found.add(checked.fingerprint)
    with read_file(csv, PLAIN, proposals_allowed=True) as checked:
        assert {checked.fingerprint} == found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there is told with the system's word; a bad id, before it is read."""
    nowhere = str(tmp_path / "nowhere.csv")
    expected = {
        "cannot read .*nowhere.csv: No such file or directory": PLAIN,
        "'a b' cannot be a batch id": replace(PLAIN, batch="a b"),
    }
    for message, wishes in expected.items():
        with (
            pytest.raises(InputError, match=message),
            read_file(nowhere, wishes, proposals_allowed=True),
        ):
            pass


@awaited
async def test_nothing_is_staged_when_all_is_said(redis_url: str, redis: "Redis", csv: str) -> None:
    """Of a submit that went well no staged rows are left behind."""
    async with ledger_at(redis_url) as ledger:
        await submit(ledger, csv)

    assert [] == list(redis.scan_iter(keys.staging("*")))
