"""The options and arguments that several commands share, and how they are read."""

from collections.abc import Callable
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from jobs.operations.submit import ALLOWED, Wishes
from jobs.rows.fields import WRITTEN, User
from jobs.rows.reading import Format
from jobs.times import read_duration_ms, read_moment_ms

_USER = TypeAdapter[str](User)


def check_users(_: click.Context, __: click.Parameter, users: tuple[str, ...]) -> tuple[str, ...]:
    """Return users from a command line, under the rule for users in rows; fail as wrong usage."""
    for user in users:
        try:
            _USER.validate_python(user, context=WRITTEN)
        except ValidationError as error:
            raise click.BadParameter(str(error.errors()[0]["ctx"]["error"])) from error
    return users


def submit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `submit`: how rows are written, and `batch_options`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice([each.value for each in Format]),
        help="Format of the rows (default: by the file name, else by how it begins).",
    )
    return form(plan_option(batch_options(command)))


def plan_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that makes its batch a plan."""
    plan = click.option(
        "--plan", is_flag=True, help="Find and look, but send nothing: a list for review."
    )
    return plan(command)


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how a batch is to be made."""
    for option in reversed(
        [
            click.option(
                "--batch", metavar="ID", help="Batch id (default: made from the content)."
            ),
            click.option("--at", metavar="TIME", help="Send nothing before this time (ISO 8601)."),
            click.option(
                "--deadline",
                metavar="DURATION",
                default=ALLOWED,
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
