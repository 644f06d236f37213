"""Commands that are told to end, or killed: what they leave behind, and how they exit."""

import signal
import subprocess
from pathlib import Path

import pytest

from jobs.draft.spool import FILES
from tests.support.chaos.open_files import opened_in
from tests.support.program import COMMAND, Program
from tests.support.rarely import first_always, rarely
from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.children import child_environment

ROW = '{"user": "ada@contoso.com", "event": "e", "action": "decline", "comment": "private"}\n'
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (ENDING[0], 130),
        *[rarely(each, 130) for each in ENDING[1:]],
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_submit_leaves_no_rows_behind(
    program: Program, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """However a submit ends while it reads, no row is left in the temporary folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = child_environment(program.environment) | {"TMPDIR": str(scratch)}
    with running(
        [COMMAND, "submit", "-", "--format", "jsonl"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(ROW.encode())
        process.stdin.flush()
        wait_until(lambda: opened_in(scratch, process.pid) >= FILES, "no row was put anywhere")
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)[1]

    assert (code, [], b"") == (process.returncode, list(scratch.iterdir()), said)


def test_a_signal_that_is_ignored(program: Program) -> None:
    """A submit that was started with nohup goes on when its terminal is closed."""
    with running(
        ["nohup", COMMAND, "submit", "-", "--format", "jsonl", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(program.environment),
    ) as process:
        wait_until(lambda: _ignores(process.pid, signal.SIGHUP), "it does not ignore it")
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(ROW.encode(), PATIENCE_S)

    assert (0, True) == (process.returncode, b'"created":true' in out)


def _ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask.split()[1], 16) & 1 << (number - 1))


@pytest.mark.parametrize("number", first_always(ENDING))
def test_a_worker_that_is_told_to_end(program: Program, number: signal.Signals) -> None:
    """A worker drains on each of these signals, also when its terminal is closed."""
    with program.worker() as worker:
        worker.wait_for("worker.started")
        assert 0 == worker.stop(number)
    assert 1 == len(worker.events("worker.stopped"))


def test_a_worker_started_with_nohup_outlives_its_terminal(program: Program) -> None:
    """A worker that was started with nohup goes on when its terminal is closed."""
    with program.worker(command=("nohup", COMMAND, "worker")) as worker:
        worker.wait_for("worker.started")
        worker.process.send_signal(signal.SIGHUP)
        batch = program.submit([{"user": "ada@contoso.com", "event": "e", "action": "decline"}])
        program.wait_until_finished(batch)
        assert 0 == worker.stop()


def test_a_sandbox_whose_terminal_is_closed(program: Program, tmp_path: Path) -> None:
    """A sandbox ends then, and takes its key along."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = child_environment(program.environment) | {"TMPDIR": str(scratch)}
    with running([COMMAND, "sandbox"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"export ")
        kept = list(scratch.iterdir())
        process.send_signal(signal.SIGHUP)
        assert 0 == process.wait(PATIENCE_S)
    assert (1, []) == (len(kept), list(scratch.iterdir()))


def test_no_room_for_the_rows_is_reported_without_a_traceback(program: Program) -> None:
    """Where no file can be opened to keep rows in, a message says so, and no traceback."""
    program.write("rows.jsonl", [{"user": "ada@contoso.com", "event": "e", "action": "decline"}])
    refused = subprocess.run(
        ["sh", "-c", 'ulimit -n 50; exec "$@"', "sh", COMMAND, "submit", "rows.jsonl"],
        capture_output=True,
        text=True,
        check=False,
        cwd=program.folder,
        env=child_environment(program.environment),
    )
    assert 2 == refused.returncode
    assert refused.stderr.startswith("bulkrsvp: the rows could not be kept in /")
    assert 1 == len(refused.stderr.splitlines())
