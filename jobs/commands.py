"""
The administrator's commands: submit, status, results, retry, pause, resume, cancel.

Each is a thin line from click to the ledger. What goes wrong is raised, and told in one place:
`Commands`, the group that these and the worker's commands hang in.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from config.errors import BulkrsvpError, InputError, LedgerUnreachable
from config.settings import Settings
from jobs import report
from jobs.batch import Draft, Refused
from jobs.ledger.batches import Batch, Batches, BatchState, Line
from jobs.moments import now_ms, read_duration_ms, read_moment_ms
from jobs.outcome import Outcome, Reason
from jobs.queue import Queue, connect, reach
from jobs.results import ResultsFormat, read_results, results_csv, results_jsonl
from jobs.rows import Format
from jobs.submit import Submitted, Wishes, queue_batch, read_file

T = TypeVar("T")

WATCH_S = 0.5
UNSUCCESSFUL_EXIT = 1
INTERRUPTED = 130
"""The shell's own code for a command that was stopped by a signal."""
RETRIED = (Outcome.FAILED, Outcome.EXPIRED, Outcome.UNCERTAIN)
"""What `retry` may queue again; the last one only when it is named."""


class Commands(click.Group):
    """The console command: what goes wrong in any part of it ends here, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; tell an error on standard error and exit with its code."""
        try:
            return super().invoke(ctx)
        except Refused as refused:
            _tell_problems(refused, str(ctx.meta.get("file", "FILE")))
            ctx.exit(refused.exit_code)
        except BulkrsvpError as error:
            click.echo(f"bulkrsvp: {error}", err=True)
            ctx.exit(error.exit_code)
        except click.FileError as error:
            click.echo(f"bulkrsvp: {error.format_message()}", err=True)
            ctx.exit(InputError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except RedisError as error:
            click.echo(f"bulkrsvp: Redis did not answer ({error}); try again", err=True)
            ctx.exit(LedgerUnreachable.exit_code)


def _tell_problems(refused: Refused, file: str) -> None:
    for problem in refused.problems:
        click.echo(problem.located(file), err=True)
    if (more := refused.total - len(refused.problems)) > 0:
        click.echo(f"... and {more} more", err=True)
    click.echo(f"bulkrsvp: {refused}", err=True)


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncIterator[tuple[ArqRedis, Batches]]:
    """Connect to the ledger. Raises `LedgerUnreachable` with what to do."""
    redis = connect(settings.redis_url_or_default)
    try:
        await reach(redis, settings.redis_url_shown)
        yield redis, Batches(redis)
    finally:
        await redis.aclose(close_connection_pool=True)


def with_ledger(act: Callable[[ArqRedis, Batches], Awaitable[T]]) -> T:
    """Run one act on the ledger that the environment names."""

    async def run() -> T:
        async with open_ledger(Settings.load()) as (redis, batches):
            return await act(redis, batches)

    return asyncio.run(run())


def submit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `submit` that say how a batch is to be made."""
    for option in reversed(
        [
            click.option(
                "--format",
                "form",
                type=click.Choice([each.value for each in Format]),
                help="Of the rows; else by the file's name, else by its beginning.",
            ),
            click.option("--batch", metavar="ID", help="Batch id; else made from the content."),
            click.option("--at", metavar="TIME", help="Send nothing before (ISO 8601)."),
            click.option(
                "--deadline",
                metavar="DURATION",
                default="24h",
                show_default=True,
                help="What has not been sent by then ends as expired.",
            ),
            click.option(
                "--check-first", is_flag=True, help="Look at each event before answering."
            ),
            click.option("--dry-run", is_flag=True, help="Check and count, queue nothing."),
            click.option(
                "--watch",
                "following",
                is_flag=True,
                help="Follow the batch until it is finished.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        ]
    ):
        command = option(command)
    return command


def read_wishes(
    *, form: str | None, batch: str | None, at: str | None, deadline: str, check_first: bool
) -> Wishes:
    """Read the options of `submit`. Raises `InputError`."""
    return Wishes(
        format=Format(form) if form else None,
        batch=batch,
        at_ms=read_moment_ms(at) if at else 0,
        allowed_ms=read_duration_ms(deadline),
        check_first=check_first,
    )


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
    dry_run: bool,
    following: bool,
    as_json: bool,
) -> None:
    """
    Check all rows of FILE (- is standard input), queue them as one batch, print its id.

    Example: bulkrsvp submit leavers.csv --at 2026-12-01T17:00+01:00 --watch
    """
    ctx.meta["file"] = file
    settings = Settings.load()
    wishes = read_wishes(form=form, batch=batch, at=at, deadline=deadline, check_first=check_first)
    with read_file(file, wishes, proposals_allowed=settings.proposals_allowed) as checked:
        if dry_run:
            tell_dry_run(checked, wishes, as_json=as_json)
            return
        submitted = with_ledger(lambda redis, _: queue_batch(redis, checked, wishes))
    tell_submitted(submitted, as_json=as_json)
    if following:
        ctx.exit(watch_batch(submitted.batch))


def tell_submitted(submitted: Submitted, *, as_json: bool) -> None:
    """Print the batch id, and for a person what happened."""
    click.echo(_as_json(submitted) if as_json else submitted.batch)
    repeats = f" ({submitted.duplicates} duplicates left out)" if submitted.duplicates else ""
    if submitted.created:
        text = f"queued {submitted.total} responses{repeats} as batch {submitted.batch}"
    else:
        text = f"batch {submitted.batch} was submitted before; nothing was queued"
    click.echo(f"{text}; follow it with: bulkrsvp status {submitted.batch} --watch", err=True)


def tell_dry_run(checked: Draft, wishes: Wishes, *, as_json: bool) -> None:
    """Print what a submit would queue."""
    would_be = Submitted(
        batch=wishes.batch or checked.batch_id,
        created=False,
        total=checked.total,
        duplicates=checked.duplicates,
    )
    text = (
        f"{would_be.total} responses, {would_be.duplicates} duplicates, batch {would_be.batch}: "
        "all rows are good, nothing was queued"
    )
    click.echo(_as_json(would_be, dryRun=True) if as_json else text)


def _as_json(submitted: Submitted, **more: object) -> str:
    return report.to_json(
        {
            "batch": submitted.batch,
            "created": submitted.created,
            "total": submitted.total,
            "duplicates": submitted.duplicates,
            **more,
        }
    )


@click.command()
@click.argument("batch", required=False)
@click.option("--watch", "following", is_flag=True, help="A live bar until the batch is finished.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, batch: str | None, *, following: bool, as_json: bool) -> None:
    """
    Show how BATCH stands; without BATCH, all batches.

    Example: bulkrsvp status 5f0c9a31d2e84b67 --watch
    """
    if following and batch is None:
        raise click.UsageError("--watch needs a BATCH; `bulkrsvp status` lists them")
    code = watch_batch(batch) if following and batch else 0
    if batch is None:
        _show_all(as_json=as_json)
    else:
        _show_one(batch, as_json=as_json)
    ctx.exit(code)


def _show_all(*, as_json: bool) -> None:
    async def read(_: ArqRedis, batches: Batches) -> list[tuple[Batch, int]]:
        return [(each, await batches.throttled(each.id, now_ms())) for each in await batches.all()]

    found = with_ledger(read)
    if as_json:
        click.echo(report.to_json([report.describe(batch, paused) for batch, paused in found]))
    else:
        report.show_batches(report.output(), [batch for batch, _ in found])


def _show_one(batch_id: str, *, as_json: bool) -> None:
    batch, throttled = with_ledger(lambda _, batches: read_status(batches, batch_id))
    if as_json:
        click.echo(report.to_json(report.describe(batch, throttled)))
    else:
        report.show_batch(report.output(), batch, throttled)


async def read_status(batches: Batches, batch_id: str) -> tuple[Batch, int]:
    """Return a batch and how many of its mailboxes are paused. Raises `InputError`."""
    return await batches.get(batch_id), await batches.throttled(batch_id, now_ms())


def watch_batch(batch_id: str) -> int:
    """Follow a batch until it is finished; return the exit code."""
    return exit_code(with_ledger(lambda _, batches: watch(batches, batch_id)))


async def watch(batches: Batches, batch_id: str) -> Batch:
    """Draw a live bar of a batch until it is finished; return how it ended."""
    with report.Bar(report.messages()) as bar:
        while True:
            batch, throttled = await read_status(batches, batch_id)
            bar.show(batch, throttled)
            if batch.finished_at_ms:
                return batch
            await asyncio.sleep(WATCH_S)


def exit_code(batch: Batch) -> int:
    """Return the exit code that tells how a finished batch ended."""
    return 0 if batch.successful else UNSUCCESSFUL_EXIT


@click.command()
@click.argument("batch")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in Outcome]),
    help="Only these; may be repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in ResultsFormat]),
    default=ResultsFormat.TABLE.value,
    show_default=True,
    help="How they are written.",
)
@click.option(
    "--output",
    "file",
    type=click.File("w", lazy=True),  # what is there stays until there is something to write
    default="-",
    metavar="FILE",
    help="Where to; else standard output.",
)
def results(batch: str, outcomes: tuple[str, ...], form: str, file: Any) -> None:
    """
    Print a line for each response of BATCH: row, outcome, reason, status, request ids.

    Example: bulkrsvp results 5f0c9a31d2e84b67 --outcome failed --format csv --output failed.csv
    """
    found = with_ledger(lambda _, batches: read_results(batches, batch, frozenset(outcomes)))
    match ResultsFormat(form):
        case ResultsFormat.TABLE:
            report.show_results(report.output(file), found)
        case ResultsFormat.JSONL:
            file.writelines(results_jsonl(found))
        case ResultsFormat.CSV:
            file.writelines(results_csv(found))


@click.command()
@click.argument("batch")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in RETRIED]),
    help="Only these; default failed and expired. May be repeated.",
)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice([each.value for each in Reason]),
    help="Only with these reasons; may be repeated.",
)
def retry(batch: str, outcomes: tuple[str, ...], reasons: tuple[str, ...]) -> None:
    """
    Queue failed and expired responses of BATCH again, in the same batch.

    They have all attempts before them, and the batch's deadline counts from now.

    Example: bulkrsvp retry 5f0c9a31d2e84b67 --reason access_denied
    """
    wanted = frozenset(outcomes or (Outcome.FAILED.value, Outcome.EXPIRED.value))
    count, left = with_ledger(lambda redis, batches: _retry(redis, batches, batch, wanted, reasons))
    click.echo(f"queued {count} responses of batch {batch} again", err=True)
    if left:
        click.echo(
            f"{left} more have ended, but no worker has logged it yet; "
            "see that a worker runs, and retry again",
            err=True,
        )


async def _retry(
    redis: ArqRedis,
    batches: Batches,
    batch_id: str,
    outcomes: frozenset[str],
    reasons: tuple[str, ...],
) -> tuple[int, int]:
    batch = await batches.get(batch_id)
    if batch.cancelled and not batch.finished_at_ms:
        raise InputError(f"batch {batch_id} is being cancelled; retry it when it has ended")
    deadline_ms = now_ms() + batch.allowed_ms
    count, left, number = 0, 0, 0
    async for part in batches.lines(batch):
        lines = [line for line in part if _retried(line, outcomes, reasons)]
        if lines:
            queued, unlogged = await batches.reopen(batch, number, lines, deadline_ms)
            count, left = count + queued, left + unlogged
        number += 1
    if count:
        await batches.keep(batch)
        await Queue(redis, batches).wake(await batches.get(batch_id))
    return count, left


def _retried(line: Line, outcomes: frozenset[str], reasons: tuple[str, ...]) -> bool:
    ending = line.record.ending
    return (
        ending is not None
        and ending.outcome.value in outcomes
        and (not reasons or ending.reason in reasons)
    )


@click.command()
@click.argument("batch")
def pause(batch: str) -> None:
    """
    Send nothing more of BATCH until it is resumed; what is in flight finishes.

    Example: bulkrsvp pause 5f0c9a31d2e84b67
    """
    _raise_flag(batch, lambda batches: batches.pause(batch, paused=True))
    click.echo(f"batch {batch} is paused; go on with: bulkrsvp resume {batch}", err=True)


@click.command()
@click.argument("batch")
def resume(batch: str) -> None:
    """
    Go on with BATCH after a pause.

    Example: bulkrsvp resume 5f0c9a31d2e84b67
    """
    _raise_flag(batch, lambda batches: batches.pause(batch, paused=False))
    click.echo(f"batch {batch} goes on", err=True)


@click.command()
@click.argument("batch")
def cancel(batch: str) -> None:
    """
    End what has not been sent of BATCH; what is in flight finishes.

    Example: bulkrsvp cancel 5f0c9a31d2e84b67
    """
    _raise_flag(batch, lambda batches: batches.cancel(batch))
    click.echo(f"batch {batch} is cancelled: what has not been sent stays unsent", err=True)


def _raise_flag(batch_id: str, act: Callable[[Batches], Awaitable[None]]) -> None:
    """Change a flag of a batch that is under way, and have its slices take notice now."""

    async def change(redis: ArqRedis, batches: Batches) -> None:
        before = await batches.get(batch_id)
        if before.finished_at_ms:
            raise InputError(f"batch {batch_id} is finished; there is nothing left to change")
        if before.state(now_ms()) is BatchState.CANCELLED:
            raise InputError(f"batch {batch_id} is cancelled already")
        await act(batches)
        await Queue(redis, batches).wake(await batches.get(batch_id))

    with_ledger(change)


COMMANDS = (submit, status, results, retry, pause, resume, cancel)
"""What `worker/commands.py` hangs into the console command beside its own."""
