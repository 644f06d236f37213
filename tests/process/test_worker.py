"""A worker through what happens to workers: signals, refused tokens, lost replies, a lost log."""

import os
import signal
import subprocess
from collections import Counter
from typing import Any

import pytest
from redis import Redis

from jobs.ledger import keys
from tests.support.program import COMMAND, Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.children import child_environment


def declines(count: int, users: int = 5) -> list[dict[str, Any]]:
    """Make declines of several users."""
    return [
        {"user": f"p{n % users}@contoso.com", "event": f"e{n}", "action": "decline"}
        for n in range(count)
    ]


def wait_for_calls(sandbox: SandboxClient, count: int) -> None:
    """Wait until Graph has received so many calls."""
    wait_until(lambda: len(sandbox.journal()) >= count, "Graph was not called", every_s=0.01)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.chaos)]
)
def test_a_stopping_worker_finishes_its_calls(
    program: Program, sandbox: SandboxClient, number: signal.Signals
) -> None:
    """After a first signal no call is begun, those in flight are recorded, and the exit is 0."""
    sandbox.options(latency_s=0.3)
    batch = program.submit(declines(200))
    with program.worker() as worker:
        wait_for_calls(sandbox, 30)
        assert 0 == worker.stop(number)
    results = Counter(line["outcome"] for line in program.results(batch))

    assert results["sent"] == len(sandbox.taken()) == len(worker.events("call.finished"))
    assert 0 < results[None] == 200 - results["sent"]
    assert "worker.stopped" == worker.log[-1]["event"]


def test_a_second_signal_means_now(
    program: Program, sandbox: SandboxClient, redis: "Redis"
) -> None:
    """A second signal cuts off what hangs, which is no death; the next worker looks first."""
    sandbox.faults([{"event": "e0", "effect": "hang", "taken": True}])
    batch = program.submit(declines(1))
    with program.worker() as worker:
        wait_for_calls(sandbox, 1)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for("worker.draining")
        assert 0 == worker.stop()
    deaths = redis.hget(keys.slice_records(batch, 0), "begun")
    second = program.burst()

    assert deaths is None
    assert {"sent": 1} == program.status(batch)["outcomes"]
    assert ["look", "seen"] == [line["verdict"] for line in second.events("call.finished")]
    assert 1 == len(sandbox.taken())


def test_after_a_kill_another_worker_takes_over(program: Program, sandbox: SandboxClient) -> None:
    """After kill -9 another worker takes over: nothing is sent twice, nothing is lost."""
    sandbox.options(latency_s=0.1)
    batch = program.submit(declines(300))
    with program.worker() as first:
        wait_for_calls(sandbox, 40)
        first.stop(signal.SIGKILL)
    second = program.burst()

    stats = sandbox.stats()
    assert (300, []) == (stats.taken, stats.duplicates)
    assert {"sent": 300} == program.status(batch)["outcomes"]
    settled = Counter(
        line["row"] for worker in (first, second) for line in worker.events("response.settled")
    )
    assert set(range(1, 301)) == set(settled)


def test_a_worker_that_stood_still_sends_nothing_on_old_marks(
    program: Program, sandbox: SandboxClient
) -> None:
    """A worker that is stopped for longer than its lease sends nothing on its old marks."""
    sandbox.options(latency_s=1)
    batch = program.submit(declines(300))
    with program.worker() as first:
        wait_for_calls(sandbox, 40)
        first.process.send_signal(signal.SIGSTOP)
        sandbox.options(latency_s=0.1)
        with program.worker():
            program.wait_until_finished(batch)
            first.process.send_signal(signal.SIGCONT)
            first.wait_for("worker.lease_lost")

    stats = sandbox.stats()
    assert (300, []) == (stats.taken, stats.duplicates)


FAULTS: dict[str, tuple[dict[str, Any], str, str, int]] = {
    "lost after": ({"effect": "lost", "taken": True}, "sent", "inferred", 1),
    "lost before": ({"effect": "lost", "taken": False}, "sent", "accepted", 2),
    "reset after": ({"effect": "reset", "taken": True}, "sent", "inferred", 1),
    "cut after 202": ({"effect": "cut", "taken": True}, "sent", "inferred", 1),
    "500 before": ({"status": 500, "taken": False}, "sent", "accepted", 2),
    "500 after": ({"status": 500, "taken": True}, "sent", "inferred", 1),
    "504 after": ({"status": 504, "taken": True}, "sent", "inferred", 1),
    "503 that says when": (
        {"status": 503, "taken": False, "headers": {"Retry-After": "1"}},
        "sent",
        "accepted",
        1,
    ),
    "hang after": ({"effect": "hang", "taken": True}, "sent", "inferred", 1),
    "hang before": ({"effect": "hang", "taken": False}, "sent", "accepted", 2),
    "redirect": ({"effect": "redirect"}, "sent", "accepted", 2),
    "always 500": ({"status": 500, "taken": False, "times": -1}, "failed", "attempts_exhausted", 3),
}


def test_every_fault_ends_as_it_should(program: Program, sandbox: SandboxClient) -> None:
    """Whatever becomes of a reply, each response is taken at most once and ends as it should."""
    events = {f"e{number}": fault for number, fault in enumerate(FAULTS.values())}
    sandbox.faults([{"method": "POST", "event": e, **f[0]} for e, f in events.items()])
    rows = [{"user": f"u{e}@c.com", "event": e, "action": "decline"} for e in events]
    batch = program.submit(rows)
    program.burst(BULKRSVP_CALL_TIMEOUT_S="1", BULKRSVP_MAX_ATTEMPTS="3")

    results = program.results(batch)
    expected = {name: fault[1:] for name, fault in FAULTS.items()}
    assert expected == {
        name: (line["outcome"], line["reason"], line["attempts"])
        for name, line in zip(FAULTS, results, strict=True)
    }
    assert [] == sandbox.stats().duplicates
    assert {line["event"] for line in results if line["outcome"] == "sent"} == {
        entry.event for entry in sandbox.taken()
    }


def test_a_settle_time_shorter_than_a_call_is_warned_of(program: Program) -> None:
    """A worker that may settle too soon, since Graph is on this machine, warns of it once."""
    hasty = program.burst(BULKRSVP_SETTLE_S="0.5", BULKRSVP_CALL_TIMEOUT_S="1")
    patient = program.burst(BULKRSVP_SETTLE_S="1", BULKRSVP_CALL_TIMEOUT_S="1")

    (line,) = hasty.events("worker.settle_short")
    assert ("warning", 0.5, 1) == (line["level"], line["settle_s"], line["call_timeout_s"])
    assert [] == patient.events("worker.settle_short")


def test_tentative_is_verified(program: Program, sandbox: SandboxClient) -> None:
    """A tentative answer whose reply was lost is seen in the calendar; nothing is sent twice."""
    sandbox.faults([{"method": "POST", "effect": "lost", "taken": True}])
    batch = program.submit([{"user": "a@c.com", "event": "e", "action": "tentativelyAccept"}])
    program.burst()

    (line,) = program.results(batch)
    assert ("sent", "verified", 1) == (line["outcome"], line["reason"], line["attempts"])
    assert 1 == len(sandbox.taken())


def test_what_cannot_be_looked_at_is_uncertain(program: Program) -> None:
    """What may have been sent and cannot be looked at is uncertain; only naming it retries it."""
    batch = program.submit([{"user": "a@c.com", "event": "unreadable-1", "action": "decline"}])
    program.burst()

    assert {"uncertain": 1} == program.status(batch)["outcomes"]
    assert "queued 0" in program.here("retry", batch).err
    assert "queued 1" in program.here("retry", batch, "--outcome", "uncertain").err


def test_a_revoked_token_is_replaced_once(program: Program, sandbox: SandboxClient) -> None:
    """When Graph refuses the token a new one is fetched once, and nothing is lost by it."""
    sandbox.options(latency_s=0.05)
    batch = program.submit(declines(200))
    with program.worker() as worker:
        wait_for_calls(sandbox, 20)
        sandbox.revoke_tokens()
        status = program.wait_until_finished(batch)

    assert {"sent": 200} == status["outcomes"]
    assert 2 == len(sandbox.token_requests())
    refused = [line for line in worker.events("call.finished") if line["status"] == 401]
    assert {("again", "InvalidAuthenticationToken")} == {
        (line["verdict"], line["error_code"]) for line in refused
    }
    assert {1} == {line["attempts"] for line in worker.events("response.settled")}


def test_refused_credentials_burn_nothing(program: Program, sandbox: SandboxClient) -> None:
    """A wrong secret burns nothing: one clear line, and it goes on by itself after repair."""
    sandbox.options(token_refusal=7000215, token_times=-1)
    batch = program.submit(declines(10))
    with program.worker() as worker:
        first = worker.wait_for("token.refused")
        assert [] == sandbox.journal()
        sandbox.options(token_refusal=None)
        assert {"sent": 10} == program.wait_until_finished(batch)["outcomes"]
    assert ("AADSTS7000215", "critical") == (first["error_code"], first["level"])
    assert {1} == {line["attempts"] for line in worker.events("response.settled")}


def test_a_log_that_cannot_be_written(program: Program, sandbox: SandboxClient) -> None:
    """A worker whose standard output is closed stops calling, and what it knows is kept."""
    sandbox.options(latency_s=0.2)
    batch = program.submit(declines(200))
    reading, writing = os.pipe()
    with running(
        [COMMAND, "worker"],
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=child_environment(program.environment),
    ) as process:
        os.close(writing)
        wait_for_calls(sandbox, 20)
        os.close(reading)
        assert 1 == process.wait(PATIENCE_S)
    called = len(sandbox.journal())
    second = program.burst()

    assert called < 200
    assert (200, []) == (sandbox.stats().taken, sandbox.stats().duplicates)
    assert {"sent": 200} == program.status(batch)["outcomes"]
    assert called <= 200 - len(_settled_by_call(second))


def _settled_by_call(worker: Worker) -> list[dict[str, Any]]:
    return [line for line in worker.events("call.finished") if line["verdict"] == "sent"]


def test_users_can_be_hashed(program: Program) -> None:
    """With hashed users no address stands in the log, and each user has one name throughout."""
    program.submit(declines(6, users=2))
    worker = program.burst(BULKRSVP_LOG_USERS="hash", BULKRSVP_LOG_KEY="a-key")

    users = {line["user"] for line in worker.log if "user" in line}
    assert 2 == len(users)
    assert "contoso" not in "".join(map(str, worker.log))
