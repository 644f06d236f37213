"""
The table of verdicts, as the code has it: every status, every code, every kind of call.

    python tests/support/docs/verdict_table.py > tests/graph/verdicts.txt

`tests/graph/test_verdict_table.py` holds the file to the code, so that no verdict changes unread.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from textwrap import wrap
from typing import Any

from jobs.record import Record
from jobs.rows.response import Action, Response
from worker.graph import codes
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement, judge, judge_look, judge_page

DECLINE = Response(user="ada@contoso.com", event="E1", action=Action.DECLINE)
FRESH = Record()
UNKNOWN = Record().unknown(1_700_000_000_000)
SHOWN = UNKNOWN.shown("notResponded")

CALLS: dict[str, Callable[[Reply], Judgement]] = {
    "first call": lambda reply: judge(reply, DECLINE, FRESH),
    "call after a look": lambda reply: judge(reply, DECLINE, SHOWN),
    "look before any call": lambda reply: judge_look(reply, DECLINE, FRESH, 0),
    "look after an unknown call": lambda reply: judge_look(reply, DECLINE, UNKNOWN, 0),
    "page of a calendar": judge_page,
}

BODIES: dict[str, dict[str, Any]] = {
    "Graph's JSON, a code that nobody has met": {"code": "UnheardOf", "has_body": True},
    "Graph's JSON, UnknownError": {"code": "UnknownError", "has_body": True},
    "Graph's JSON, ErrorItemNotFound": {"code": "ErrorItemNotFound", "has_body": True},
    "HTML, or text": {"has_body": True},
    "empty": {},
}

STATUSES = range(200, 600)
CODE_STATUSES = (400, 401, 403, 404, 409, 429, 500, 503)
WIDTHS = (33, 33, 33, 27, 33)


def lines() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "What a reply means, for a decline: verdict>outcome/reason."
    yield "In brackets, where it differs, the same with a Retry-After."
    yield "`wait*`: the mailbox is away. `again*`: the token was refused."
    yield "`look(reason)`: one look may find a better reason."
    for body, fields in BODIES.items():
        yield ""
        yield f"## {body}"
        yield _row("status", CALLS)
        for cells, group in groupby(STATUSES, key=lambda status: _cells(status, fields)):
            yield _row(_span(list(group)), cells)
    yield ""
    yield "## Graph's JSON, by code"
    for names, rows in _alike().items():
        yield ""
        yield from wrap(names, 118)
        yield from rows


def _alike() -> dict[str, tuple[str, ...]]:
    """Return the rows of the codes, those together that mean the same."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for code in sorted(_all_codes()):
        alike.setdefault(tuple(_rows_of(code)), []).append(code)
    return {", ".join(names): rows for rows, names in alike.items()}


def _rows_of(code: str) -> Iterator[str]:
    yield _row("status", CALLS)
    fields = {"code": code, "has_body": True}
    for cells, group in groupby(CODE_STATUSES, key=lambda status: _cells(status, fields)):
        yield _row(" ".join(map(str, group)), cells)


def _all_codes() -> set[str]:
    return {
        *codes.REASONS,
        *codes.AWAY,
        *codes.DOUBTFUL,
        *codes.GONE,
        *codes.NO_WORD,
        *codes.QUOTA,
        *codes.SHARED,
        *codes.SHARED_BY_PROPOSALS,
        *codes.TOKEN,
    }


def _cells(status: int, fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_cell(each, status, fields) for each in CALLS.values())


def _cell(call: Callable[[Reply], Judgement], status: int, fields: dict[str, Any]) -> str:
    plain = _said(call(_reply(status, fields)))
    asked = _said(call(_reply(status, fields | {"retry_after_s": 3.0})))
    return plain if plain == asked else f"{plain} [{asked}]"


def _reply(status: int, fields: dict[str, Any]) -> Reply:
    arrived_at = datetime(2026, 11, 27, tzinfo=UTC)
    return Reply(status=status, arrived_at=arrived_at, duration_ms=1.0, **fields)


def _said(judgement: Judgement) -> str:
    if judgement.ending is not None:
        outcome, reason = judgement.ending.outcome, judgement.ending.reason
        return f"{judgement.verdict}>{outcome}" + (f"/{reason}" if reason else "")
    if judgement.refusal is not None:
        return f"{judgement.verdict}({judgement.refusal})"
    return judgement.verdict + ("*" if judgement.away or judgement.token else "")


def _span(statuses: list[int]) -> str:
    return str(statuses[0]) if len(statuses) == 1 else f"{statuses[0]}-{statuses[-1]}"


def _row(first: str, cells: Iterable[str]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)]
    return f"{first.ljust(19)} {' '.join(padded)}".rstrip()


if __name__ == "__main__":
    sys.stdout.write("\n".join([*lines(), ""]))
