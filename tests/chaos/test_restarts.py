"""Workers that end, in order or not, before what they have begun has come to its end."""

import signal
import time
from functools import partial

import pytest

from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until

ROWS = 200
DRAINS_S = [*["0.1"] * 4, "5", *["0.1"] * 4]
"""Too short for the calls in flight; once in between it is long enough."""

ENDS = [
    [signal.SIGTERM],
    [signal.SIGTERM, signal.SIGKILL],
    [signal.SIGKILL],
]


def calls_again(sandbox: SandboxClient, called: int) -> bool:
    """Whether Graph was called since."""
    return sandbox.stats().calls > called


@pytest.mark.chaos
@pytest.mark.parametrize("ends", ENDS, ids=["drains", "drains and kills", "kills"])
def test_restarts_blame_nobody(
    program: Program, sandbox: SandboxClient, ends: list[signal.Signals]
) -> None:
    """However often and in whatever way workers end, each response is sent, and once."""
    sandbox.options(latency_s=0.5)
    program.environment["BULKRSVP_SETTLE_S"] = "0.6"
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, 2))
    for drain_s in DRAINS_S:
        called = sandbox.stats().calls
        with ordeal.worker(BULKRSVP_DRAIN_S=drain_s) as worker:
            wait_until(partial(calls_again, sandbox, called), "nobody calls", every_s=0.01)
            for number in ends:
                worker.process.send_signal(number)
            worker.process.wait(30)
        ordeal.observe()
    sandbox.options(latency_s=0.01)
    ordeal.burst()

    assert {"sent": ROWS} == program.status(ordeal.batch)["outcomes"]
    assert [] == ordeal.violations()


@pytest.mark.chaos
@pytest.mark.parametrize(
    "ends", [[signal.SIGKILL], [signal.SIGTERM] * 2], ids=["killed", "cut off"]
)
@pytest.mark.parametrize("others", [True, False], ids=["another batch", "its own batch"])
def test_calls_of_a_dead_worker_count(
    program: Program, sandbox: SandboxClient, ends: list[signal.Signals], *, others: bool
) -> None:
    """While calls of a worker that is gone are under way, nobody goes beyond what Graph allows."""
    program.environment["BULKRSVP_SETTLE_S"] = "9"
    sandbox.options(latency_s=8)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(8 if not others else 4, 1))
    with ordeal.worker() as first:
        ordeal.wait_for_calls(4)
        if others:
            program.submit(rows_of(4, 1, "other"), "--batch", "others")
        for number in ends:
            first.process.send_signal(number)
            time.sleep(0.1)  # two signals at once are one
        first.process.wait(30)
        ordeal.observe()
        with ordeal.worker():
            ordeal.wait_for_calls(5)
            sandbox.options(latency_s=0)
            program.wait_until_finished(ordeal.batch)
            ordeal.wait_for_the_end()
            if others:
                program.wait_until_finished("others")

    assert 4 == max(sandbox.stats().max_in_flight.values())
    assert [] == sandbox.stats().duplicates
