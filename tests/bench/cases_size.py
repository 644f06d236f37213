"""What a batch costs of time and memory before the first call, and what Redis has of it."""

from collections.abc import Sequence
from typing import Final

from tests.bench.apparatus import IN_FLIGHT, LATENCY, LIMIT_S, ROUNDS, Apparatus
from tests.bench.child import Spent
from tests.bench.figures import Figure, Sense, medians
from tests.bench.rowfile import RowFile

FORMS: Final = ("csv", "jsonl")


def submit(apparatus: Apparatus) -> list[Figure]:
    """Submit 1 million rows, as CSV and as JSON Lines, and compare it with reading them."""
    rows = apparatus.size(1_000_000, 50_000)
    rounds = [[_submit(apparatus, rows, form) for form in FORMS] for _ in range(ROUNDS)]
    spent = zip(FORMS, zip(*rounds, strict=True), strict=True)
    return [figure for form, each in spent for figure in _submit_figures(rows, form, each)]


def _submit(apparatus: Apparatus, rows: int, form: str) -> tuple[Spent, Spent]:
    """Return what it took to submit so many rows, and to read them."""
    file = apparatus.rows(RowFile(rows, rows // 20), form)
    apparatus.clear()
    _, spent = apparatus.submit(file)
    read = apparatus.read(file)
    file.unlink()
    return spent, read


def _submit_figures(rows: int, form: str, rounds: Sequence[tuple[Spent, Spent]]) -> list[Figure]:
    wall_s, read_s = medians([(spent.wall_s, read.wall_s) for spent, read in rounds])
    note = f"{rows:,} rows, the whole command: {wall_s:.1f} s"
    reader = "csv.DictReader" if form == "csv" else "json.loads"
    peak_mb = max(spent.peak_mb for spent, _ in rounds)
    return [
        Figure("submit", f"{form}, rows/s", rows / wall_s, "", 60_000, Sense.AT_LEAST, note),
        Figure("submit", f"{form}, time / {reader}", wall_s / read_s, "x", note="reading alone"),
        Figure("submit", f"{form}, peak RSS", peak_mb, "MB", 150),
    ]


def redis(apparatus: Apparatus) -> list[Figure]:
    """Weigh a batch in Redis, queued and finished, and count the round trips between."""
    rows = apparatus.size(100_000, 5_000)
    apparatus.clear(**LATENCY)
    empty = _memory(apparatus)
    batch, _ = apparatus.submit(apparatus.rows(RowFile(rows, rows // 20)))
    queued = _memory(apparatus)
    reads = _reads(apparatus)
    peak = _work_off(apparatus, rows)
    trips = _reads(apparatus) - reads
    apparatus.finished(batch)
    kept = _memory(apparatus)
    return [
        Figure("redis", "queued, of one response", (queued - empty) / rows, "bytes", 150),
        Figure(
            "redis",
            "at the peak, of one response",
            (peak - empty) / rows,
            "bytes",
            note="used_memory while a worker runs, buffers and all",
        ),
        Figure("redis", "kept after the end, of one response", (kept - empty) / rows, "bytes", 40),
        Figure(
            "redis",
            "round trips for one response",
            trips / rows,
            "",
            0.2,
            note=f"total_reads_processed, {IN_FLIGHT} calls in flight, 150 ms latency",
        ),
    ]


def _work_off(apparatus: Apparatus, rows: int) -> float:
    """Let a worker send all; return the most that Redis held meanwhile."""
    most = 0.0

    def looked_when_ended() -> bool:
        nonlocal most
        most = max(most, _memory(apparatus))
        return worker.ended

    with apparatus.worker("--burst") as worker:
        worker.wait_until(looked_when_ended, LIMIT_S)
    apparatus.expect_taken(rows)
    return most


def _memory(apparatus: Apparatus) -> float:
    return float(apparatus.redis.info("memory")["used_memory"])


def _reads(apparatus: Apparatus) -> int:
    """
    Return how often Redis has read from a connection.

    A client writes a pipeline at once and waits for its answers, so each read is one round trip;
    a pipeline of more than 16 KB is read in parts, and counts for as many.
    """
    return int(apparatus.redis.info("stats")["total_reads_processed"])


def memory(apparatus: Apparatus) -> list[Figure]:
    """Compare a worker's memory on a large batch with that on one ten times smaller."""
    rows = apparatus.size(1_000_000, 50_000)
    large, small = (_worker_peak_mb(apparatus, each) for each in (rows, rows // 10))
    return [
        Figure("memory", "worker's peak RSS", large, "MB", 200, note=f"{rows:,} rows"),
        Figure("memory", "worker's peak RSS", small, "MB", note=f"{rows // 10:,} rows"),
        Figure("memory", "large / small", large / small, "x", 1.1, note="flat"),
    ]


def _worker_peak_mb(apparatus: Apparatus, rows: int) -> float:
    apparatus.clear()
    spent = apparatus.work_off(apparatus.rows(RowFile(rows, rows // 20)))
    apparatus.expect_taken(rows)
    return spent.peak_mb
