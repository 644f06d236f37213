"""
The table of all batches, as wide as the terminal, or 80 columns without one.

An id is never cut, since it is there to be copied: one too long for its column gets a line of its
own above the rest, as in `df`. Outcomes are words without spaces, so that lines break only between
two of them.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jobs.ledger.forms.batch import Batch
from jobs.times import moment, write_local

PIPED_WIDTH: Final = 80

GAP: Final = "  "
SHORT_ID: Final = 16
"""Length of an id made from the content: most batches should not need a line of their own."""

LEAST_OUTCOMES: Final = 16
"""The least room for outcomes: `uncertain=999999` is not broken."""

Cells = tuple[str, str, str, str, str]


def overview(batches: Sequence[Batch], now_ms: int, width: int = PIPED_WIDTH) -> Iterator[str]:
    """Yield the lines of the table, each at most `width` wide, unless an id is wider."""
    rows = [_cells(batch, now_ms) for batch in batches]
    head = ("batch", "state", f"submitted ({_zones(batches)})", "total", "open")
    widths = _widths([head, *rows], width)
    room = max(LEAST_OUTCOMES, width - _taken(widths))
    yield from _lines(head, ["outcomes"], widths)
    for row, batch in zip(rows, batches, strict=True):
        counts = " ".join(f"{outcome.value}={n}" for outcome, n in batch.outcomes.items())
        yield from _lines(row, textwrap.wrap(counts, room), widths)


def _widths(rows: Sequence[Cells], width: int) -> list[int]:
    """Return the width of each column; that of the ids leaves room for outcomes."""
    ids, *others = zip(*rows, strict=True)
    fixed = [max(map(len, column)) for column in others]
    for limit in (width, SHORT_ID, len(ids[0])):
        widths = [max(len(each) for each in ids if len(each) <= limit), *fixed]
        if _taken(widths) + LEAST_OUTCOMES <= width:
            break
    return widths


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * len(widths)


def _cells(batch: Batch, now_ms: int) -> Cells:
    submitted, _ = _local(batch.submitted_at_ms)
    return batch.id, batch.state(now_ms).value, submitted, str(batch.total), str(batch.open)


def _local(time_ms: int) -> tuple[str, str]:
    day, clock, zone = write_local(time_ms).split(" ", 2)
    return f"{day} {clock}", zone


def _zones(batches: Iterable[Batch]) -> str:
    """Return the zone of all times; two zones if the clocks changed in between."""
    zones = dict.fromkeys(_local(batch.submitted_at_ms)[1] for batch in batches)
    return "/".join(zones) or moment(0).astimezone().strftime("%Z")


def _lines(cells: Cells, outcomes: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    name, state, submitted, total, open_ = cells
    if len(name) > widths[0]:
        yield name
        name = ""
    first = (
        name.ljust(widths[0]),
        state.ljust(widths[1]),
        submitted.ljust(widths[2]),
        total.rjust(widths[3]),
        open_.rjust(widths[4]),
    )
    margin = " " * len(GAP.join(first))
    for number, part in enumerate(outcomes or [""]):
        yield f"{margin if number else GAP.join(first)}{GAP}{part}".rstrip()
