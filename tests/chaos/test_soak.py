"""
Many responses, seeded faults at every turn, workers killed again and again; then the figures.

`SOAK_RESPONSES` says how many (100,000 unless set). What matters is compared by
`tests/support/chaos/checker.py`; the figures are shown when the tests have ended.
"""

import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.support.chaos.checker import Records, violations
from tests.support.chaos.scenario import Figure, Ordeal, rows_of, seeded
from tests.support.program import Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until
from worker.sandbox import Rule

RESPONSES: Final = int(os.environ.get("SOAK_RESPONSES", "100000"))
MAILBOX_SIZE: Final = 20
WORKERS: Final = 4
SEED: Final = 20_261_121
LIFE_S: Final = 6.0
"""How long some worker lives on the average until the next one is killed or stopped."""

STOPPED: Final = 0.3
"""The part of them that is sent SIGTERM."""

BEGINNING: Final = 4_096
"""Bytes of a log in which a worker says that it has started."""

GRACE_S: Final = 0.5
"""What is on its way when a mailbox is closed takes longer on a machine that is made this busy."""

SLOWEST_PER_S: Final = 10
SHOWN: Final = 20

FAULTS: Final[tuple[tuple[float, dict[str, Any]], ...]] = (
    (0.010, {"method": "POST", "status": 500, "taken": False}),
    (0.010, {"method": "POST", "status": 500, "taken": True}),
    (0.005, {"method": "POST", "status": 504, "taken": True}),
    (0.005, {"method": "POST", "status": 503, "headers": {"Retry-After": "1"}}),
    (0.005, {"method": "POST", "effect": "lost", "taken": False}),
    (0.005, {"method": "POST", "effect": "lost", "taken": True}),
    (0.005, {"method": "POST", "effect": "reset", "taken": False}),
    (0.005, {"method": "POST", "effect": "reset", "taken": True}),
    (0.005, {"method": "POST", "effect": "cut", "taken": True}),
    (0.005, {"method": "POST", "effect": "truncate", "taken": True}),
    (0.002, {"method": "POST", "effect": "hang", "taken": False}),
    (0.002, {"method": "POST", "effect": "hang", "taken": True}),
    (0.010, {"status": 429, "headers": {"Retry-After": "1"}}),
    (0.002, {"status": 429, "headers": {"Retry-After": ""}}),
    (0.020, {"method": "GET", "status": 500}),
    (0.020, {"method": "GET", "effect": "lost"}),
)
"""How likely each fault is; Retry-After is shorter than a dead worker's lease lasts."""

SETTINGS: Final = {
    "BULKRSVP_SETTLE_S": "1",
    "BULKRSVP_CALL_TIMEOUT_S": "5",
    "BULKRSVP_MAX_CALLS": "64",
}


def rules() -> list[Rule | dict[str, Any]]:
    """Arm each fault for the whole run, with chance of its own."""
    return [
        {**fault, "times": -1, "probability": probability, "seed": SEED + number}
        for number, (probability, fault) in enumerate(FAULTS)
    ]


def end_one(fleet: list[Worker], chance: random.Random) -> str:
    """End one of the fleet, one way or the other, and return which."""
    worker = fleet.pop(chance.randrange(len(fleet)))
    if chance.random() < STOPPED:
        # Before that Python itself would end at once.
        wait_until(lambda: b"worker.started" in worker.written[:BEGINNING], "one does not start")
        assert 0 == worker.stop(), worker.errors
        return "stopped"
    worker.stop(signal.SIGKILL)  # its marks are found by a successor, who logs them
    return "killed"


def run_fleet(ordeal: Ordeal, chance: random.Random) -> Counter[str]:
    """Keep the fleet at its size until the batch is finished; count how workers ended."""
    ended, ends = Counter[str](), time.monotonic() + 120 + RESPONSES / SLOWEST_PER_S
    with ExitStack() as running:
        fleet: list[Worker] = []
        while not ordeal.finished_in_ledger:
            assert time.monotonic() < ends, "it does not come to an end"
            while len(fleet) < WORKERS:
                fleet.append(running.enter_context(ordeal.worker(**SETTINGS)))
            time.sleep(chance.expovariate(1 / LIFE_S))
            ended[end_one(fleet, chance)] += 1
    return ended


def figures(records: Records) -> dict[str, object]:
    """Add up what was done to a run and what came of it."""
    journal = records.journal
    kinds = Counter(
        f"{call.method} {call.fault} {call.status} {'taken' if call.taken else 'not taken'}"
        for call in journal
        if call.fault
    )
    ends = Counter(f"{result['outcome']}/{result['reason']}" for result in records.results)
    return {
        "calls": len(journal),
        "looks": sum(call.action is None for call in journal),
        "faults": dict(sorted(kinds.items())),
        "taken": sum(records.taken.values()),
        "taken twice": sum(times - 1 for times in records.taken.values()),
        "lost": len(records.rows)
        - sum(result["outcome"] is not None for result in records.results),
        "uncertain": records.outcomes["uncertain"],
        "outcomes": dict(ends),
    }


@pytest.mark.chaos
@pytest.mark.timeout(0)  # the fleet has a limit that grows with the number of responses
@pytest.mark.xdist_group("measured")
def test_all_faults_at_once_break_no_promise(
    program: Program, sandbox: SandboxClient, record_property: Figure
) -> None:
    """Through all faults at once nothing is sent twice, lost, or told wrongly."""
    chance = seeded(SEED)
    sandbox.options(latency_s=0.02, latency_sigma=0.5, seed=SEED, early_grace_s=GRACE_S)
    sandbox.faults(rules())
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(RESPONSES, max(1, RESPONSES // MAILBOX_SIZE)))
    began_s = time.monotonic()
    ended = run_fleet(ordeal, chance)
    took_s = time.monotonic() - began_s
    ordeal.burst(**SETTINGS)  # whoever was to log the end may have been killed
    records = ordeal.records()

    record_property("responses", RESPONSES)
    record_property("wall time, s", round(took_s))
    record_property("workers", dict(ended))
    for name, figure in figures(records).items():
        record_property(name, figure)
    found = violations(records)
    assert [] == found[:SHOWN], f"{len(found)} violations"
