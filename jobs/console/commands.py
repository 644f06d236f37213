"""
The administrator's commands that submit and ask: submit, status, results.

Those that change a batch stand in `jobs/console/flags.py`.
"""

import sys
from pathlib import Path
from typing import IO, Any, Final

import click
from arq.connections import ArqRedis

from config.settings import Settings
from jobs.console import report
from jobs.console.apply import apply
from jobs.console.completion import offer_batches
from jobs.console.flags import cancel, pause, resume, retry
from jobs.console.group import exit_incomplete, tell_foreign
from jobs.console.ledger import with_ledger
from jobs.console.offboard import offboard
from jobs.console.options import read_wishes, submit_options
from jobs.console.submitting import exit_code, queue_checked
from jobs.console.watching import watch
from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import Unreadable
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry
from jobs.operations.results import ResultsFormat, read_results, results_csv, results_jsonl
from jobs.operations.status import describe, read_status
from jobs.operations.submit import read_file
from jobs.outcome import Outcome
from jobs.private_files import open_private
from jobs.times import now_ms

STDOUT: Final = "-"


@click.command()
@click.argument("file")
@submit_options
@click.pass_context
def submit(
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
) -> None:
    """
    Check all rows of FILE (- is standard input), queue them as one batch, print its id.

    Example: bulkrsvp submit leavers.csv --dry-run
    Example: bulkrsvp submit leavers.csv --at 2026-12-01T17:00+01:00 --watch
    Example: bulkrsvp submit - --format jsonl --batch oslo-in-may < rows.jsonl
    """
    ctx.meta["file"] = file
    settings = Settings.load()
    wishes = read_wishes(
        form=form, batch=batch, at=at, deadline=deadline, check_first=check_first, plan=plan
    )
    with read_file(file, wishes, proposals_allowed=settings.proposals_allowed) as checked:
        code = queue_checked(
            checked, wishes, settings, dry_run=dry_run, following=following, as_json=as_json
        )
    ctx.exit(code)


@click.command()
@click.argument("batch", required=False, shell_complete=offer_batches)
@click.option(
    "--watch", "following", is_flag=True, help="Show a live bar until the batch is finished."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, batch: str | None, *, following: bool, as_json: bool) -> None:
    """
    Show how BATCH stands; without BATCH, all batches.

    Example: bulkrsvp status
    Example: bulkrsvp status 5f0c9a31d2e84b67 --watch
    Example: bulkrsvp status 5f0c9a31d2e84b67 --json | jq .outcomes
    """
    if following and batch is None:
        raise click.UsageError("--watch needs a BATCH; `bulkrsvp status` lists them")
    if batch is None:
        _show_all(as_json=as_json)
    else:
        ctx.exit(_show_one(batch, following=following, as_json=as_json))


def _show_all(*, as_json: bool) -> None:
    foreign = list[str]()

    async def read(_: ArqRedis, batches: Batches) -> list[tuple[Batch, Pauses]]:
        found = await batches.all(foreign.append)
        paused = await batches.pauses_all([each.id for each in found], now_ms())
        return list(zip(found, paused, strict=True))

    found = with_ledger(read, writes=False)
    tell_foreign(foreign)
    if as_json:
        click.echo(report.to_json([describe(batch, pauses) for batch, pauses in found]))
    else:
        report.show_batches(report.output(), [batch for batch, _ in found])
        report.tell_graph_pause(report.messages(), found)


def _show_one(batch_id: str, *, following: bool, as_json: bool) -> int:
    """Show one batch, with `following` when it is finished; return the exit code."""

    async def read(_: ArqRedis, batches: Batches) -> tuple[int, Batch, Pauses]:
        code = exit_code(await watch(batches, batch_id)) if following else 0
        return code, *await read_status(batches, batch_id)

    code, batch, pauses = with_ledger(read, writes=False)
    if as_json:
        click.echo(report.to_json(describe(batch, pauses)))
    else:
        report.show_batch(report.output(), batch, pauses)
        report.tell_graph_pause(report.messages(), [(batch, pauses)])
    return code


@click.command()
@click.argument("batch", shell_complete=offer_batches)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in Outcome]),
    help="Only with this outcome; may be repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in ResultsFormat]),
    default=ResultsFormat.TABLE.value,
    show_default=True,
    help="How to write them.",
)
@click.option(
    "--output",
    "file",
    type=click.Path(allow_dash=True),
    default=STDOUT,
    metavar="FILE",
    help="File to write, readable by its owner only (default: standard output).",
)
@click.pass_context
def results(
    ctx: click.Context, batch: str, outcomes: tuple[str, ...], form: str, file: str
) -> None:
    """
    Print a line for each response of BATCH: row, outcome, reason, status, request ids.

    Example: bulkrsvp results 5f0c9a31d2e84b67
    Example: bulkrsvp results 5f0c9a31d2e84b67 --outcome failed --outcome expired
    Example: bulkrsvp results 5f0c9a31d2e84b67 --format csv --output leavers-done.csv
    """
    unreadable, passed_over = list[Entry](), list[Unreadable]()
    found = with_ledger(
        lambda _, batches: read_results(
            batches, batch, frozenset(outcomes), unreadable.append, passed_over.append
        ),
        writes=False,
    )
    report.tell_unreadable(report.messages(), unreadable)
    if file == STDOUT:
        _write_results(sys.stdout, ResultsFormat(form), found)
    else:
        _write_results_to(file, ResultsFormat(form), found)
    exit_incomplete(ctx, passed_over)


def _write_results_to(file: str, form: ResultsFormat, found: list[dict[str, Any]]) -> None:
    try:
        with open_private(Path(file)) as stream:
            _write_results(stream, form, found)
    except OSError as error:
        raise click.FileError(file, error.strerror) from error


def _write_results(stream: IO[str], form: ResultsFormat, found: list[dict[str, Any]]) -> None:
    match form:
        case ResultsFormat.TABLE:
            report.show_results(report.output(stream), found)
        case ResultsFormat.JSONL:
            stream.writelines(results_jsonl(found))
        case ResultsFormat.CSV:
            stream.writelines(results_csv(found))


COMMANDS = (submit, offboard, apply, status, results, retry, pause, resume, cancel)
"""What `worker/commands.py` hangs into the console command beside its own."""
