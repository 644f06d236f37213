"""
No token, or one that Graph does not want: everything waits, nothing is burnt, nobody is called.

Each test allows one attempt only, so that whatever were counted as one would show as a failure.
What a wrong secret or a revoked token comes to stands in `tests/process/test_worker.py`.
"""

import json
import socket
import time
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.process.test_worker import declines
from tests.support.network.slow_network import NEVER, slow_network
from tests.support.program import Program, Worker
from tests.support.sandbox_client import SandboxClient

ROWS = 10
LEAST_S = 1.0
"""The shortest wait after a refusal that passes by itself, in seconds."""

CLAIMS = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})


@pytest.fixture
def strict(program: Program) -> Program:
    """Give a test the console command with one attempt for each response."""
    program.environment["BULKRSVP_MAX_ATTEMPTS"] = "1"
    return program


def codes(worker: Worker) -> list[tuple[str, str]]:
    """Return the code and the level of each refusal."""
    return [(line["error_code"], line["level"]) for line in worker.events("token.refused")]


def logged_at(line: dict[str, Any]) -> float:
    """Return when a line was logged, as Unix time."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def assert_nothing_burnt(program: Program, sandbox: SandboxClient, batch: str) -> None:
    """Each response was sent once, at the one attempt that it had."""
    results = program.results(batch)
    assert [("sent", 1)] * ROWS == [(line["outcome"], line["attempts"]) for line in results]
    assert (ROWS, []) == (sandbox.stats().taken, sandbox.stats().duplicates)


@pytest.mark.chaos
def test_an_authority_that_fails(strict: Program, sandbox: SandboxClient) -> None:
    """After 5xx the authority is asked again, later each time, and nobody else is called."""
    sandbox.options(token_status=503, token_times=2)
    batch = strict.submit(declines(ROWS))
    worker = strict.burst()

    assert_nothing_burnt(strict, sandbox, batch)
    assert ROWS == len(sandbox.journal())
    assert [("AADSTS90033", "warning")] * 2 == codes(worker)
    asked = sandbox.token_requests()
    assert [503, 503, 200] == [request.status for request in asked]
    assert min(b.at - a.at for a, b in pairwise(asked)) >= LEAST_S


@pytest.mark.chaos
def test_an_authority_that_is_slow(strict: Program, sandbox: SandboxClient) -> None:
    """A token that takes longer than a call may is waited for, by all together."""
    sandbox.options(token_delay_s=2)
    batch = strict.submit(declines(ROWS))
    worker = strict.burst(BULKRSVP_CALL_TIMEOUT_S="1")

    assert_nothing_burnt(strict, sandbox, batch)
    assert (1, []) == (len(sandbox.token_requests()), codes(worker))


@pytest.mark.chaos
def test_an_authority_that_is_not_there(strict: Program, sandbox: SandboxClient) -> None:
    """While the authority cannot be reached all wait; when it is back the worker goes on."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    batch = strict.submit(declines(ROWS))
    authority = sandbox.environment["AZURE_AUTHORITY_HOST"]
    with strict.worker(AZURE_AUTHORITY_HOST=f"https://127.0.0.1:{port}") as worker:
        worker.wait_for("token.refused")
        called = sandbox.journal()
        with slow_network(authority, stalls_after=NEVER, port=port):
            strict.wait_until_finished(batch)
            worker.stop()

    assert_nothing_burnt(strict, sandbox, batch)
    assert [] == called
    assert {("unreachable", "warning")} == set(codes(worker))
    assert len(codes(worker)) < ROWS


def test_a_graph_that_refuses_every_token_is_left_alone(
    strict: Program, sandbox: SandboxClient
) -> None:
    """When a new token is refused as well, Graph is left alone until the wait is over."""
    sandbox.faults([{"effect": "unauthorized", "times": -1}])
    batch = strict.submit(declines(ROWS))
    with strict.worker() as worker:
        refused = worker.wait_for("token.refused")
        time.sleep(0.5)  # what had its token by then is on its way
        called = len(sandbox.journal())
        sandbox.disarm()
        strict.wait_until_finished(batch)

    assert_nothing_burnt(strict, sandbox, batch)
    assert [("InvalidAuthenticationToken", "critical")] == codes(worker)
    assert called <= 2 * ROWS
    later = [call.arrived_at for call in sandbox.journal(called)]
    assert ROWS == len(later)
    assert min(later) >= logged_at(refused) + refused["retry_in_s"] - 0.1
    assert 3 == len(sandbox.token_requests())


def test_a_claims_challenge_is_passed_to_the_authority(
    strict: Program, sandbox: SandboxClient
) -> None:
    """What Graph claims of a token is asked of the authority, though it fails meanwhile."""
    with strict.worker() as worker:
        worker.wait_for("token.refreshed")
        sandbox.options(token_status=500, token_times=1)
        sandbox.faults([{"effect": "unauthorized", "claims": CLAIMS}])
        batch = strict.submit(declines(ROWS))
        strict.wait_until_finished(batch)

    assert_nothing_burnt(strict, sandbox, batch)
    assert [("AADSTS90033", "warning")] == codes(worker)
    assert [200, 500, 200] == [request.status for request in sandbox.token_requests()]
    first, failed, renewed = [request.claims or "" for request in sandbox.token_requests()]
    assert ["nbf" in claims for claims in (first, failed, renewed)] == [False, True, True]


def test_refused_until_the_deadline(strict: Program, sandbox: SandboxClient) -> None:
    """With an expired secret the deadline still holds: all expire unsent, and the batch ends."""
    sandbox.options(token_refusal=7000222, token_times=-1)
    batch = strict.submit(declines(ROWS), "--deadline", "3s")
    worker = strict.burst()

    status = strict("status", batch, "--json").json
    assert ("finished", {"expired": ROWS}) == (status["state"], status["outcomes"])
    assert [] == sandbox.journal()
    assert {("AADSTS7000222", "critical")} == set(codes(worker))
    assert len(codes(worker)) == len(sandbox.token_requests()) < ROWS
    assert "expired" in worker.events("token.refused")[0]["hint"]
    assert {0} == {line["attempts"] for line in worker.events("response.settled")}
