"""What is said of a batch that was cancelled, by every command that meets it again."""

import shlex
import subprocess

import pytest

from jobs.console.left_over import ROOM, SUFFIX
from jobs.draft.draft import check_batch_id
from tests.support.program import COMMAND, Program
from tests.support.sandbox_client import SandboxClient
from worker.process.children import child_environment

ROWS = [{"user": f"p{n}@contoso.com", "event": f"e{n}", "action": "decline"} for n in range(6)]
FAR = ("--at", "2150-01-01T00:00Z")


@pytest.fixture
def cancelled(program: Program, sandbox: SandboxClient) -> str:
    """Cancel a batch of six of which some were sent; return its id."""
    sandbox.options(latency_s=0.5)
    batch = program.submit(ROWS)
    with program.worker(BULKRSVP_MAX_CALLS="1"):
        program.wait_for(batch, lambda status: 0 < status["open"] < len(ROWS))
        program.ask("cancel", batch)
        program.wait_until_finished(batch)
    sandbox.options(latency_s=0)
    return batch


def way_of(told: str) -> str:
    """Return the command line that was told."""
    (line,) = [line for line in told.splitlines() if "nothing else, with: " in line]
    return line.partition("nothing else, with: ")[2]


def follow(program: Program, way: str) -> str:
    """Type in what was told; return the id it prints."""
    command = way.replace("bulkrsvp", shlex.quote(str(COMMAND)))
    ran = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        env=child_environment(program.environment),
        cwd=program.folder,
        check=True,
    )
    return ran.stdout.decode().strip()


def test_submitting_a_cancelled_batch_again_exits_with_1(
    program: Program, sandbox: SandboxClient, cancelled: str
) -> None:
    """The rows of a cancelled batch exit with 1; what is told sends the rest and nothing else."""
    before = len(sandbox.taken())
    again = program.here("submit", "rows.jsonl")
    as_json = program.here("submit", "rows.jsonl", "--json")

    assert (1, f"{cancelled}\n") == (again.code, again.out)
    assert f"batch {cancelled} was cancelled" in again.err
    told = {"batch": cancelled, "created": False, "total": 6, "duplicates": 0, "cancelled": True}
    assert (1, told) == (as_json.code, as_json.json)
    assert before == len(sandbox.taken())

    rest = follow(program, way_of(again.err))
    program.burst()
    assert f"{cancelled}{SUFFIX}" == rest
    assert rest == follow(program, way_of(again.err))
    assert {"sent": len(ROWS) - before} == program.status(rest)["outcomes"]
    assert (len(ROWS), []) == (len(sandbox.taken()), sandbox.stats().duplicates)


def test_watching_a_cancelled_batch_never_says_that_all_is_done(
    program: Program, cancelled: str
) -> None:
    """Whoever watches a cancelled batch is not told that all is done."""
    watched = [
        program.here("submit", "rows.jsonl", "--watch"),
        program.here("status", cancelled, "--watch"),
        program("run", "rows.jsonl"),
    ]
    assert [1, 1, 1] == [each.code for each in watched]
    assert way_of(watched[0].err).replace("submit -", "run -") == way_of(watched[2].err)


def test_offboarding_again_repeats_all_options_of_the_cancelled_batch(
    program: Program, sandbox: SandboxClient
) -> None:
    """What was cancelled before it began is told with all that it was submitted with."""
    asked = ("offboard", "ada@contoso.com", *FAR, "--deadline", "90m", "--check-first", "--plan")
    batch = program.ask(*asked)
    program.ask("cancel", batch)
    open_still = program.here(*asked)
    program.burst()
    again = program.here(*asked, "--watch")

    assert (1, True) == (open_still.code, "has not ended yet" in open_still.err)
    assert (1, f"{batch}\n") == (again.code, again.out)
    options = "--at 2150-01-01T00:00:00.000Z --deadline 90m --check-first --plan"
    assert way_of(again.err).endswith(f" --batch {batch}{SUFFIX} {options}")
    rest = program.here("status", follow(program, way_of(again.err)), "--json").json
    assert ("scheduled", 1) == (rest["state"], rest["total"])
    assert [] == sandbox.journal()
    assert 2 == program.here("apply", batch).code


def test_applying_a_cancelled_plan_again_says_so(program: Program, sandbox: SandboxClient) -> None:
    """A plan whose responses were cancelled says so when it is applied again."""
    plan = program.submit(ROWS, "--plan")
    program.burst()
    batch = program.ask("apply", plan, *FAR)
    program.ask("cancel", batch)
    again = program.here("apply", plan)

    assert (1, f"{batch}\n") == (again.code, again.out)
    assert f"batch {batch} was cancelled" in again.err
    assert [] == sandbox.taken()


def test_a_cancel_that_came_too_late_is_refused(program: Program) -> None:
    """A cancel that came too late is refused, and changes nothing of what is said."""
    batch = program.submit(ROWS)
    program.burst()
    program.here("cancel", batch)
    again = program.here("submit", "rows.jsonl", "--watch")

    assert (0, False) == (again.code, "was cancelled" in again.err)


@pytest.mark.parametrize("name", ["b", "b" * 64])
def test_the_suggested_id_is_always_valid(name: str) -> None:
    """The id that is told can be one, however long the old one is."""
    check_batch_id(f"{name[:ROOM]}{SUFFIX}")
    assert len(f"{name[:ROOM]}{SUFFIX}") <= 64
