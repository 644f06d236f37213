"""
The command that needs no file: it finds and answers what the named people were invited to.

Each user becomes a selection row, and the rows become a batch as those of a file do. Errors name
the user or the option that they come from, since there are no lines.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from config.errors import InputError
from config.settings import Settings
from jobs.console.options import batch_options, plan_option, read_wishes
from jobs.console.submitting import queue_checked
from jobs.draft.draft import check_batch_id, draft
from jobs.operations.submit import STDIN, Wishes
from jobs.quoting import abbreviated
from jobs.rows.jsonl import Problem, encoding_of
from jobs.rows.reading import Row, read_selection
from jobs.rows.response import Action
from jobs.rows.selection import Series

_OPTIONS: Final = {
    "events.from": "--from",
    "events.to": "--to",
    "events.organizer": "--organizer",
    "comment": "--comment",
}
"""Options that can be wrong whoever the users are, by the field that reports it."""


@click.command()
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@click.option("--from", "begin", metavar="TIME", help="Start of the window (default: now).")
@click.option("--to", "end", metavar="TIME", help="End of the window (default: 730 days later).")
@click.option(
    "--series",
    type=click.Choice([each.value for each in Series]),
    default=Series.WHOLE.value,
    show_default=True,
    help="Answer a recurring series as one, or each occurrence by itself.",
)
@click.option(
    "--organizer",
    "organizers",
    metavar="WHO",
    multiple=True,
    help="Only from this organizer: address, @domain, internal or external; may be repeated.",
)
@click.option(
    "--action",
    type=click.Choice([each.value for each in Action]),
    default=Action.DECLINE.value,
    show_default=True,
    help="How to answer.",
)
@click.option("--comment", metavar="TEXT", help="Text for the organizers.")
@click.option("--no-send-response", "silent", is_flag=True, help="Send the organizers no mail.")
@plan_option
@batch_options
@click.pass_context
def offboard(
    ctx: click.Context,
    /,
    *,
    users: tuple[str, ...],
    batch: str | None,
    at: str | None,
    deadline: str,
    check_first: bool,
    plan: bool,
    dry_run: bool,
    following: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """
    Find and answer what each USER was invited to; - reads users from standard input, one per line.

    Example: bulkrsvp offboard ada@contoso.com --comment 'Ada has left Contoso.' --plan
    Example: bulkrsvp offboard ada@contoso.com --organizer internal --series occurrences
    Example: bulkrsvp offboard - --no-send-response --at 2026-12-01T17:00Z < leavers.txt
    """
    settings = Settings.load()
    wishes = read_wishes(batch=batch, at=at, deadline=deadline, check_first=check_first, plan=plan)
    if wishes.batch is not None:
        check_batch_id(wishes.batch)
    names = _read_users(users)
    ctx.meta["locate"] = lambda problem: _locate(problem, names)
    with draft(_rows(names, _fields(**asked), wishes), plan=wishes.plan) as checked:
        code = queue_checked(
            checked, wishes, settings, dry_run=dry_run, following=following, as_json=as_json
        )
    ctx.exit(code)


def _read_users(given: Iterable[str]) -> list[str]:
    """Return each user once, ignoring letter case. Raises `InputError` if there is none."""
    users: dict[str, str] = {}
    for name in given:
        for user in _read_lines() if name == STDIN else [name]:
            users.setdefault(user.casefold(), user)
    if not users:
        raise InputError("standard input names no user; write one on each line")
    return list(users.values())


def _read_lines() -> list[str]:
    raw = sys.stdin.buffer.read()
    try:
        text = raw.decode(encoding_of(raw))
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8; write the users as UTF-8") from None
    lines = map(str.strip, text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _fields(
    *,
    begin: str | None,
    end: str | None,
    series: str,
    organizers: tuple[str, ...],
    action: str,
    comment: str | None,
    silent: bool,
) -> dict[str, Any]:
    """Return what is asked of every user, as a row of JSON Lines has it."""
    if silent and comment:
        raise click.UsageError("--comment needs a mail to stand in: drop it, or --no-send-response")
    events = {"from": begin, "to": end, "series": series, "organizer": list(organizers) or None}
    fields = {"events": _given(events), "action": action, "comment": comment}
    return {**_given(fields), "sendResponse": not silent}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _rows(users: list[str], fields: dict[str, Any], wishes: Wishes) -> Iterator[Row | Problem]:
    """Yield a row for each user, or what is wrong; a wrong option is reported only once."""
    told: set[tuple[str, str]] = set()
    begin = wishes.begin
    for number, user in enumerate(users, 1):
        for row in read_selection(number, number, {"user": user, **fields}, now=begin):
            if isinstance(row, Problem) and (option := _option(row)):
                if (option, row.text) in told:
                    continue
                told.add((option, row.text))
            yield row


def _option(problem: Problem) -> str | None:
    """Return the option that is wrong, or None if the problem is with the user."""
    parts = problem.field.split(".")
    return _OPTIONS.get(".".join(parts[:2]))


def _locate(problem: Problem, users: list[str]) -> str:
    """Return the line to print: `OPTION: what is wrong`, or `USER: field: what is wrong`."""
    if option := _option(problem):
        return f"{option}: {problem.text}"
    user = users[problem.line - 1]
    shown = user if user.isprintable() else abbreviated(user)
    field = "--organizer" if problem.field == "events" else problem.field
    return f"{shown}: {field}: {problem.text}"
