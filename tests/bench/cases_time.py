"""
How soon: a whole batch against what is possible, an urgent one, the first call, others' calls.

Latency is log-normal around 150 ms. Workers are up and idle before a batch comes.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from tests.bench.apparatus import IN_FLIGHT, LATENCY, LIMIT_S, ROUNDS, Apparatus
from tests.bench.child import Child
from tests.bench.figures import Figure, Sense, medians
from tests.bench.rowfile import RowFile
from tests.bench.yardsticks import BARE, REMEMBERING_LITTLE, Yardstick

MEAN_S: Final = LATENCY["latency_ms"] / 1000 * math.exp(LATENCY["sigma"] ** 2 / 2)
MAILBOX_WIDTH: Final = 4
URGENT_BATCHES: Final = 5
CALLS_PER_S: Final = 13_000
"""What Graph takes from one application in all, per second, by its general limits."""


def time_to_finish(apparatus: Apparatus) -> list[Figure]:
    """Compare the time for a batch with the lower bound, and with the yardsticks."""
    rows = apparatus.size(100_000, 5_000)
    rounds = [_time_round(apparatus, RowFile(rows, rows // 20)) for _ in range(ROUNDS)]
    bare_cpu_s, took_s, shared_s = medians(rounds)
    bound = _bound_s(rows, 20, bare_cpu_s)
    others = {each: _scaled_s(apparatus, each, rows) for each in REMEMBERING_LITTLE}
    ours = {"bulkrsvp": took_s, "bulkrsvp, two workers": shared_s}
    bars = {"lower bound": bound} | ours | {e.title: s for e, s in others.items()}
    series = f"seconds for {rows:,} responses at {LATENCY['latency_ms']:.0f} ms"
    notes = {each.title: f"scaled from 1/{each.share} of the rows" for each in others}
    return [
        *(
            Figure("time", name, value, "s", series=series, name=name, note=notes.get(name, ""))
            for name, value in bars.items()
        ),
        Figure("time", "bulkrsvp / lower bound", took_s / bound, "x", 1.10),
        Figure(
            "time",
            "two workers / lower bound",
            shared_s / bound,
            "x",
            1.10,
            note=f"{IN_FLIGHT // 2} calls in flight each",
        ),
    ]


def _time_round(apparatus: Apparatus, content: RowFile) -> tuple[float, float, float]:
    """Return the bare loop's CPU, and the times that one worker and two take, in seconds."""
    apparatus.clear()
    bare = apparatus.let_send(BARE, apparatus.rows(content), content.rows)
    apparatus.expect_taken(content.rows)
    half = {"BULKRSVP_MAX_CALLS": str(IN_FLIGHT // 2)}
    return bare.cpu_s, _time_batch(apparatus, content), _time_batch(apparatus, content, 2, **half)


def _bound_s(rows: int, per_mailbox: int, bare_cpu_s: float) -> float:
    return max(
        rows / CALLS_PER_S,
        math.ceil(per_mailbox / MAILBOX_WIDTH) * MEAN_S,
        rows * MEAN_S / IN_FLIGHT,
        bare_cpu_s,
    )


def _time_batch(apparatus: Apparatus, content: RowFile, workers: int = 1, **settings: str) -> float:
    """Return the seconds from the first slice that an idle worker opens to the batch's end."""
    apparatus.clear(**LATENCY)
    with apparatus.idle_workers(workers, **settings):
        batch_id, _ = apparatus.submit(apparatus.rows(content))
        batch = apparatus.finished(batch_id)
    apparatus.expect_taken(content.rows)
    return (batch.finished_at_ms - batch.started_at_ms) / 1000


def _scaled_s(apparatus: Apparatus, yardstick: Yardstick, rows: int) -> float:
    """Return the seconds that a yardstick's calls take, as if it had been given all rows."""
    part = rows // yardstick.share
    apparatus.clear(**LATENCY)
    apparatus.let_send(yardstick, apparatus.rows(RowFile(part, max(1, part // 20))), part)
    return apparatus.graph.counted().span_s * yardstick.share


def scaling(apparatus: Apparatus) -> list[Figure]:
    """Compare two workers with one, where they wait for Graph and not for the processor."""
    content = RowFile(apparatus.size(10_000, 2_000), apparatus.size(2_000, 400))
    few = {"BULKRSVP_MAX_CALLS": "64"}
    one, two = (_time_batch(apparatus, content, workers, **few) for workers in (1, 2))
    note = f"64 calls in flight each; {one:.1f} s and {two:.1f} s"
    return [
        Figure("scaling", "two workers / one", one / two, "x", 1.9, Sense.AT_LEAST, note),
    ]


def urgent(apparatus: Apparatus) -> list[Figure]:
    """Time batches of 200 behind a running one of 100,000, and on an idle system."""
    idle, busy = list[tuple[float, float]](), list[tuple[float, float]]()
    for _ in range(ROUNDS):
        idle += _time_urgent(apparatus, lambda _: None)
        busy += _time_urgent(apparatus, _start_large)
    idle_first_s, idle_s = medians(idle)
    busy_first_s, busy_s = medians(busy)
    return [
        Figure(
            "urgent",
            "first call after the commit",
            busy_first_s * 1000,
            "ms",
            300,
            note="behind a running batch",
        ),
        Figure("urgent", "first call after the commit", idle_first_s * 1000, "ms", note="idle"),
        Figure(
            "urgent",
            "time / on an idle system",
            busy_s / idle_s,
            "x",
            1.25,
            note=f"{busy_s:.2f} s and {idle_s:.2f} s from the commit to the end, medians",
        ),
    ]


def _time_urgent(
    apparatus: Apparatus, prepare: Callable[[Apparatus], None]
) -> list[tuple[float, float]]:
    """Time small batches, one after the other."""
    apparatus.clear(**LATENCY)
    with apparatus.idle_workers():
        prepare(apparatus)
        return [_time_one_urgent(apparatus, f"urgent{n}.example") for n in range(URGENT_BATCHES)]


def _time_one_urgent(apparatus: Apparatus, domain: str) -> tuple[float, float]:
    """Return the seconds from the commit of a small batch to its first call, and to its end."""
    batch_id, _ = apparatus.submit(apparatus.rows(RowFile(200, 50, domain=domain)))
    batch = apparatus.finished(batch_id)
    began_s = batch.submitted_at_ms / 1000
    first = apparatus.graph.counted().of(domain).first_at
    return first - began_s, batch.finished_at_ms / 1000 - began_s


def _start_large(apparatus: Apparatus) -> None:
    rows = apparatus.size(100_000, 20_000)
    large, _ = apparatus.submit(apparatus.rows(RowFile(rows, rows // 20)))
    apparatus.wait_for_batch(large, lambda batch: batch.open < rows * 0.95)


def first_call(apparatus: Apparatus) -> list[Figure]:
    """Time the way from a submit to the first call of an idle worker."""
    apparatus.clear()
    with apparatus.idle_workers():
        times = [_time_first_call(apparatus, n) for n in range(apparatus.size(20, 5))]
    from_command, from_commit = (each_s * 1000 for each_s in medians(times))
    note = f"median of {len(times)}, in arq's queue and out of it again"
    return [
        Figure("firstcall", "from the commit", from_commit, "ms", 100, note=note),
        Figure(
            "firstcall",
            "from the start of the command",
            from_command,
            "ms",
            note="most of it is Python's own start",
        ),
    ]


def _time_first_call(apparatus: Apparatus, seed: int) -> tuple[float, float]:
    apparatus.graph.reset()
    file = apparatus.rows(RowFile(1, 1, seed=seed))
    began_s = time.time()
    batch_id, _ = apparatus.submit(file)
    committed_s = apparatus.finished(batch_id).submitted_at_ms / 1000
    first = apparatus.graph.counted().of("contoso.com").first_at
    return first - began_s, first - committed_s


def head_of_line(apparatus: Apparatus) -> list[Figure]:
    """Compare everybody else's time with and without some mailboxes that are shut for long."""
    rounds = [[_time_others(apparatus, shut_s) for shut_s in (0, 600)] for _ in range(2 * ROUNDS)]
    without_s, with_s = medians(rounds)
    note = f"2 % of the mailboxes shut for 600 s; {with_s:.1f} s and {without_s:.1f} s"
    return [Figure("headofline", "everybody else's time", with_s / without_s, "x", 1.05, note=note)]


def _time_others(apparatus: Apparatus, retry_after_s: int) -> float:
    """Return the seconds from the first slice to the last call of those that are never shut."""
    content = RowFile(apparatus.size(30_000, 5_000), apparatus.size(1_500, 500), shut=2)
    others = content.rows - content.rows * 2 // 100
    apparatus.clear(**LATENCY, retry_after_s=retry_after_s)
    with apparatus.idle_workers() as (worker,):
        batch_id, _ = apparatus.submit(apparatus.rows(content))
        batch = apparatus.wait_for_batch(batch_id, lambda batch: batch.started_at_ms > 0)
        _wait_until_taken(apparatus, worker, others)
    return apparatus.graph.counted().of("contoso.com").last_at - batch.started_at_ms / 1000


def _wait_until_taken(apparatus: Apparatus, worker: Child, count: int) -> None:
    worker.wait_until(lambda: apparatus.graph.counted().of("contoso.com").taken >= count, LIMIT_S)
