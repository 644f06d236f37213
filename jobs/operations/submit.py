"""From a file to a batch in the ledger: read, check, stage, commit, release. All or nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import cast

from arq.connections import ArqRedis

from config.errors import InputError
from jobs.draft.draft import Draft, check_batch_id, draft
from jobs.ledger.batches.expired import forget_expired
from jobs.ledger.batches.store import Batches, Commit
from jobs.ledger.forms.batch import Batch, Order
from jobs.ledger.queue import Queue
from jobs.rows.reading import Format, choose_format, read_rows
from jobs.times import moment, now_ms, read_duration_ms

ALLOWED = "24h"
"""How long responses may be sent, by default."""

STDIN = "-"
SNIFFED = 4096
"""Bytes that are looked at to tell CSV from JSON Lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an administrator asks for besides the rows; times and durations in milliseconds."""

    format: Format | None = None
    batch: str | None = None
    at_ms: int = 0
    allowed_ms: int = read_duration_ms(ALLOWED)
    check_first: bool = False
    plan: bool = False

    @property
    def begin(self) -> datetime:
        """The moment before which nothing is sent: `at_ms`, or now if that has passed."""
        return moment(max(self.at_ms, now_ms()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """
    What came of a submit; `created` is false if the batch already existed.

    `left_over` is the batch if it was cancelled, and so may have left something unsent.
    """

    batch: str
    created: bool
    total: int
    duplicates: int
    left_over: Batch | None = None


@contextmanager
def read_file(file: str, wishes: Wishes, *, proposals_allowed: bool) -> Iterator[Draft]:
    """
    Read and check a file, or standard input.

    Raises `Refused` with everything that is wrong in it, and `InputError` if it cannot be read.
    """
    if wishes.batch is not None:
        check_batch_id(wishes.batch)
    with _open(file) as stream:
        form = choose_format(file, stream.peek(SNIFFED)[:SNIFFED], wishes.format)
        rows = read_rows(stream, format=form, proposals_allowed=proposals_allowed, now=wishes.begin)
        checked = draft(rows, plan=wishes.plan)
    with checked:
        yield checked


@contextmanager
def _open(file: str) -> Iterator[BufferedReader]:
    if file == STDIN:
        yield cast("BufferedReader", sys.stdin.buffer)
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115  # closed below; only opening is tried here
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    with stream:
        yield stream


async def queue_batch(redis: ArqRedis, checked: Draft, wishes: Wishes) -> Submitted:
    """
    Make a checked file into a batch, unless it already is one, and release its first slices.

    Raises `InputError` if another batch has that id, and redis-py's errors.
    """
    batches = Batches(redis)
    order = _order(checked, wishes)
    await forget_expired(redis, now_ms())
    commit = await _commit(batches, order, checked)
    batch = await batches.get(order.batch)
    # Done also for a batch that already exists: its submit may have died before this line.
    await Queue(redis, batches).release(batch)
    return Submitted(
        batch=batch.id,
        created=commit is Commit.CREATED,
        total=batch.total,
        duplicates=batch.duplicates,
        left_over=batch if batch.called_off else None,
    )


async def _commit(batches: Batches, order: Order, checked: Draft) -> Commit:
    known = await batches.find(order.batch)
    if known is not None and known.fingerprint == order.fingerprint:
        return Commit.SAME
    commit = Commit.OTHER
    if known is None:
        commit = await batches.commit(order, checked.slices(), now_ms())
    if commit is Commit.OTHER:
        raise InputError(
            f"there is already a batch {order.batch!r} with other content, and nothing was queued;"
            " choose another --batch, or leave it out"
        )
    if commit is Commit.UNSTAGED:
        raise InputError("Redis lost the rows before they were committed; submit the file again")
    return commit


def _order(checked: Draft, wishes: Wishes) -> Order:
    return Order(
        batch=wishes.batch or checked.batch_id,
        fingerprint=checked.fingerprint,
        total=checked.total,
        selections=checked.selections,
        duplicates=checked.duplicates,
        plan=wishes.plan,
        not_before_ms=max(wishes.at_ms, now_ms()),
        allowed_ms=wishes.allowed_ms,
        check_first=wishes.check_first,
    )
