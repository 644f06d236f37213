"""
The console command: the worker's side of it, joined with the administrator's.

A command that only submits or shows a status does not load aiohttp and azure-identity: what makes
calls is imported by the commands that make them.
"""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import click

from config.errors import SettingsError
from config.settings import Settings
from jobs.check import Check
from jobs.console import report
from jobs.console.commands import COMMANDS
from jobs.console.group import INTERRUPTED, Commands
from jobs.console.options import check_users, read_wishes, submit_options
from jobs.console.submitting import exit_code, tell_dry_run
from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.forms.batch import Batch
from jobs.operations.status import describe
from jobs.operations.submit import read_file
from jobs.redis.connection import no_login
from jobs.redis.pools import Login

STATE: Final = ".bulkrsvp"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bulkrsvp", prog_name="bulkrsvp")
@click.pass_context
def main(ctx: click.Context) -> None:
    """
    Answer calendar invitations in bulk through Microsoft Graph, once each.

    Example: bulkrsvp demo
    Example: bulkrsvp submit leavers.csv --watch
    Example: bulkrsvp submit --help
    """
    ctx.obj = _log_in


def _log_in(settings: Settings) -> AbstractAsyncContextManager[Login | None]:
    """Log in to Redis; what fetches tokens is loaded only where the login is one."""
    if not settings.redis_wants_token:
        return no_login(settings)
    from worker.identity.redis_login import log_in

    return log_in(settings)


for command in COMMANDS:
    main.add_command(command)


@main.command()
@click.option("--burst", is_flag=True, help="Stop when nothing is left to do.")
@click.pass_context
def worker(ctx: click.Context, *, burst: bool) -> None:
    """
    Run a worker until SIGTERM; it logs one JSON object a line to standard output.

    Example: bulkrsvp worker | tee worker.log
    Example: bulkrsvp worker --burst
    """
    from worker.process.main import nothing_left, run_worker

    settings = Settings.load(for_calls=True)
    ctx.exit(asyncio.run(run_worker(settings, sys.stdout, ended=nothing_left if burst else None)))


@main.command()
@click.argument("file")
@submit_options
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=STATE,
    show_default=True,
    help="Where the embedded Redis keeps its data.",
)
@click.pass_context
def run(
    ctx: click.Context,
    *,
    file: str,
    form: str | None,
    batch: str | None,
    at: str | None,
    deadline: str,
    check_first: bool,
    plan: bool,
    dry_run: bool,
    following: bool,
    as_json: bool,
    state: Path,
) -> None:
    """
    Submit FILE, work until the batch is finished, print the summary.

    Without REDIS_URL an embedded Redis keeps its data in the state directory: a run that was
    interrupted goes on when it is run again.

    Example: bulkrsvp run leavers.csv --watch
    """
    ctx.meta["file"] = file
    settings = Settings.load(for_calls=not dry_run)
    wishes = read_wishes(
        form=form, batch=batch, at=at, deadline=deadline, check_first=check_first, plan=plan
    )
    with read_file(file, wishes, proposals_allowed=settings.proposals_allowed) as checked:
        if dry_run:
            tell_dry_run(checked, wishes, as_json=as_json)
            return
        from worker.process.oneshot import run_file

        finished, pauses = run_file(
            settings, checked, wishes, state, as_json=as_json, following=following
        )
    _summarize(finished, pauses, as_json=as_json)
    ctx.exit(exit_code(finished) if finished.finished_at_ms else INTERRUPTED)


def _summarize(batch: Batch, pauses: Pauses, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json(describe(batch, pauses)))
    report.show_batch(report.messages(), batch, pauses)
    if not batch.finished_at_ms:
        click.echo("interrupted; run the same command again to go on", err=True)


@main.command()
@click.argument("users", nargs=-1, metavar="[USER...]", callback=check_users)
@click.option(
    "--expect-denied",
    "denied",
    metavar="USER",
    multiple=True,
    callback=check_users,
    help="Must be refused to the application; may be repeated.",
)
@click.option("--worker", "of_workers", is_flag=True, help="Name the workers that live instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(
    ctx: click.Context,
    *,
    users: tuple[str, ...],
    denied: tuple[str, ...],
    of_workers: bool,
    as_json: bool,
) -> None:
    """
    Check settings, Redis and the token, and that the mailbox of each USER can be read.

    It sends no response, and exits with 3 if a check has failed.

    Example: bulkrsvp check ada@contoso.com --expect-denied ceo@contoso.com
    """
    from worker.check.course import Course
    from worker.check.workers import name_workers

    if of_workers and (users or denied):
        raise click.UsageError("--worker asks Redis only; leave the users out")
    settings, wrong = Settings.survey(for_calls=not of_workers)
    course = Course(settings, wrong, users=users, denied=denied)
    checks = name_workers(settings, wrong) if of_workers else course.run()
    ctx.exit(asyncio.run(_print_checks(checks, as_json=as_json)))


async def _print_checks(checks: AsyncIterator[Check], *, as_json: bool) -> int:
    """Print verdicts as they come, or all of them as JSON; return the exit code."""
    console, seen = report.output(), list[Check]()
    async for each in checks:
        seen.append(each)
        if not as_json:
            report.show_check(console, each)
    if as_json:
        click.echo(report.to_json(report.describe_checks(seen)))
    return 0 if report.all_well(seen) else SettingsError.exit_code


@main.command()
@click.option(
    "--graph-port", type=int, default=0, help="Port of the simulated Graph (default: any free one)."
)
@click.option(
    "--entra-port",
    type=int,
    default=0,
    help="Port of the simulated Entra ID (default: any free one).",
)
@click.option(
    "--latency-s", type=float, default=0.1, show_default=True, help="How long a call takes."
)
def sandbox(graph_port: int, entra_port: int, latency_s: float) -> None:
    """
    Serve a simulated Entra ID and Graph on loopback, and print the environment to export.

    Users and events behave by their names, as worker/sandbox/README.md says. It runs until
    SIGTERM.

    Example: bulkrsvp sandbox --graph-port 8080
    """
    from worker.sandbox import serve

    asyncio.run(
        serve(
            _announcing(click.echo),
            graph_port=graph_port,
            entra_port=entra_port,
            latency_s=latency_s,
        )
    )


def _announcing(echo: Callable[[str], None]) -> Callable[[Mapping[str, str]], None]:
    def announce(environment: Mapping[str, str]) -> None:
        for name, value in environment.items():
            echo(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()

    return announce


@main.command()
@click.option(
    "--responses",
    type=click.IntRange(20, 5_000),
    default=300,
    show_default=True,
    help="How many to make up.",
)
@click.option("--leavers", is_flag=True, help="Offboard the leavers of a made-up company instead.")
@click.pass_context
def demo(ctx: click.Context, responses: int, *, leavers: bool) -> None:
    """
    Show everything at once, on the sandbox and an embedded Redis: nothing leaves this machine.

    Example: bulkrsvp demo
    Example: bulkrsvp demo --leavers
    """
    from worker.demo.leavers import show_leavers
    from worker.demo.responses import show_demo

    if leavers:
        show_leavers()
    else:
        show_demo(responses)
    ctx.exit(0)
