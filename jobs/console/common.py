"""
What commands share: the group that tells errors, the ledger they open, how a batch is told of.

What goes wrong in a command is raised, and told here, in one place, without a traceback.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click
from arq.connections import ArqRedis
from pydantic import TypeAdapter, ValidationError
from redis.exceptions import RedisError

from config.errors import BulkrsvpError, InputError, LedgerUnreachable
from config.settings import Settings
from jobs.console import report
from jobs.console.help import ManualGroup
from jobs.console.left_over import tell_left_over
from jobs.console.watching import watch
from jobs.draft.draft import Draft, Refused
from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import WRITTEN_BY_OTHERS, Unreadable, is_foreign
from jobs.ledger.forms.batch import Batch
from jobs.operations.ledger import open_ledger
from jobs.operations.submit import Submitted, Wishes, queue_batch
from jobs.quoting import escaped, escaped_lines, refusal
from jobs.redis.connection import Logins, no_login
from jobs.redis.requirements import is_forbidden, why_unreachable
from jobs.rows.fields import WRITTEN, User
from jobs.rows.reading import Format, Problem
from jobs.signals import interruptible
from jobs.times import read_duration_ms, read_moment_ms

T = TypeVar("T")

UNSUCCESSFUL_EXIT = 1
INTERRUPTED = 130
"""The shell's own code for a command that SIGINT has stopped; here for SIGTERM and SIGHUP too."""


FOREIGN_SHOWN = 20

_USER = TypeAdapter[str](User)


def check_users(_: click.Context, __: click.Parameter, users: tuple[str, ...]) -> tuple[str, ...]:
    """Return users from a command line, under the rule for users in rows; fail as wrong usage."""
    for user in users:
        try:
            _USER.validate_python(user, context=WRITTEN)
        except ValidationError as error:
            raise click.BadParameter(str(error.errors()[0]["ctx"]["error"])) from error
    return users


class Commands(ManualGroup):
    """The console command: what goes wrong in any part of it ends here, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; tell an error on standard error and exit with its code."""
        with interruptible():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as refused:
            _tell_problems(refused, ctx.meta.get("locate", _in_file(ctx.meta.get("file", "FILE"))))
            ctx.exit(refused.exit_code)
        except BulkrsvpError as error:
            _tell(f"bulkrsvp: {error}")
            ctx.exit(error.exit_code)
        except click.FileError as error:
            _tell(f"bulkrsvp: {error.format_message()}")
            ctx.exit(InputError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Unreadable as error:
            _tell(f"bulkrsvp: {error}; {WRITTEN_BY_OTHERS}")
            ctx.exit(LedgerUnreachable.exit_code)
        except RedisError as error:
            _tell(f"bulkrsvp: {_why_broken_off(error)}")
            ctx.exit(LedgerUnreachable.exit_code)


def tell_foreign(found: Sequence[str]) -> None:
    """Name on standard error what Redis holds that is none of ours: once, and not all of it."""
    for each in found[:FOREIGN_SHOWN]:
        _tell(f"left out: {each}")
    if (more := len(found) - FOREIGN_SHOWN) > 0:
        _tell(f"left out: {more} more")
    if found:
        _tell(WRITTEN_BY_OTHERS)


def _why_broken_off(error: RedisError) -> str:
    if is_forbidden(error):
        why = why_unreachable(error, "the address in REDIS_URL")
        return f"{why.seen}; {why.hint}"
    if is_foreign(error):
        return f"a key in Redis is not as it was stored ({refusal(error)}); {WRITTEN_BY_OTHERS}"
    return f"Redis did not answer ({refusal(error)}); try again"


def _tell(text: str) -> None:
    """Print a message; what others have written in it cannot steer the terminal."""
    click.echo(escaped_lines(text), err=True)


def _in_file(file: str) -> Callable[[Problem], str]:
    return lambda problem: problem.located(file)


def _tell_problems(refused: Refused, locate: Callable[[Problem], str]) -> None:
    for problem in refused.problems:
        click.echo(escaped(locate(problem)), err=True)
    if (more := refused.total - len(refused.problems)) > 0:
        click.echo(f"... and {more} more", err=True)
    _tell(f"bulkrsvp: {refused}")


def with_ledger(act: Callable[[ArqRedis, Batches], Awaitable[T]], *, writes: bool = True) -> T:
    """
    Run one act on the ledger that the environment names, logged in as the command can.

    One that only asks (not `writes`) is open to a user who may not change anything.
    """
    logins: Logins = click.get_current_context().obj or no_login

    async def run() -> T:
        async with open_ledger(Settings.load(), logins, writes=writes) as (redis, batches):
            return await act(redis, batches)

    return asyncio.run(run())


def submit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `submit`: how rows are written, and `batch_options`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice([each.value for each in Format]),
        help="Of the rows; else by the file's name, else by its beginning.",
    )
    return form(plan_option(batch_options(command)))


def plan_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that makes its batch a plan."""
    plan = click.option("--plan", is_flag=True, help="Find and look, send nothing; for review.")
    return plan(command)


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how a batch is to be made."""
    for option in reversed(
        [
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
    *,
    form: str | None = None,
    batch: str | None,
    at: str | None,
    deadline: str,
    check_first: bool,
    plan: bool = False,
) -> Wishes:
    """Read the options of `submit`. Raises `InputError`."""
    return Wishes(
        format=Format(form) if form else None,
        batch=batch,
        at_ms=read_moment_ms(at) if at else 0,
        allowed_ms=read_duration_ms(deadline),
        check_first=check_first,
        plan=plan,
    )


def exit_code(batch: Batch) -> int:
    """Return the exit code that tells how a finished batch ended: 0 says that all is done."""
    return 0 if batch.successful and not batch.called_off else UNSUCCESSFUL_EXIT


def watch_batch(batch_id: str) -> int:
    """Follow a batch until it is finished; return the exit code."""
    return exit_code(with_ledger(lambda _, batches: watch(batches, batch_id), writes=False))


def queue_checked(
    checked: Draft, wishes: Wishes, *, dry_run: bool, following: bool, as_json: bool
) -> int:
    """Queue what was checked, or with `dry_run` only tell of it; return the exit code."""
    if dry_run:
        tell_dry_run(checked, wishes, as_json=as_json)
        return 0
    submitted = with_ledger(lambda redis, _: queue_batch(redis, checked, wishes))
    tell_submitted(submitted, as_json=as_json)
    if following:
        return watch_batch(submitted.batch)
    return 0 if submitted.left_over is None else UNSUCCESSFUL_EXIT


def tell_submitted(submitted: Submitted, *, as_json: bool) -> None:
    """Print the batch id, and for a person what happened."""
    click.echo(_as_json(submitted) if as_json else submitted.batch)
    repeats = f" ({submitted.duplicates} duplicates left out)" if submitted.duplicates else ""
    if submitted.created:
        text = f"queued {submitted.total} responses{repeats} as batch {submitted.batch}"
    else:
        text = f"batch {submitted.batch} was submitted before; nothing was queued"
    click.echo(f"{text}; follow it with: bulkrsvp status {submitted.batch} --watch", err=True)
    if submitted.left_over is not None:
        click.echo(tell_left_over(submitted.left_over), err=True)


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
            "cancelled": submitted.left_over is not None,
            **more,
        }
    )
