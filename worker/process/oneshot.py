"""The one-shot: a checked file becomes a batch and is worked to its end, in this process."""

import asyncio
import sys
from contextlib import ExitStack
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
from jobs.private_files import append_private, make_private, open_private
from worker.identity.redis_login import log_in
from worker.process.embedded import EmbeddedRedis
from worker.process.main import Ended, run_worker
from worker.slice.context import Context


def run_file(
    settings: Settings,
    checked: Draft,
    wishes: Wishes,
    state: Path,
    *,
    as_json: bool,
    following: bool,
) -> tuple[Batch, Pauses]:
    """
    Work a checked file off, on an embedded Redis in `state` where the settings name none.

    Returns the batch as it stands and what of it is paused. `following` draws a bar.
    Raises `click.FileError` if the log cannot be written beside the bar, and what
    `EmbeddedRedis` and `run_worker` raise.
    """
    folder = state if settings.redis_url is None else None
    with ExitStack() as parts:
        if folder is not None:
            embedded = parts.enter_context(EmbeddedRedis(folder, witnessed=True))
            settings = settings.model_copy(update={"redis_url": embedded.url})
        stream = _log_stream(parts, state, as_json=as_json, following=following)
        work = _run_batch(
            settings, checked, wishes, stream=stream, following=following, folder=folder
        )
        return asyncio.run(work)


def _log_stream(parts: ExitStack, state: Path, *, as_json: bool, following: bool) -> IO[Any]:
    """Choose where the log goes, so that it is neither mixed with results nor with a bar."""
    if following and sys.stderr.isatty() and (as_json or sys.stdout.isatty()):
        path = state / "worker.log"
        try:
            make_private(state)
            stream = append_private(path)
        except OSError as error:
            raise click.FileError(str(path), error.strerror) from error
        click.echo(f"logging to {path}", err=True)
        return parts.enter_context(stream)
    return sys.stderr if as_json else sys.stdout


async def _run_batch(
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
