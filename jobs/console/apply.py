"""
`apply`: what a plan listed becomes a batch of its own, and nothing that was found since.

The planned responses go the way of any submitted file, so the batch's id comes from them:
applied twice, or fed back as a file, they are one batch.
"""

from typing import Any

import click
from arq.connections import ArqRedis

from jobs.console import report
from jobs.console.completion import offer_batches
from jobs.console.ledger import with_ledger
from jobs.console.options import batch_options, read_wishes
from jobs.console.submitting import queue_in, tell_dry_run
from jobs.ledger.batches.store import Batches
from jobs.operations.plans import claim_plan, read_plan


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

    async def apply_plan(redis: ArqRedis, batches: Batches) -> int:
        with await read_plan(batches, plan) as planned:
            if not planned.total:
                _tell_empty(plan, as_json=as_json)
                return 0
            if dry_run:
                tell_dry_run(planned, wishes, as_json=as_json)
                return 0
            await claim_plan(redis, plan, planned, wishes)
            return await queue_in(
                redis, batches, planned, wishes, following=following, as_json=as_json
            )

    ctx.exit(with_ledger(apply_plan))


def _tell_empty(plan: str, *, as_json: bool) -> None:
    if as_json:
        empty = {"batch": None, "created": False, "total": 0, "duplicates": 0}
        click.echo(report.to_json(empty))
    click.echo(f"plan {plan} lists nothing to send; nothing was queued", err=True)
