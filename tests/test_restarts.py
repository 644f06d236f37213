"""Workers that end again and again, in order or not, before anything has come to its end."""

import signal
from functools import partial

import pytest
from ordeal import Ordeal, rows_of
from patience import wait_until
from program import Program
from sandbox_client import SandboxClient

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

    assert {"sent": ROWS} == program("status", ordeal.batch, "--json").json["outcomes"]
    assert [] == ordeal.violations()
