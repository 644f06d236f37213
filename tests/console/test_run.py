"""The one-shot: a file, an embedded Redis, and no service to set up; and the demo of it all."""

import json
import signal
import stat
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import COMMAND, Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.children import child_environment


@pytest.fixture
def alone(program: Program) -> Program:
    """Give a test the console command without a Redis."""
    environment = {name: v for name, v in program.environment.items() if name != "REDIS_URL"}
    return Program(environment, program.folder)


def declines(count: int) -> list[dict[str, Any]]:
    """Make declines of several users."""
    return [
        {"user": f"p{n % 5}@contoso.com", "event": f"e{n}", "action": "decline"}
        for n in range(count)
    ]


def test_run_sends_a_file_and_leaves_nothing_running(
    alone: Program, sandbox: SandboxClient
) -> None:
    """One command sends a file, logs each call, says how it ended, and leaves nothing running."""
    ran = alone("run", alone.write("rows.jsonl", declines(20)))

    assert 0 == ran.code, ran.err
    events = [line["event"] for line in ran.lines]
    counted = [events.count(e) for e in ("call.finished", "response.settled", "batch.finished")]
    assert [20, 20, 1] == counted
    assert "20 (0 open)" in ran.err
    assert 20 == len(sandbox.taken())
    (kept,) = (alone.folder / ".bulkrsvp").glob("*.csv")
    assert 20 == kept.read_text().count(",sent,accepted,202,1,")
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    assert not _served(alone.folder / ".bulkrsvp")


def test_run_with_json_prints_the_status(alone: Program) -> None:
    """With --json standard output is the status, and the exit code tells of failures."""
    rows = [*declines(2), {"user": "denied@c.com", "event": "x", "action": "decline"}]
    ran = alone("run", alone.write("rows.jsonl", rows), "--json", "--state", "elsewhere")

    assert (1, {"sent": 2, "failed": 1}) == (ran.code, ran.json["outcomes"])
    assert (alone.folder / "elsewhere").is_dir()


def test_run_refuses_bad_input(alone: Program) -> None:
    """A bad file is refused before anything is started."""
    ran = alone("run", alone.write("rows.jsonl", [{"user": "me", "event": "x"}]))

    assert 2 == ran.code
    assert not (alone.folder / ".bulkrsvp").exists()


def begun(alone: Program) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """Begin a run of the file that was written."""
    return running(
        [COMMAND, "run", "rows.jsonl"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=alone.folder,
        env=child_environment(alone.environment),
    )


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.chaos)]
)
def test_an_interrupted_run_goes_on(
    alone: Program, sandbox: SandboxClient, number: signal.Signals
) -> None:
    """A run that was killed or stopped goes on when it is run again, and sends nothing twice."""
    sandbox.options(latency_s=0.1)
    alone.write("rows.jsonl", declines(100))
    with begun(alone) as first:
        wait_until(lambda: len(sandbox.journal()) >= 10, "Graph was not called")
        assert first.poll() is None
        first.send_signal(number)
        first.wait(PATIENCE_S)
    second = alone("run", "rows.jsonl", "--json")

    stats = sandbox.stats()
    assert (0, 100, []) == (second.code, stats.taken, stats.duplicates), second.err
    assert {"sent": 100} == second.json["outcomes"]


def test_two_runs_in_one_state(alone: Program, sandbox: SandboxClient) -> None:
    """A second run in the same state directory is told who uses it."""
    sandbox.faults([{"event": "e0", "effect": "hang", "taken": False}])
    alone.write("rows.jsonl", declines(1))
    with begun(alone) as first:
        wait_until(sandbox.journal, "Graph was not called")
        assert first.poll() is None
        second = alone("run", "rows.jsonl")
        first.send_signal(signal.SIGTERM)
        first.send_signal(signal.SIGINT)
        first.wait(PATIENCE_S)
    assert (4, True) == (second.code, ".bulkrsvp" in second.err)
    assert 130 == first.returncode


def test_the_demo_takes_nothing_twice(tmp_path: Path) -> None:
    """The demo shows progress, log lines and results, and nothing is taken twice."""
    shown = subprocess.run(
        [COMMAND, "demo", "--responses", "60"],
        capture_output=True,
        cwd=tmp_path,
        env=child_environment({}),
        check=False,
        timeout=60,
    )
    out, err = shown.stdout.decode(), shown.stderr.decode()

    assert 0 == shown.returncode, err
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert {"call.finished", "response.settled", "batch.finished", "mailbox.paused"} == {
        line["event"] for line in lines
    }
    assert "access_denied" in out
    assert "0 of them twice" in err
    assert [] == list(tmp_path.iterdir())


def test_the_demo_of_leavers_shows_a_plan_and_what_came_of_it(tmp_path: Path) -> None:
    """The demo of offboarding shows a plan and what came of it, and nothing is taken twice."""
    shown = subprocess.run(
        [COMMAND, "demo", "--leavers"],
        capture_output=True,
        cwd=tmp_path,
        env=child_environment({}),
        check=False,
        timeout=60,
    )
    out, err = shown.stdout.decode(), shown.stderr.decode()

    assert 0 == shown.returncode, err
    plan, applied = out.split("applied")[:2]
    assert "planned" in plan
    assert "no_attendees" in plan
    assert "sent" in applied
    assert "0 of them twice" in err


def _served(state: Path) -> bool:
    with subprocess.Popen(["pgrep", "-f", str(state)], stdout=subprocess.DEVNULL) as search:
        return search.wait() == 0
