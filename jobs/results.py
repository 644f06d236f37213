"""The results of a batch as data, in forms that `submit` can read again."""

import csv
import io
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import orjson

from jobs.ledger.batches import Batches, Line
from jobs.moments import write_moment
from jobs.parsing import COLUMNS, RESULT_KEYS
from jobs.response import Response


class ResultsFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


async def read_results(
    batches: Batches, batch_id: str, outcomes: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """
    Read the results of a batch, in the order of its rows; of some outcomes only, if any are given.

    Raises `InputError` if there is no such batch.
    """
    batch = await batches.get(batch_id)
    lines = [line async for part in batches.lines(batch) for line in part if wanted(line, outcomes)]
    lines.sort(key=lambda line: line.row)
    return [result(batch_id, line) for line in lines]


def wanted(line: Line, outcomes: frozenset[str]) -> bool:
    """Whether a response ended in one of these outcomes; without any, all are wanted."""
    ending = line.record.ending
    return not outcomes or (ending is not None and ending.outcome.value in outcomes)


def result(batch_id: str, line: Line) -> dict[str, Any]:
    """Return one response as a line of `results --format jsonl`: its row, and what came of it."""
    record = line.record
    ending = record.ending
    return {
        **orjson.loads(line.response.to_json()),
        "batch": batch_id,
        "row": line.row,
        "outcome": ending and ending.outcome.value,
        "reason": ending and ending.reason and ending.reason.value,
        "status": record.status,
        "attempts": record.attempts,
        "requestId": record.request_id,
        "clientRequestId": record.client_request_id,
        "settledAt": write_moment(record.settled_at_ms) if record.settled_at_ms else None,
    }


def results_jsonl(results: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Write results as JSON Lines."""
    return (orjson.dumps(each).decode() + "\n" for each in results)


def results_csv(results: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Write results as CSV, in the columns that `submit` reads, and those it passes over."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *RESULT_KEYS], extrasaction="ignore")
    writer.writeheader()
    for each in results:
        writer.writerow({**each, **_cells(each)})
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _cells(each: dict[str, Any]) -> dict[str, str]:
    cells = {"sendResponse": "true" if each["sendResponse"] else "false"}
    slot = Response.from_json({key: each[key] for key in COLUMNS if key in each} | _slot(each))
    proposed = slot.proposed_new_time
    if proposed is None:
        return cells
    start, end = proposed.start, proposed.end
    if start.time_zone == end.time_zone:
        times = (start.date_time, end.date_time, start.time_zone)
    else:  # CSV has one zone for both
        times = (start.to_utc().isoformat(), end.to_utc().isoformat(), "UTC")
    return cells | dict(zip(("proposedStart", "proposedEnd", "timeZone"), times, strict=True))


def _slot(each: dict[str, Any]) -> dict[str, Any]:
    return {"proposedNewTime": each["proposedNewTime"]} if "proposedNewTime" in each else {}
