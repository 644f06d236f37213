"""
The table of all batches, in the width that there is: 80 columns unless a terminal has another.

An id is never cut, since it is there to be copied: one too long for its column has a line of its
own above the rest, as `df` does it. What came of a batch is words without spaces, so that a line
breaks between two outcomes only.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jobs.ledger.forms.batch import Batch
from jobs.times import moment, write_local

PIPED_WIDTH: Final = 80

GAP: Final = "  "
SHORT_ID: Final = 16
"""As long as an id that was made from the content: most should not need a line of their own."""

LEAST_OUTCOMES: Final = 16
"""What is left for outcomes at least: `uncertain=999999` is not broken."""

Cells = tuple[str, str, str, str, str]


def overview(batches: Sequence[Batch], now_ms: int, width: int = PIPED_WIDTH) -> Iterator[str]:
    """Yield the lines of the table, each as wide as `width` at most, if an id is not wider."""
    rows = [_cells(batch, now_ms) for batch in batches]
    head = ("batch", "state", f"submitted ({_zones(batches)})", "total", "open")
    widths = _widths([head, *rows], width)
    room = max(LEAST_OUTCOMES, width - _taken(widths))
    yield from _lines(head, ["outcomes"], widths)
    for row, batch in zip(rows, batches, strict=True):
        counts = " ".join(f"{outcome.value}={n}" for outcome, n in batch.outcomes.items())
        yield from _lines(row, textwrap.wrap(counts, room), widths)


def _widths(rows: Sequence[Cells], width: int) -> list[int]:
    """Return how wide each column is: that of the ids as wide as leaves room for outcomes."""
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
    """Return the zone of all times; two of them if the clocks were changed meanwhile."""
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
