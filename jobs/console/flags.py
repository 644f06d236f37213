"""The commands that change a batch that was submitted: retry, pause, resume, cancel."""

import click

from jobs.console.completion import offer_batches
from jobs.console.group import exit_incomplete
from jobs.console.ledger import with_ledger
from jobs.console.submitting import UNSUCCESSFUL_EXIT
from jobs.ledger.foreign import WRITTEN_BY_OTHERS, Unreadable
from jobs.operations.flags import Flag, cancelling, pausing, resuming
from jobs.operations.graph_pause import resume_graph
from jobs.operations.retry import UNSENT, Choice, queue_again
from jobs.outcome import Outcome, Reason

RETRIED = (Outcome.FAILED, Outcome.EXPIRED, Outcome.UNCERTAIN)
"""What `retry` may queue again; the last one only when it is named."""


@click.command()
@click.argument("batch", shell_complete=offer_batches)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in RETRIED]),
    help="Only with this outcome (default: failed and expired); may be repeated.",
)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    metavar="REASON",
    type=click.Choice([each.value for each in Reason]),
    help="Only with this reason, like not_found; may be repeated.",
)
@click.pass_context
def retry(
    ctx: click.Context, batch: str, outcomes: tuple[str, ...], reasons: tuple[str, ...]
) -> None:
    """
    Queue failed and expired responses of BATCH again, in the same batch.

    Each gets its full attempts again, and the batch's deadline counts from now.
    If the batch is cancelled meanwhile, the cancel wins.

    Example: bulkrsvp retry 5f0c9a31d2e84b67 --reason access_denied
    Example: bulkrsvp retry 5f0c9a31d2e84b67 --outcome uncertain
    """
    choice = Choice(frozenset(outcomes) or UNSENT.outcomes, frozenset(reasons))
    passed_over = list[Unreadable]()
    retried = with_ledger(
        lambda redis, batches: queue_again(redis, batches, batch, choice, passed_over.append)
    )
    click.echo(f"queued {retried.count} responses of batch {batch} again", err=True)
    if retried.paused:
        _tell_paused(batch)
    if retried.left:
        click.echo(
            f"{retried.left} more have ended, but no worker has logged it yet; "
            "make sure that a worker is running, then retry again",
            err=True,
        )
    if retried.cancelled:
        click.echo(
            f"batch {batch} was cancelled meanwhile, so nothing more was queued; "
            "retry the rest when it has ended",
            err=True,
        )
        ctx.exit(UNSUCCESSFUL_EXIT)
    exit_incomplete(ctx, passed_over)


@click.command()
@click.argument("batch", shell_complete=offer_batches)
def pause(batch: str) -> None:
    """
    Send nothing more of BATCH until it is resumed; what is in flight finishes.

    It returns once no worker can begin another call, after two seconds at most.

    Example: bulkrsvp pause 5f0c9a31d2e84b67
    """
    _hold(pausing(batch))
    _tell_paused(batch)


def _tell_paused(batch_id: str) -> None:
    click.echo(f"batch {batch_id} is paused; resume it with: bulkrsvp resume {batch_id}", err=True)


@click.command()
@click.argument("batch", required=False, shell_complete=offer_batches)
@click.option(
    "--graph", "everything", is_flag=True, help="Instead, end the pause that holds back every call."
)
def resume(batch: str | None, *, everything: bool) -> None:
    """
    Resume BATCH after a pause, or all calls after Graph has throttled the application.

    Example: bulkrsvp resume 5f0c9a31d2e84b67
    Example: bulkrsvp resume --graph
    """
    if everything is (batch is not None):
        raise click.UsageError("name a BATCH, or --graph to end a pause of every call")
    if batch is None:
        if with_ledger(lambda redis, batches: resume_graph(redis, batches, _tell_deleted)):
            said = "every batch continues; mailboxes that Graph throttles stay paused"
        else:
            said = "Graph is not paused as a whole; nothing was changed"
        click.echo(said, err=True)
        return
    with_ledger(resuming(batch).change)
    click.echo(f"batch {batch} continues", err=True)


def _tell_deleted(what: str) -> None:
    click.echo(f"{what}; it is deleted: {WRITTEN_BY_OTHERS}", err=True)


@click.command()
@click.argument("batch", shell_complete=offer_batches)
def cancel(batch: str) -> None:
    """
    End whatever of BATCH has not been sent; what is in flight finishes.

    It returns once no worker can begin another call, after two seconds at most.

    Example: bulkrsvp cancel 5f0c9a31d2e84b67
    """
    _hold(cancelling(batch))
    click.echo(f"batch {batch} is cancelled: what had not been sent stays unsent", err=True)


def _hold(flag: Flag) -> None:
    """Raise a flag and wait until it takes effect; if interrupted, say that it is raised."""
    try:
        with_ledger(flag.hold)
    except KeyboardInterrupt:
        if flag.raised:
            click.echo(flag.broken_off, err=True)
        raise
