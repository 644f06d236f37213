"""What an administrator does with a batch: look at it, hold it, end it, try its failures again."""

import csv
import io
import json
import shlex
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.program import COMMAND, Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running

FAR = "2099-01-01T00:00:00Z"


def declines(count: int, user: str = "ada@contoso.com") -> list[dict[str, Any]]:
    """Make declines of one user."""
    return [{"user": user, "event": f"e{n}", "action": "decline"} for n in range(count)]


def test_status_has_the_promised_keys(program: Program, redis: Redis) -> None:
    """A batch's status has the promised keys, before and after."""
    batch = program.submit(declines(3))
    before = program.here("status", batch, "--json").json
    program.burst()
    after = program.here("status", batch, "--json").json

    promised = ("batch", "state", "total", "open", "outcomes", "throttled", "finishedAt")
    assert [batch, "running", 3, 3, {}, 0, None] == [before[key] for key in promised]
    assert [batch, "finished", 3, 0, {"sent": 3}, 0] == [after[key] for key in promised[:-1]]
    assert before["submittedAt"] == after["submittedAt"] < after["finishedAt"]
    assert [after] == program.here("status", "--json").json
    assert all(text in program("status").out for text in (batch, "finished"))
    assert "sent" in program.here("status", batch).out
    forgotten = [key for key in redis.scan_iter("bulkrsvp:batch:*") if redis.ttl(key) == -1]
    assert [] == forgotten


def test_results_can_be_fed_back(program: Program) -> None:
    """The results, as CSV and as JSON Lines, are the same batch when submitted again."""
    slot = {
        "start": {"dateTime": "2026-12-02T18:00:00", "timeZone": "Pacific Standard Time"},
        "end": {"dateTime": "2026-12-02T19:00:00", "timeZone": "Pacific Standard Time"},
    }
    rows = [
        *declines(2),
        {"user": "b@c.com", "event": "x", "action": "tentative", "proposedNewTime": slot},
        {"user": "b@c.com", "event": "y", "action": "decline", "comment": 'a "b",\n=c'},
        {"user": "b@c.com", "event": "z", "action": "decline", "sendResponse": False},
    ]
    batch = program.submit(rows)
    program.burst()
    for form in ("csv", "jsonl"):
        program.here("results", batch, "--format", form, "--output", f"results.{form}")
        again = program.here("submit", f"results.{form}", "--json").json
        told = {"batch": batch, "created": False, "total": 5, "duplicates": 0, "cancelled": False}
    assert told == again
    assert 5 == len(
        list(csv.DictReader(io.StringIO(program.here("results", batch, "--format", "csv").out)))
    )


def test_results_are_private(program: Program) -> None:
    """A file of results is for its owner only, also where one was that others could read."""
    batch = program.submit(declines(2))
    old = program.folder / "old.csv"
    old.write_text("x" * 10_000)
    old.chmod(0o644)
    for file in ("old.csv", "new.csv"):
        assert 0 == program.here("results", batch, "--format", "csv", "--output", file).code
    written = [program.folder / name for name in ("old.csv", "new.csv")]
    printed = program.here("results", batch, "--format", "csv").out

    assert [0o600] * 2 == [stat.S_IMODE(each.stat().st_mode) for each in written]
    assert [printed] * 2 == [each.read_bytes().decode() for each in written]


@pytest.mark.parametrize("file", ["missing/x.csv", ".", "/dev/full"])
def test_results_that_cannot_be_written(program: Program, file: str) -> None:
    """Where results cannot be written, a message says so, and no traceback."""
    batch = program.submit(declines(2))
    refused = program("results", batch, "--output", file)
    assert (2, 1) == (refused.code, len(refused.err.splitlines()))
    assert refused.err.startswith("bulkrsvp: Could not open file")


def test_results_can_be_narrowed(program: Program) -> None:
    """Only the outcomes asked for are printed; a table names the user and the reason."""
    rows = [*declines(2), {"user": "denied@c.com", "event": "x", "action": "decline"}]
    batch = program.submit(rows)
    assert [None] * 3 == [
        r["outcome"] for r in program.here("results", batch, "--format", "jsonl").lines
    ]
    program.burst()

    failed = program.here("results", batch, "--outcome", "failed", "--format", "jsonl").lines
    assert [(3, "access_denied")] == [(line["row"], line["reason"]) for line in failed]
    table = program.here("results", batch, "--outcome", "failed").out
    assert [True, True, False] == [t in table for t in ("denied@c.com", "access_denied", "ada@")]


def test_equal_rows_are_one_response(program: Program, sandbox: SandboxClient) -> None:
    """Equal rows are one response, counted as duplicates, and keep the first row's number."""
    rows = [*declines(2), *declines(2, "ADA@contoso.com")[:0], *declines(2)]
    submitted = program("submit", program.write("rows.jsonl", rows), "--json").json
    program.burst()

    assert (2, 2) == (submitted["total"], submitted["duplicates"])
    assert 2 == len(sandbox.taken())
    results = program.here("results", submitted["batch"], "--format", "jsonl").lines
    assert [1, 2] == [line["row"] for line in results]


def test_an_id_taken_by_other_content_is_refused(program: Program) -> None:
    """An id that is taken by other content is refused; the same content is no new batch."""
    program.write("a.jsonl", declines(2))
    program.write("b.jsonl", declines(3))
    first = program.here("submit", "a.jsonl", "--batch", "leavers")
    refused = program("submit", "b.jsonl", "--batch", "leavers")
    again = program.here("submit", "a.jsonl", "--batch", "leavers", "--json")

    assert (0, "leavers\n") == (first.code, first.out)
    assert (2, "", True) == (refused.code, refused.out, "leavers" in refused.err)
    assert (0, False) == (again.code, again.json["created"])


def test_a_dry_run_queues_nothing_and_needs_no_redis(program: Program, redis: Redis) -> None:
    """A dry run checks and counts, and queues nothing; it needs no Redis."""
    program.write("rows.jsonl", [*declines(3), *declines(1)])
    checked = program(
        "submit", "rows.jsonl", "--dry-run", "--json", REDIS_URL="redis://127.0.0.1:1"
    )

    assert (3, 1, False) == tuple(checked.json[key] for key in ("total", "duplicates", "created"))
    assert 0 == redis.dbsize()


def test_a_batch_for_later_is_scheduled_and_not_sent(
    program: Program, sandbox: SandboxClient
) -> None:
    """A batch for later is scheduled, not sent; a burst does not wait for it; cancel ends it."""
    batch = program.submit(declines(3), "--at", FAR)
    program.burst()
    assert ("scheduled", 3) == _state_and_open(program, batch)
    program.here("cancel", batch)
    worker = program.burst()

    assert ("cancelled", 0) == _state_and_open(program, batch)
    assert ["cancelled"] * 3 == [line["outcome"] for line in worker.events("response.settled")]
    assert [] == sandbox.journal()


def _state_and_open(program: Program, batch: str) -> tuple[str, int]:
    status = program.here("status", batch, "--json").json
    return status["state"], status["open"]


def test_what_was_not_sent_by_the_deadline_expires(
    program: Program, sandbox: SandboxClient
) -> None:
    """What has not been sent by the deadline ends as expired, and the exit code tells it."""
    sandbox.options(retry_after="600", busy_times=1)
    rows = [*declines(2), {"user": "busy@c.com", "event": "x", "action": "decline"}]
    with program.worker() as worker:
        worker.wait_for("worker.started")
        batch = program.submit(rows, "--deadline", "8s")
        outcomes = program.wait_until_finished(batch)["outcomes"]

    assert {"sent": 2, "expired": 1} == outcomes
    assert 1 == program("submit", "rows.jsonl", "--watch").code


def test_a_paused_batch_sends_nothing_until_it_is_resumed(
    program: Program, sandbox: SandboxClient
) -> None:
    """A paused batch sends nothing, whoever works; resumed it goes on to the end."""
    sandbox.options(latency_s=0.5)
    batch = program.submit(declines(400))
    with program.worker():
        program.wait_for(batch, lambda status: 0 < status["open"] < 400)
        assert 0 == program("pause", batch).code
        sandbox.options(latency_s=0.05)
        paused = program.wait_for(batch, lambda status: status["state"] == "paused")
        seen = len(sandbox.journal())
        still = program.here("status", batch, "--json").json
        assert 0 < still["open"] <= paused["open"]
        assert len(sandbox.journal()) <= seen + 4
        assert 0 == program("resume", batch).code
        assert {"sent": 400} == program.wait_until_finished(batch)["outcomes"]
    assert 400 == len(sandbox.taken())


def test_a_cancelled_batch_sends_nothing_more(program: Program, sandbox: SandboxClient) -> None:
    """Cancelled under way, what was sent stays sent and the rest is never sent."""
    sandbox.options(latency_s=0.5)
    batch = program.submit(declines(400))
    with program.worker() as worker:
        program.wait_for(batch, lambda status: 0 < status["open"] < 400)
        assert 0 == program("cancel", batch).code
        status = program.wait_until_finished(batch)
    outcomes = status["outcomes"]
    assert ("cancelled", 400) == (status["state"], outcomes["sent"] + outcomes["cancelled"])
    assert outcomes["sent"] == len(sandbox.taken())
    assert 400 == len(worker.events("response.settled"))
    assert 2 == program.here("cancel", batch).code


def test_retry_queues_failures_again_and_nothing_that_ended_well(
    program: Program, sandbox: SandboxClient
) -> None:
    """Failures are tried again in the same batch, narrowed by reason; what ended well is not."""
    rows = [
        *declines(3),
        {"user": "denied@c.com", "event": "x", "action": "decline"},
        {"user": "unlicensed@c.com", "event": "x", "action": "decline"},
    ]
    batch = program.submit(rows)
    program.burst()
    assert "queued 0" in program.here("retry", batch, "--reason", "not_found").err
    assert "queued 1" in program("retry", batch, "--reason", "access_denied").err
    assert ("running", 1) == _state_and_open(program, batch)
    worker = program.burst()

    assert {"sent": 3, "failed": 2} == program.here("status", batch, "--json").json["outcomes"]
    assert [("denied@c.com", 1)] == [
        (line["user"], line["attempts"]) for line in worker.events("response.settled")
    ]
    assert 1 == len(worker.events("batch.finished"))
    assert 6 == len(sandbox.journal())


def test_check_first_looks_at_each_event(program: Program, sandbox: SandboxClient) -> None:
    """Each event is looked at first, and only what may be answered is."""
    events = ["organizer-1", "cancelled-1", "not-requested-1", "declined-1", "accepted-1", "plain"]
    rows = [{"user": "ada@c.com", "event": event, "action": "decline"} for event in events]
    batch = program.submit(rows, "--check-first")
    program.burst()

    results = program.here("results", batch, "--format", "jsonl").lines
    assert [
        ("skipped", "organizer"),
        ("skipped", "cancelled"),
        ("skipped", "not_requested"),
        ("already", None),
        ("sent", "accepted"),
        ("sent", "accepted"),
    ] == [(line["outcome"], line["reason"]) for line in results]
    assert 6 == sandbox.stats().looks
    assert ["accepted-1", "plain"] == sorted(
        entry.event for entry in sandbox.taken() if entry.event
    )


def test_watch_follows_to_the_end(program: Program) -> None:
    """`submit --watch` follows to the end: exit 0 when all went well, 1 when not."""
    with program.worker():
        program.write("good.jsonl", declines(3))
        program.write("bad.jsonl", declines(1, "denied@c.com"))
        codes = [program("submit", f"{name}.jsonl", "--watch").code for name in ("good", "bad")]
    assert [0, 1] == codes


def test_json_is_the_only_output(program: Program) -> None:
    """With --json standard output is JSON and nothing else."""
    program.write("rows.jsonl", declines(1))
    assert ["batch", "created", "total", "duplicates", "cancelled"] == list(
        json.loads(program("submit", "rows.jsonl", "--json").out)
    )


def test_sandbox_prints_what_to_export(tmp_path: Path) -> None:
    """`bulkrsvp sandbox` prints the environment that a run needs, and ends on SIGTERM."""
    with running([COMMAND, "sandbox"], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        lines = [served.stdout.readline() for _ in range(6)]
        exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        alone = Program(exported, tmp_path)
        ran = alone("run", alone.write("rows.jsonl", declines(2)))
        served.send_signal(signal.SIGTERM)
        served.wait(PATIENCE_S)
    assert (0, 0) == (ran.code, served.returncode), ran.err
