"""
What a response costs of the processor: against a loop that remembers nothing, and in other ways.

There is no latency, so that all of the time is work. What a process takes to start is measured
with one row and taken off. A yardstick that is slow is given fewer rows; a cost for each response
is comparable all the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.apparatus import ROUNDS, Apparatus
from tests.bench.child import Spent
from tests.bench.figures import Figure, Sense, medians
from tests.bench.rowfile import RowFile
from tests.bench.yardsticks import BARE, REMEMBERING_LITTLE, Yardstick

MICROSECONDS: Final = 1e6
SERIES: Final = "CPU for each response, microseconds"

Send = Callable[[Path, int], Spent]


def cpu(apparatus: Apparatus) -> list[Figure]:
    """Compare CPU for 100,000 responses of 5,000 mailboxes."""
    rows = apparatus.size(100_000, 5_000)
    ours, bare, graph = _ours_and_bare(apparatus, rows, rows // 20)
    others = {each: _cost_of(apparatus, each, rows) for each in REMEMBERING_LITTLE}
    costs = {"bulkrsvp": ours, BARE.title: bare} | {e.title: c for e, c in others.items()}
    return [
        *(
            Figure("cpu", "one response", cost, "us", series=SERIES, name=name, note=name)
            for name, cost in costs.items()
        ),
        Figure("cpu", "bulkrsvp / (a)", ours / bare, "x", goal=1.3),
        *(_times_ours(each, cost / ours) for each, cost in others.items()),
        Figure(
            "cpu",
            "(a) / simulated Graph",
            bare / graph,
            "x",
            3,
            Sense.AT_LEAST,
            note="Graph must not be what is measured",
        ),
    ]


def thin(apparatus: Apparatus) -> list[Figure]:
    """Compare CPU for 100,000 mailboxes of one response each."""
    rows = apparatus.size(100_000, 5_000)
    ours, bare, _ = _ours_and_bare(apparatus, rows, rows)
    return [
        Figure("thin", "one response", ours, "us", note="bulkrsvp"),
        Figure("thin", "one response", bare, "us", note=BARE.title),
        Figure("thin", "bulkrsvp / (a)", ours / bare, "x", goal=1.5),
    ]


def _ours_and_bare(apparatus: Apparatus, rows: int, mailboxes: int) -> tuple[float, float, float]:
    """
    Return what a response costs us, the bare loop, and Graph while that ran, in microseconds.

    Each is the median of some rounds, taken in turn: what else the machine does meets all alike.
    """
    content = RowFile(rows, mailboxes)
    rounds = [_round(apparatus, content) for _ in range(ROUNDS)]
    ours, bare, graph = medians(rounds)
    return ours, bare, graph


def _round(apparatus: Apparatus, content: RowFile) -> tuple[float, float, float]:
    ours = _cost(apparatus, lambda file, _: apparatus.work_off(file), content)
    bare = _cost(apparatus, lambda file, count: apparatus.let_send(BARE, file, count), content)
    return ours, bare, apparatus.graph.counted().cpu_s / content.rows * MICROSECONDS


def _cost_of(apparatus: Apparatus, yardstick: Yardstick, rows: int) -> float:
    content = RowFile(rows // yardstick.share, max(1, rows // 20 // yardstick.share))
    return _cost(apparatus, lambda file, count: apparatus.let_send(yardstick, file, count), content)


def _cost(apparatus: Apparatus, send: Send, content: RowFile) -> float:
    """Return what one response costs beyond the start, in microseconds."""
    start = _spent(apparatus, send, RowFile(1, 1))
    whole = _spent(apparatus, send, content)
    return (whole.cpu_s - start.cpu_s) / content.rows * MICROSECONDS


def _spent(apparatus: Apparatus, send: Send, content: RowFile) -> Spent:
    apparatus.clear()
    spent = send(apparatus.rows(content), content.rows)
    apparatus.expect_taken(content.rows)
    return spent


def _times_ours(yardstick: Yardstick, ratio: float) -> Figure:
    goal = 10 if yardstick.letter == "b" else None
    note = f"on 1/{yardstick.share} of the rows"
    return Figure("cpu", f"{yardstick.title} / bulkrsvp", ratio, "x", goal, Sense.AT_LEAST, note)
