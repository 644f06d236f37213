"""
The client gives up, and the network delivers afterwards.

A worker that has given up a call takes it for unknown, looks after the settle time, finds it not
carried out, and sends it again. If what it gave up lay in a buffer all the while and arrived then,
the organizer would hear twice. So it leaves nothing in a buffer, and the control, a worker that
only closes its connections, shows what would happen otherwise.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import SUPPORT
from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.network.slow_network import Held, SlowNetwork, slow_network
from tests.support.program import COMMAND, Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until

BROKEN = SUPPORT / "chaos" / "broken_worker.py"
SOUND = (COMMAND, "worker")
WITHOUT_RESET = (sys.executable, BROKEN, "no_reset")

MAILBOXES = 3
LONG = 8_000
"""Bytes of a comment: a request that no small buffer on the way takes whole."""

FROM_THE_START = pytest.param(0, marks=pytest.mark.chaos)
STALLS = pytest.mark.parametrize("stalls_after", [6, FROM_THE_START])
"""Under way, so that connections that are kept are held up as well; or before anything is sent."""


def long_rows(count: int) -> list[dict[str, Any]]:
    """Make rows with long comments."""
    rows = rows_of(count, MAILBOXES)
    return [row | {"comment": f"{row['comment']} ".ljust(LONG, "x")} for row in rows]


def wait_until_given_up(worker: Worker, count: int) -> None:
    """Wait until a worker has given up so many calls."""
    wait_until(lambda: len(given_up(worker)) >= count, "no call is given up")


def given_up(worker: Worker) -> set[str]:
    """Return the ids of the calls that a worker has given up."""
    return {
        line["client_request_id"]
        for line in worker.events("call.finished")
        if line["error_code"] == "timeout"
    }


def deliver_late(
    ordeal: Ordeal, network: SlowNetwork, command: Sequence[str | Path]
) -> tuple[set[str], list[Held]]:
    """
    Let the network stall, recover, and deliver what it held up when all has been sent again.

    Returns the ids of the calls that were given up, and what came of the connections held up.
    """
    with ordeal.worker(
        command=command,
        BULKRSVP_GRAPH_URL=network.url,
        BULKRSVP_CALL_TIMEOUT_S="1",
        BULKRSVP_SETTLE_S="1",
    ) as worker:
        wait_until_given_up(worker, MAILBOXES)
        network.recover()
        ordeal.wait_for_the_end()
        held = network.deliver()
    return given_up(worker), held


@STALLS
def test_what_was_given_up_never_arrives(
    program: Program, sandbox: SandboxClient, stalls_after: int
) -> None:
    """What was given up is reset, arrives never, and is sent once more: once in all."""
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(long_rows(18))
    with slow_network(sandbox.environment["BULKRSVP_GRAPH_URL"], stalls_after=stalls_after) as net:
        lost, held = deliver_late(ordeal, net, SOUND)

    assert [] == ordeal.violations()
    assert {"sent": 18} == program.status(ordeal.batch)["outcomes"]
    assert lost.isdisjoint(call.client_request_id for call in sandbox.taken())
    assert {True} == {each.was_reset for each in held}
    assert max(each.received for each in held) < LONG


@STALLS
def test_closing_alone_would_deliver_late(
    program: Program, sandbox: SandboxClient, stalls_after: int
) -> None:
    """The control: a worker that only closes is delivered late, and the checker catches it."""
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(long_rows(18))
    with slow_network(sandbox.environment["BULKRSVP_GRAPH_URL"], stalls_after=stalls_after) as net:
        lost, held = deliver_late(ordeal, net, WITHOUT_RESET)

    assert any("taken 2 times" in violation for violation in ordeal.violations())
    assert not lost.isdisjoint(call.client_request_id for call in sandbox.taken())
    assert not all(each.was_reset for each in held)
