"""
Throttling: how many of the calls Graph refuses, at the limits that it documents.

No mailbox has so many responses that the limit of 10,000 calls in ten minutes could count; what
counts is that of four calls in flight.
"""

from collections.abc import Sequence

from tests.bench.apparatus import LATENCY, LIMIT_S, Apparatus
from tests.bench.figures import Figure
from tests.bench.rowfile import RowFile
from tests.bench.yardsticks import REMEMBERING_LITTLE


def throttled(apparatus: Apparatus) -> list[Figure]:
    """Count 429s: one batch and one worker, two batches on the same mailboxes and four workers."""
    rows = apparatus.size(20_000, 4_000)
    one = [RowFile(rows, rows // 40)]
    two = [RowFile(rows, rows // 40, seed=seed) for seed in (1, 2)]
    alone, shared = _refused(apparatus, one, 1), _refused(apparatus, two, 4)
    return [
        Figure("throttled", "429s for one response", alone, "", 0, note="a batch, a worker"),
        Figure(
            "throttled",
            "429s for one response",
            shared,
            "",
            0,
            note="two batches on the same mailboxes, four workers",
        ),
        *_of_others(apparatus, rows // 10),
    ]


def _refused(apparatus: Apparatus, contents: Sequence[RowFile], workers: int) -> float:
    """Return how many 429s there were for each response that was taken."""
    rows = sum(content.rows for content in contents)
    apparatus.clear(**LATENCY)
    with apparatus.idle_workers(workers) as (worker, *_):
        for content in contents:
            apparatus.submit(apparatus.rows(content))
        worker.wait_until(lambda: apparatus.graph.counted().taken >= rows, LIMIT_S)
    return apparatus.expect_taken(rows).throttled / rows


def _of_others(apparatus: Apparatus, rows: int) -> list[Figure]:
    """Count what the yardsticks get, on rows that go round the mailboxes, which spares them."""
    figures = []
    for yardstick in REMEMBERING_LITTLE[:-1]:  # one call after the other is never refused
        apparatus.clear(**LATENCY)
        apparatus.let_send(yardstick, apparatus.rows(RowFile(rows, rows // 40)), rows)
        counted = apparatus.graph.counted()
        figures.append(
            Figure(
                "throttled",
                "429s for one response",
                counted.throttled / counted.taken,
                "",
                note=yardstick.title,
            )
        )
    return figures
