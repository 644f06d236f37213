"""
One mailbox alone in trouble: with a 401 of its own, or away for a while.

It waits or fails by itself; its neighbours go on. What a 401 of all mailboxes comes to stands in
`tests/identity/test_token_faults.py`.
"""

import json
from typing import Any

import pytest

from tests.support.program import Program
from tests.support.rarely import rarely
from tests.support.sandbox_client import SandboxClient

GHOST = "ghost@contoso.com"
CLAIMS = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
NEIGHBOURS = 30
SELECTION = {
    "user": GHOST,
    "events": {"from": "2026-12-01T00:00:00Z", "to": "2027-12-01T00:00:00Z"},
    "action": "decline",
}


def rows_beside(*first: dict[str, Any]) -> list[dict[str, Any]]:
    """Put rows of healthy mailboxes behind others."""
    neighbours = [
        {"user": f"h{n % 5}@contoso.com", "event": f"e{n}", "action": "decline"}
        for n in range(NEIGHBOURS)
    ]
    return [*first, *neighbours]


def declined(event: str, user: str = GHOST) -> dict[str, Any]:
    """Make a row of a mailbox in trouble."""
    return {"user": user, "event": event, "action": "decline"}


def ends(program: Program, batch: str, user: str) -> set[tuple[str, str | None]]:
    """Return how the responses of a user ended."""
    lines = program.results(batch)
    return {(line["outcome"], line["reason"]) for line in lines if line["user"] == user}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 401, "html": ""}, id="empty"),
        rarely({"status": 401, "html": "<html>Unauthorized</html>"}, name="page"),
        rarely({"status": 401, "code": "AuthenticationError"}, name="hybrid"),
        pytest.param({"status": 401, "code": "InvalidAuthenticationToken"}, id="token"),
        rarely({"effect": "unauthorized"}, name="expired"),
        rarely({"effect": "unauthorized", "claims": CLAIMS}, name="claims"),
    ],
)
def test_a_mailbox_alone_with_its_401_fails_alone(
    program: Program, sandbox: SandboxClient, fault: dict[str, Any]
) -> None:
    """A mailbox alone with its 401 fails alone; nobody else waits, and no token is given up."""
    sandbox.options(latency_s=0.3)  # so that its neighbours are still called when it is judged
    sandbox.faults([{"user": GHOST, "times": -1, **fault}])
    batch = program.submit(rows_beside(declined("G1"), declined("G2")))
    worker = program.burst()

    status = program.status(batch)
    assert {"sent": NEIGHBOURS, "failed": 2} == status["outcomes"]
    assert {("failed", "mailbox_unavailable")} == ends(program, batch, GHOST)
    assert [] == worker.events("token.refused")
    assert 2 == len(sandbox.token_requests())
    neighbours = [call for call in sandbox.journal() if call.mailbox != GHOST]
    assert (NEIGHBOURS, {202}) == (len(neighbours), {call.status for call in neighbours})


def test_a_401_with_nobody_beside_it_fails_the_mailbox(
    program: Program, sandbox: SandboxClient
) -> None:
    """Where no other mailbox is called, one with a 401 that does not speak of the token fails."""
    sandbox.faults([{"user": GHOST, "times": -1, "status": 401, "html": ""}])
    batch = program.submit([declined("G1"), SELECTION])
    worker = program.burst()

    assert {("failed", "mailbox_unavailable")} == ends(program, batch, GHOST)
    assert [] == worker.events("token.refused")


@pytest.mark.chaos
def test_a_401_after_an_unknown_call_is_uncertain(program: Program, sandbox: SandboxClient) -> None:
    """What may have been sent before a mailbox shut itself off is for a person to decide."""
    sandbox.faults(
        [
            {"user": GHOST, "method": "POST", "status": 504, "taken": True},
            {"user": GHOST, "method": "GET", "times": -1, "status": 401, "html": ""},
        ]
    )
    batch = program.submit([declined("G1")])
    program.burst()
    assert {("uncertain", None)} == ends(program, batch, GHOST)
    assert 1 == sandbox.stats().taken


def test_a_401_of_all_with_a_challenge_keeps_everything_waiting(
    program: Program, sandbox: SandboxClient
) -> None:
    """A challenge that no token meets keeps everything waiting, and names Conditional Access."""
    sandbox.faults([{"effect": "unauthorized", "claims": CLAIMS, "times": -1}])
    batch = program.submit(rows_beside())
    with program.worker() as worker:
        refused = worker.wait_for("token.refused")
        sandbox.disarm()
        program.wait_until_finished(batch)
    assert "Conditional Access" in refused["hint"]
    assert {"sent": NEIGHBOURS} == program.status(batch)["outcomes"]


@pytest.mark.chaos
def test_a_tenant_without_exchange_is_hinted_at(program: Program, sandbox: SandboxClient) -> None:
    """Where Graph finds no organization for the tenant, the hint says so; nothing is burnt."""
    code = "OrganizationFromTenantGuidNotFound"
    sandbox.faults([{"status": 401, "code": code, "times": -1}])
    batch = program.submit([declined("G1")])
    with program.worker() as worker:
        refused = worker.wait_for("token.refused")
        sandbox.disarm()
        program.wait_until_finished(batch)
    assert code == refused["error_code"]
    assert "Exchange Online" in refused["hint"]
    assert {"sent": 1} == program.status(batch)["outcomes"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "ErrorMailboxMoveInProgress"),
        rarely(404, "MailboxInfoStale"),
        rarely(500, "ErrorServerBusy"),
    ],
)
def test_a_mailbox_that_is_away(
    program: Program, sandbox: SandboxClient, status: int, code: str
) -> None:
    """A mailbox that is away is tried with one call, without attempts; its neighbours go on."""
    sandbox.faults([{"user": GHOST, "times": -1, "status": status, "code": code}])
    rows = rows_beside(*(declined(f"G{n}") for n in range(8)))
    batch = program.submit(rows, "--check-first")
    with program.worker(BULKRSVP_MAX_ATTEMPTS="1") as worker:
        away = worker.wait_for("mailbox.away", 2)
        calls = [call for call in sandbox.journal() if call.mailbox == GHOST]
        sandbox.disarm()
        program.wait_until_finished(batch)
        back = worker.wait_for("mailbox.back")

    assert (GHOST, code, 2) == (away["user"], away["error_code"], away["times"])
    assert 4 + 1 == len(calls)  # those in flight at once, and then one by one
    assert GHOST == back["user"]
    results = program.results(batch)
    assert {("sent", 1)} == {(line["outcome"], line["attempts"]) for line in results}


def test_a_selection_whose_mailbox_is_away(program: Program, sandbox: SandboxClient) -> None:
    """A selection waits for its mailbox, and then finds its events."""
    sandbox.plant(GHOST, [{"id": "one", "start": "2027-01-04T09:00:00Z"}])
    sandbox.faults([{"user": GHOST, "times": -1, "status": 503, "code": "MailboxInfoStale"}])
    batch = program.submit([SELECTION])
    with program.worker(BULKRSVP_MAX_ATTEMPTS="1") as worker:
        worker.wait_for("mailbox.away")
        sandbox.disarm()
        program.wait_until_finished(batch)
    assert {"sent": 1} == program.status(batch)["outcomes"]


@pytest.mark.chaos
def test_a_mailbox_that_stays_away(program: Program, sandbox: SandboxClient) -> None:
    """What was never sent expires; what may have been sent is uncertain, and the batch ends."""
    away = {"times": -1, "status": 503, "code": "ErrorMailboxMoveInProgress"}
    unclear = "unclear@contoso.com"
    sandbox.faults(
        [
            {"user": unclear, "method": "POST", "status": 504, "taken": False},
            {"user": unclear, **away},
            {"user": GHOST, **away},
        ]
    )
    rows = [declined("G1"), declined("G1", unclear), SELECTION]
    with program.worker(BULKRSVP_MAX_ATTEMPTS="1") as worker:
        worker.wait_for("token.refreshed")  # so that all are called before the deadline
        batch = program.submit(rows, "--deadline", "5s")
        program.wait_until_finished(batch)

    assert {("expired", None)} == ends(program, batch, GHOST)
    assert {("uncertain", None)} == ends(program, batch, unclear)
    assert 0 == sandbox.stats().taken
