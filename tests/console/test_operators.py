"""Several operators, and one with second thoughts: at once, twice, under way, too late."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.process.test_worker import declines
from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.program import COMMAND, Finished, Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S
from worker.process.children import child_environment

FAR = "2099-01-01T00:00:00Z"
ROUNDS = 2
MANY = 300
LONG = 400
PIPE = 65_536
BIG = 3_200
MAILBOXES = 16
"""Few, so that each takes seconds, and their calls are all that may be in flight."""

BUSY = {"BULKRSVP_MAX_CALLS": "64"}
WATCHED_S = 2.5
"""How long Graph is watched after a command, in seconds."""


def at_once(program: Program, *commands: list[str]) -> list[Finished]:
    """Start commands together; return what each printed, and how it ended."""
    return [_finished(running) for running in [_start(program, command) for command in commands]]


def submit_at_once(
    program: Program, *files: list[dict[str, Any]], options: Sequence[str]
) -> list[Finished]:
    """Submit files together: all have begun to read when the end of each is given."""
    command = ["submit", "-", "--format", "jsonl", *options]
    all_running = [_start(program, command) for _ in files]
    for running, rows in zip(all_running, files, strict=True):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        assert len(text) > PIPE, "more than waits in a pipe, so that it is being read"
        assert running.stdin is not None
        running.stdin.write(text)
        running.stdin.flush()
    for running in all_running:
        assert running.stdin is not None
        running.stdin.close()
        running.stdin = None
    return [_finished(running) for running in all_running]


def _start(program: Program, command: Sequence[str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [COMMAND, *command],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=child_environment(program.environment),
        cwd=program.folder,
    )


def _finished(running: "subprocess.Popen[str]") -> Finished:
    out, err = running.communicate(timeout=PATIENCE_S)
    return Finished(running.returncode, out, err)


def file_of(name: str) -> list[dict[str, Any]]:
    """Make the rows of a file of some size; no other name has the same."""
    rows = declines(MANY)
    return [row | {"event": f"{name}-{row['event']}", "comment": "x" * LONG} for row in rows]


def test_the_same_file_submitted_at_once_is_one_batch(
    program: Program, sandbox: SandboxClient
) -> None:
    """Two who submit the same file at once make one batch of it, under one id, sent once."""
    batches = set()
    with program.worker():
        for number in range(ROUNDS):
            rows = file_of(str(number))
            both = submit_at_once(program, rows, rows, options=["--json"])
            assert [0, 0] == [each.code for each in both]
            told = sorted((each.json for each in both), key=lambda answer: answer["created"])
            batch = told[0]["batch"]
            said = {"batch": batch, "total": MANY, "duplicates": 0, "cancelled": False}
            assert [said | {"created": False}, said | {"created": True}] == told
            status = program.wait_until_finished(batch)
            assert ({"sent": MANY}, MANY) == (status["outcomes"], status["calls"])
            batches.add(batch)

    assert ROUNDS == len(batches)
    assert (MANY * ROUNDS, []) == (sandbox.stats().taken, sandbox.stats().duplicates)


def test_of_two_files_under_one_id_one_wins(program: Program, sandbox: SandboxClient) -> None:
    """Of two files under one id one wins; of the other nothing is sent, and its operator knows."""
    with program.worker():
        for number in range(ROUNDS):
            batch, names = f"leavers-{number}", [f"{number}-a", f"{number}-b"]
            both = submit_at_once(program, *map(file_of, names), options=["--batch", batch])
            program.wait_until_finished(batch)

            assert [0, 2] == sorted(each.code for each in both)
            won, lost = sorted(zip(names, both, strict=True), key=lambda pair: pair[1].code)
            assert ("", True) == (lost[1].out, "nothing was queued" in lost[1].err)
            assert repr(batch) in lost[1].err
            events = Counter(call.event for call in sandbox.journal())
            assert Counter(row["event"] for row in file_of(won[0])) == events
            sandbox.clear()


ENDED_WELL = [
    {"user": "ada@c.com", "event": "plain", "action": "decline"},
    {"user": "ada@c.com", "event": "declined-1", "action": "decline"},
    {"user": "ada@c.com", "event": "organizer-1", "action": "decline"},
]


def test_retry_leaves_alone_what_ended_well(program: Program, sandbox: SandboxClient) -> None:
    """Whatever `retry` is asked for, only what failed is called again."""
    failed = {"user": "denied@c.com", "event": "x", "action": "decline"}
    batch = program.submit([*ENDED_WELL, failed], "--check-first")
    program.burst()
    before = program.here("results", batch, "--format", "jsonl").lines
    assert ["sent", "already", "skipped", "failed"] == [line["outcome"] for line in before]
    first = len(sandbox.journal())

    wrong = [["retry", batch, "--outcome", name] for name in ("sent", "already", "skipped")]
    assert [(2, "", True)] * 3 == [
        (each.code, each.out, "is not one of 'failed', 'expired', 'uncertain'" in each.err)
        for each in at_once(program, *wrong)
    ]
    vain = [["retry", batch, "--reason", name] for name in ("accepted", "organizer")]
    assert ["queued 0", "queued 0"] == [each.err[:8] for each in at_once(program, *vain)]
    both = at_once(program, ["retry", batch], ["retry", batch])
    assert ["queued 0", "queued 1"] == sorted(each.err[:8] for each in both)
    program.burst()

    assert {"denied@c.com"} == {call.user for call in sandbox.journal(first)}
    assert before[:3] == program.here("results", batch, "--format", "jsonl").lines[:3]


def test_retry_of_a_batch_that_is_paused(program: Program, sandbox: SandboxClient) -> None:
    """What expired in a pause and is queued again stays paused, and `retry` says so."""
    batch = program.submit(declines(2), "--deadline", "2s")
    program.here("pause", batch)
    with program.worker():
        expired = program.wait_until_finished(batch)["outcomes"]
        retried = program("retry", batch)
        called = sandbox.journal()

    assert ({"expired": 2}, []) == (expired, called)
    assert f"queued 2 responses of batch {batch} again" in retried.err
    assert f"is paused; resume it with: bulkrsvp resume {batch}" in retried.err


def late_calls(sandbox: SandboxClient) -> int:
    """Count what Graph receives later than a second after now, for some seconds."""
    now = time.time()
    time.sleep(WATCHED_S)
    return sum(call.arrived_at > now + 1 for call in sandbox.journal())


def test_pause_and_cancel_act_within_a_second(program: Program, sandbox: SandboxClient) -> None:
    """A second after `pause` or `cancel` has returned no call is made; all is accounted for."""
    sandbox.options(latency_s=0.1)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(BIG, MAILBOXES))
    with ordeal.worker(**BUSY):
        ordeal.wait_for_calls(200)
        assert 0 == program("pause", ordeal.batch).code
        late = late_calls(sandbox)
        paused = program.here("status", ordeal.batch, "--json").json
        before = len(sandbox.journal())
        assert 0 == program("resume", ordeal.batch).code
        ordeal.wait_for_calls(before + 200)
        assert 0 == program("cancel", ordeal.batch).code
        late += late_calls(sandbox)
        ordeal.wait_for_the_end()

    assert 0 == late
    assert ("paused", True) == (paused["state"], 0 < paused["open"] < BIG)
    assert [] == ordeal.violations()
    sent = len(sandbox.taken())
    status = program.here("status", ordeal.batch, "--json").json
    assert ("cancelled", {"sent": sent, "cancelled": BIG - sent}) == (
        status["state"],
        status["outcomes"],
    )


def test_what_has_ended_cannot_be_paused_or_cancelled(program: Program) -> None:
    """What is cancelled already or finished cannot be held or ended, and the words are clear."""
    cancelled = program.submit(declines(1), "--at", FAR)
    program.here("cancel", cancelled)
    again = program("cancel", cancelled)
    finished = program.submit(declines(2))
    program.burst()
    late = at_once(program, *([act, finished] for act in ("pause", "cancel")))

    assert (2, f"bulkrsvp: batch {cancelled} is already cancelled\n") == (again.code, again.err)
    assert {(2, f"bulkrsvp: batch {finished} is finished; nothing can be changed any more\n")} == {
        (each.code, each.err) for each in late
    }
