"""
`apply`: what a plan listed becomes a batch of its own, and nothing that was found since.

The planned responses go the way of any submitted file, so the batch's id comes from them:
applied twice, or fed back as a file, they are one batch.
"""

from typing import Any

import click

from config.errors import InputError
from jobs import report
from jobs.batch import Draft, draft
from jobs.completion import offer_batches
from jobs.console import batch_options, queue_checked, read_wishes, with_ledger
from jobs.ledger.batches import Batches
from jobs.ledger.entries import Entry, row_order
from jobs.outcome import Outcome
from jobs.rows import Row


@click.command()
@click.argument("plan", metavar="BATCH", shell_complete=offer_batches)
@batch_options
@click.pass_context
def apply(
    ctx: click.Context,
    /,
    *,
    plan: str,
    dry_run: bool,
    following: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """
    Send exactly what the plan BATCH lists as planned, as a batch of its own; twice is once.

    Example: bulkrsvp apply 5f0c9a31d2e84b67 --watch
    """
    wishes = read_wishes(**options)
    with with_ledger(lambda _, batches: read_plan(batches, plan)) as planned:
        if not planned.total:
            _tell_empty(plan, as_json=as_json)
            return
        code = queue_checked(planned, wishes, dry_run=dry_run, following=following, as_json=as_json)
    ctx.exit(code)


def _tell_empty(plan: str, *, as_json: bool) -> None:
    if as_json:
        empty = {"batch": None, "created": False, "total": 0, "duplicates": 0}
        click.echo(report.to_json(empty))
    click.echo(f"plan {plan} lists nothing to send; nothing was queued", err=True)


async def read_plan(batches: Batches, plan: str) -> Draft:
    """
    Return the planned responses of a plan, as a draft that the caller closes.

    Raises `InputError` for a batch that is no plan, is not finished, or was cancelled too early.
    """
    batch = await batches.get(plan)
    if not batch.plan:
        raise InputError(f"batch {plan} is no plan; make one with: bulkrsvp submit FILE --plan")
    if not batch.finished_at_ms:
        raise InputError(f"plan {plan} is not finished; see: bulkrsvp status {plan} --watch")
    found = [entry async for part in batches.lines(batch) for entry in part if _is_planned(entry)]
    if batch.called_off and not found:
        raise InputError(f"plan {plan} was cancelled before it listed anything; make a new one")
    found.sort(key=lambda entry: row_order(entry.row))
    return draft(
        Row.of(number, number, entry.response) for number, entry in enumerate(found, start=1)
    )


def _is_planned(entry: Entry) -> bool:
    ending = entry.record.ending
    return ending is not None and ending.outcome is Outcome.PLANNED
