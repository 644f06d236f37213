"""Batches handled by a program, without a command."""

import subprocess
import sys

from config.settings import Settings
from jobs.operations import Choice, Desk, Wishes
from jobs.outcome import Outcome
from jobs.rows.response import Action, Response
from jobs.rows.selection import Events, Selection
from tests.support.awaited import awaited
from tests.support.docs.pages import Page
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S
from worker.process.children import child_environment


def asked(*events: str) -> list[Response]:
    """Ask for declines of Ada's."""
    return [
        Response(user="ada@contoso.com", event=event, action=Action.DECLINE) for event in events
    ]


@awaited
async def test_a_program_takes_a_batch_from_submit_to_results(program: Program) -> None:
    """What is submitted once or twice is one batch; it is held, goes on, and is told of."""
    settings = Settings.load({"REDIS_URL": program.environment["REDIS_URL"]})
    async with Desk.opened(settings) as desk:
        rows = asked("E1", "E2", "not-found-1")
        first = await desk.submit(rows, Wishes(batch="leavers"))
        again = await desk.submit(rows, Wishes(batch="leavers"))
        await desk.pause("leavers")
        held = await desk.status("leavers")
        await desk.resume("leavers")
        await program.burst_aside()
        ended = await desk.status("leavers")
        failed = await desk.results("leavers", frozenset({Outcome.FAILED}))
        retried = await desk.retry("leavers", Choice(frozenset({"failed"}), frozenset()))
        await desk.cancel("leavers")
        await program.burst_aside()
        over = await desk.status("leavers")

    assert (True, False, 3) == (first.created, again.created, first.total)
    assert (True, False) == (held.batch.paused, ended.batch.paused)
    assert {"sent": 2, "failed": 1} == ended.to_json()["outcomes"]
    assert [("not-found-1", "not_found")] == [(each["event"], each["reason"]) for each in failed]
    assert 1 == retried.count
    assert {"sent": 2, "cancelled": 1} == over.to_json()["outcomes"]


@awaited
async def test_a_plan_is_applied(program: Program) -> None:
    """A plan sends nothing, and what it lists is sent when it is applied; an empty one is none."""
    settings = Settings.load({"REDIS_URL": program.environment["REDIS_URL"]})
    everything = Selection(user="ada@contoso.com", events=Events(), action=Action.DECLINE)
    async with Desk.opened(settings) as desk:
        plan = await desk.submit(asked("E1"), Wishes(plan=True))
        empty = await desk.submit([everything], Wishes(plan=True))
        await program.burst_aside()
        applied, nothing = await desk.apply(plan.batch), await desk.apply(empty.batch)

    assert nothing is None
    assert applied is not None
    assert (True, 1) == (applied.created, applied.total)


def test_a_plan_that_was_retried_is_not_applied_again(
    program: Program, sandbox: SandboxClient
) -> None:
    """A plan lists more after a retry; applied again it would send twice what was sent."""
    refusal = {"status": 403, "code": "ErrorAccessDenied"}
    sandbox.faults([{"user": "grace@contoso.com", "times": 1, **refusal}])
    rows = [
        {"user": f"{name}@contoso.com", "event": "E1", "action": "decline"}
        for name in ("ada", "grace")
    ]
    plan = program.submit(rows, "--plan")
    program.burst()
    applied = program.here("apply", plan)
    program.here("retry", plan)
    program.burst()
    again = [program.here("apply", plan, *options) for options in ((), ("--batch", "other"))]

    assert (0, [2, 2]) == (applied.code, [each.code for each in again])
    assert all(f"as batch {applied.out.strip()}" in each.err for each in again)
    assert 1 == sandbox.stats().taken
    assert {"planned": 2} == program.status(plan)["outcomes"]


def test_the_script_on_the_page_runs_as_shown(program: Program) -> None:
    """The script that the page shows is short, and does what is said, as it stands."""
    (script,) = Page.load("jobs/README.md").blocks("python")
    first = run(program, script)
    program.burst()
    again = run(program, script)

    assert len(script.splitlines()) <= 15
    assert first.startswith("True running [")
    assert "'outcome': None" in first
    assert again.startswith("False finished [")
    assert "'outcome': 'sent'" in again


def run(program: Program, script: str) -> str:
    """Run a script in a process of its own; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=child_environment(program.environment),
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return ran.stdout
