"""A worker whose log cannot be written: a full disk, from the start or under way."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_worker import declines
from tests.support.program import COMMAND, Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S


def onto_a_full_disk(redirection: str) -> list[str | Path]:
    """Run a worker whose output goes nowhere."""
    return ["sh", "-c", f'exec "$@" {redirection}', "sh", COMMAND, "worker"]


needs_a_full_disk = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a disk that is always full"
)

LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what Python compiles would be cut off as well
os.execv(sys.argv[2], sys.argv[2:])
"""

FULL = "bulkrsvp: cannot write the log"
AT_ONCE = 8
"""Calls in flight: so many can be under way when a line is lost."""

SIZE = 20_000
"""How much the disk takes, in bytes: the lines of some calls, and far from all."""


def limited(size: int) -> list[str | Path]:
    """Run a worker whose files may become so large and no larger, as on a disk that fills up."""
    return [sys.executable, "-c", LIMITED, str(size), COMMAND, "worker"]


def run_until_it_stops(
    program: Program, command: Sequence[str | Path], unbuffered: str = ""
) -> Worker:
    """Run a worker that stops by itself; `unbuffered` is Python's own setting for its output."""
    settings = {"BULKRSVP_MAX_CALLS": str(AT_ONCE), "PYTHONUNBUFFERED": unbuffered}
    with program.worker(command=command, **settings) as worker:
        worker.process.wait(PATIENCE_S)
    return worker


def calls(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return the ids of the calls that lines account for."""
    return [line["client_request_id"] for line in lines if line["event"] == "call.finished"]


def spare_lines(worker: Worker) -> list[dict[str, Any]]:
    """Return the lines of the log that went to standard error."""
    return [json.loads(line) for line in worker.errors.splitlines() if line.startswith("{")]


@needs_a_full_disk
def test_a_worker_that_cannot_log_its_start_calls_nobody(
    program: Program, sandbox: SandboxClient
) -> None:
    """A worker that cannot say that it has started calls nobody, and says why it ends."""
    batch = program.submit(declines(50))
    worker = run_until_it_stops(program, onto_a_full_disk("> /dev/full"))
    received = sandbox.journal()
    second = program.burst()

    assert (1, []) == (worker.process.returncode, received)
    assert worker.errors.startswith(FULL)
    assert "worker.started" == spare_lines(worker)[0]["event"]
    assert {"sent": 50} == program.status(batch)["outcomes"]
    assert 50 == len(calls(second.log)) == len(sandbox.taken())


@needs_a_full_disk
@pytest.mark.chaos
def test_nowhere_to_say_it(program: Program, sandbox: SandboxClient) -> None:
    """With standard error on the same full disk the exit code still tells it."""
    program.submit(declines(5))
    worker = run_until_it_stops(program, onto_a_full_disk("> /dev/full 2>&1"))
    assert (1, []) == (worker.process.returncode, sandbox.journal())


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.chaos)])
def test_a_worker_that_loses_a_line_begins_no_call(
    program: Program, sandbox: SandboxClient, unbuffered: str
) -> None:
    """When a line is lost no call is begun, those in flight are recorded, and another goes on."""
    sandbox.options(latency_s=0.1)
    batch = program.submit(declines(200))
    worker = run_until_it_stops(program, limited(SIZE), unbuffered)
    received = [call.client_request_id for call in sandbox.journal()]
    second = program.burst()

    assert (1, SIZE) == (worker.process.returncode, len(worker.written))
    assert FULL in worker.errors
    logged = calls(worker.log)
    assert len(logged) < len(received) <= len(logged) + AT_ONCE
    assert Counter(received) == Counter(logged + calls(spare_lines(worker)))
    stats = sandbox.stats()
    assert (200, 0, 200, []) == (stats.calls, stats.looks, stats.taken, stats.duplicates)
    assert {"sent": 200} == program.status(batch)["outcomes"]
    assert 200 - len(received) == len(calls(second.log))
    settled = {line["row"] for each in (worker, second) for line in each.events("response.settled")}
    assert set(range(1, 201)) == settled
    assert 1 == len(second.events("batch.finished"))
