"""A meeting that had been answered before: the row asks for a change, whatever goes wrong."""

from collections.abc import Sequence

import pytest

from tests.support.chaos.scenario import Ordeal, changes
from tests.support.program import Program
from tests.support.rarely import rarely
from tests.support.sandbox_client import SandboxClient


@pytest.mark.parametrize(
    "options", [pytest.param([], id="blind"), rarely(["--check-first"], name="check-first")]
)
def test_connections_that_are_cut(
    program: Program, sandbox: SandboxClient, options: Sequence[str]
) -> None:
    """An answer that is older than the batch shows that a lost call was not carried out."""
    cut = {"method": "POST", "effect": "lost", "times": 12}
    sandbox.faults([{**cut, "taken": False}, {**cut, "taken": True}])
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(changes(36), *options)
    ordeal.burst()

    assert [] == ordeal.violations()
    assert {"sent": 36} == dict(ordeal.records().outcomes)


@pytest.mark.parametrize(
    "options", [pytest.param([], id="blind"), rarely(["--check-first"], name="check-first")]
)
def test_a_worker_that_is_killed(
    program: Program, sandbox: SandboxClient, options: Sequence[str]
) -> None:
    """What a dead worker had marked is sent by its successor, once."""
    sandbox.options(latency_s=0.3)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(changes(36), *options)
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(12)
        ordeal.kill(worker)
    ordeal.burst()

    assert [] == ordeal.violations()
    assert {"sent": 36} == dict(ordeal.records().outcomes)
