"""The results of a batch as data, in forms that `submit` can read again."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import Unreadable
from jobs.ledger.forms.entries import Entry, row_order
from jobs.quoting import cell
from jobs.rows.jsonl import COLUMNS, RESULT_KEYS, TOLD
from jobs.rows.response import TimeSlot
from jobs.rows.table import WINDOW
from jobs.times import write_moment

SHOWING: Final = ("subject", "start", "organizer")
"""What results show of an event that was found, or looked at for a plan."""

OF_SELECTIONS: Final = WINDOW | TOLD | {"ifNotRequested"}
"""Columns that are of use only where there are selections, or events that they found."""


UNREADABLE: Final = "unreadable_record"
"""In place of a reason, without an outcome: nobody knows what became of the response."""


class ResultsFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


async def read_results(
    batches: Batches,
    batch_id: str,
    outcomes: frozenset[str] = frozenset(),
    tell: Callable[[Entry], None] = lambda _: None,
    passed_over: Callable[[Unreadable], None] | None = None,
) -> list[dict[str, Any]]:
    """
    Read the results of a batch, in the order of its rows; only those with `outcomes`, if any.

    `tell` is called with each response whose record cannot be read, whatever its outcome, and
    `passed_over` with what is wrong with each slice that cannot be read; without it that is raised.
    Raises `InputError` if there is no such batch.
    """
    batch = await batches.get(batch_id)
    lines = list[Entry]()
    async for part in batches.lines(batch, passed_over):
        for line in part:
            if line.error:
                tell(line)
            if wanted(line, outcomes):
                lines.append(line)
    lines.sort(key=lambda line: row_order(line.row))
    return [result(batch_id, line) for line in lines]


def wanted(line: Entry, outcomes: frozenset[str]) -> bool:
    """Whether a response ended in one of these outcomes; without any, all are wanted."""
    ending = line.record.ending
    return not outcomes or (ending is not None and ending.outcome.value in outcomes)


def result(batch_id: str, line: Entry) -> dict[str, Any]:
    """Return one response as a line of `results --format jsonl`: its row, and what came of it."""
    record = line.record
    ending = record.ending
    return {
        **orjson.loads(line.response.to_json()),
        **_showing(line),
        "batch": batch_id,
        "row": line.row,
        "outcome": ending and ending.outcome.value,
        "reason": UNREADABLE if line.error else ending and ending.reason and ending.reason.value,
        "status": record.status,
        "attempts": record.attempts,
        "requestId": record.request_id,
        "clientRequestId": record.client_request_id,
        "settledAt": write_moment(record.settled_at_ms) if record.settled_at_ms else None,
        "errorCode": record.code,
    }


def _showing(line: Entry) -> dict[str, str | None]:
    """Return what a person wants to see of an event that was found, or looked at for a plan."""
    if line.found is None and line.record.showing is None:
        return {}
    return dict(zip(SHOWING, line.showing, strict=True))


def results_jsonl(results: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Write results as JSON Lines."""
    return (orjson.dumps(each).decode() + "\n" for each in results)


def results_csv(results: Sequence[dict[str, Any]]) -> Iterable[str]:
    """
    Write results as CSV, in the columns that `submit` reads, and those it passes over.

    Columns of selections are there only where there is something to say in them. Text stands in
    its cell so that no spreadsheet calculates it.
    """
    finds = any("events" in each or "start" in each for each in results)
    columns = [each for each in COLUMNS if finds or each not in OF_SELECTIONS]
    text = io.StringIO()
    header = [*columns, *(["start"] if finds else []), *RESULT_KEYS]
    writer = csv.DictWriter(text, header, extrasaction="ignore")
    writer.writeheader()
    for each in results:
        writer.writerow({name: _safe(value) for name, value in {**each, **_cells(each)}.items()})
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _safe(value: Any) -> Any:
    return cell(value) if isinstance(value, str) else value


def _cells(each: dict[str, Any]) -> dict[str, str]:
    cells = {"sendResponse": "true" if each["sendResponse"] else "false"}
    if "events" in each:
        return cells | _selection_cells(each["events"])
    return cells | _slot_cells(each)


def _selection_cells(events: dict[str, Any]) -> dict[str, str]:
    organizer = " ".join(events.get("organizer", ()))
    return {**events, "from": events.get("from", "now"), "organizer": organizer}


def _slot_cells(each: dict[str, Any]) -> dict[str, str]:
    if "proposedNewTime" not in each:
        return {}
    proposed = TimeSlot.model_validate(each["proposedNewTime"])
    start, end = proposed.start, proposed.end
    if start.time_zone == end.time_zone:
        times = (start.date_time, end.date_time, start.time_zone)
    else:  # CSV has one zone for both
        times = (start.to_utc().isoformat(), end.to_utc().isoformat(), "UTC")
    return dict(zip(("proposedStart", "proposedEnd", "timeZone"), times, strict=True))
