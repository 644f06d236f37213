"""A checked draft on its way into the queue: what is printed of it, and how the command exits."""

import click
from arq.connections import ArqRedis

from config.settings import Settings
from jobs.console import report
from jobs.console.ledger import with_ledger
from jobs.console.left_over import tell_left_over
from jobs.console.watching import watch
from jobs.draft.draft import Draft
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.operations.submit import Submitted, Wishes, queue_batch

UNSUCCESSFUL_EXIT = 1


def exit_code(batch: Batch) -> int:
    """Return the exit code that tells how a finished batch ended: 0 says that all is done."""
    return 0 if batch.successful and not batch.called_off else UNSUCCESSFUL_EXIT


def queue_checked(
    checked: Draft,
    wishes: Wishes,
    settings: Settings,
    *,
    dry_run: bool,
    following: bool,
    as_json: bool,
) -> int:
    """Queue what was checked, or with `dry_run` only report on it; return the exit code."""
    if dry_run:
        tell_dry_run(checked, wishes, as_json=as_json)
        return 0
    return with_ledger(
        lambda redis, batches: queue_in(
            redis, batches, checked, wishes, following=following, as_json=as_json
        ),
        settings=settings,
    )


async def queue_in(
    redis: ArqRedis,
    batches: Batches,
    checked: Draft,
    wishes: Wishes,
    *,
    following: bool,
    as_json: bool,
) -> int:
    """Queue what was checked in a ledger that is open, report on it, and return the exit code."""
    submitted = await queue_batch(redis, checked, wishes)
    tell_submitted(submitted, as_json=as_json)
    if following:
        return exit_code(await watch(batches, submitted.batch))
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
