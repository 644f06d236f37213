"""A machine that is suspended or paused, or whose clock is wrong: what its worker sends."""

import signal
import sys

import pytest

from tests.process.test_worker import declines, wait_for_calls
from tests.support import SUPPORT
from tests.support.program import Program
from tests.support.rarely import rarely
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S

SUSPENDED = SUPPORT / "chaos" / "suspended_worker.py"
STRAYED = SUPPORT / "chaos" / "strayed_worker.py"
CALLS = 64
"""Calls in flight; a quarter as many have a mark and wait for a slot."""

needs_boottime = pytest.mark.skipif(sys.platform != "linux", reason="needs CLOCK_BOOTTIME")


def suspend_and_go_on(program: Program, sandbox: SandboxClient, clocks: str) -> int:
    """
    Suspend a worker under full load until another one has finished its batch.

    Returns how many events were answered twice.
    """
    sandbox.options(latency_s=1)
    rows = [row | {"action": "tentativelyAccept"} for row in declines(300, users=100)]
    batch = program.submit(rows)  # what is declined is gone, and cannot be declined twice
    command = (sys.executable, SUSPENDED, clocks)
    with program.worker(command=command, BULKRSVP_MAX_CALLS=str(CALLS)) as first:
        wait_for_calls(sandbox, CALLS)
        first.process.send_signal(signal.SIGSTOP)
        sandbox.options(latency_s=0.1)
        with program.worker():
            program.wait_until_finished(batch)
        first.process.send_signal(signal.SIGCONT)
        first.wait_for("worker.lease_lost")
        first.stop()
    assert {"sent": 300} == program.status(batch)["outcomes"]
    return len(sandbox.stats().duplicates)


@needs_boottime
@pytest.mark.parametrize("clocks", ["monotonic", rarely("monotonic,boottime")])
def test_a_machine_that_was_suspended(
    program: Program, sandbox: SandboxClient, clocks: str
) -> None:
    """A worker whose machine was suspended, or paused and then set right, sends nothing twice."""
    assert 0 == suspend_and_go_on(program, sandbox, clocks)


@needs_boottime
@pytest.mark.chaos
def test_a_pause_that_no_clock_shows(program: Program, sandbox: SandboxClient) -> None:
    """The control, and what is not covered: where all clocks stop, what had a mark goes out."""
    assert suspend_and_go_on(program, sandbox, "monotonic,boottime,wall") > 0


@pytest.mark.parametrize("ahead_s", [3600, rarely(-3600)])
def test_a_machine_whose_clock_is_wrong(program: Program, ahead_s: int) -> None:
    """A worker whose clock is an hour off calls nobody and ends nothing; others do all of it."""
    batch = program.submit(declines(60, users=20), "--deadline", "30m")
    command = (sys.executable, STRAYED, str(ahead_s))
    with program.worker(command=command) as strayed:
        line = strayed.wait_for("worker.clock_wrong")
        with program.worker("--burst") as right:
            right.process.wait(PATIENCE_S)
        assert 0 == strayed.stop()

    assert ("error", {"sent": 60}) == (
        line["level"],
        program.status(batch)["outcomes"],
    )
    for event in ("call.finished", "response.settled"):
        assert ([], 60) == (strayed.events(event), len(right.events(event)))
