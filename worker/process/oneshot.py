"""The one-shot: a checked file becomes a batch and is worked to its end, in this process."""

import asyncio
from pathlib import Path
from typing import IO, Any

import click

from config.settings import Settings
from jobs.console.left_over import tell_left_over
from jobs.console.watching import watch
from jobs.draft.draft import Draft
from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.operations.ledger import open_ledger
from jobs.operations.results import read_results, results_csv
from jobs.operations.status import read_status
from jobs.operations.submit import Wishes, queue_batch
from jobs.private_files import open_private
from worker.identity.redis_login import log_in
from worker.process.main import Ended, run_worker
from worker.slice.context import Context


async def run_batch(
    settings: Settings,
    checked: Draft,
    wishes: Wishes,
    *,
    stream: IO[Any],
    following: bool,
    folder: Path | None,
) -> tuple[Batch, Pauses]:
    """
    Queue a batch and work until it is finished, or a signal comes.

    Returns the batch as it stands and what of it is paused. It logs to `stream`;
    `following` draws a bar; into `folder` go the results, for a Redis that ends with this process.
    """
    async with open_ledger(settings, log_in) as (redis, batches):
        submitted = await queue_batch(redis, checked, wishes)
        if submitted.left_over is None:
            word = "queued" if submitted.created else "went on with"
            click.echo(f"{word} batch {submitted.batch}: {submitted.total} responses", err=True)
        bar = asyncio.create_task(watch(batches, submitted.batch)) if following else None
        await run_worker(settings, stream, ended=_announced(submitted.batch))
        if bar is not None:
            bar.cancel()
            await asyncio.gather(bar, return_exceptions=True)
        file = folder and await _keep_results(batches, submitted.batch, folder)
        batch, pauses = await read_status(batches, submitted.batch)
        if batch.called_off:
            click.echo(tell_left_over(batch, "run", file=file), err=True)
        return batch, pauses


def _announced(batch_id: str) -> Ended:
    async def ended(context: Context) -> bool:
        batch = await context.ledger.batches.find(batch_id)
        return batch is None or batch.announced

    return ended


async def _keep_results(batches: Batches, batch_id: str, folder: Path) -> Path:
    path = folder / f"{batch_id}.csv"
    with open_private(path) as file:
        file.writelines(results_csv(await read_results(batches, batch_id)))
    click.echo(f"the results are in {path}", err=True)
    return path
