"""
When things go wrong: a killed worker, replies that are lost, mailboxes that are shut.

What counts is what Graph took: more than once, or not at all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.record import QUEUED
from jobs.rows.response import Response
from tests.bench.apparatus import LATENCY, PATIENCE_S, Apparatus
from tests.bench.child import Child
from tests.bench.figures import Figure
from tests.bench.rowfile import RowFile
from tests.bench.yardsticks import REMEMBERING_LITTLE, Yardstick

LOOK_S: Final = 0.05
RESTART_S: Final = 1.0
STRAY_S: Final = 0.1
"""Calls that a killed worker has written may arrive for so long."""

TAKEOVER_WATCHED_S: Final = 15.0
OURS: Final = "bulkrsvp"


@dataclass(frozen=True, slots=True)
class Ordeal:
    """What everybody is put through: so many rows, for so long at most."""

    rows: int
    shut_s: int
    settle_s: int
    limit_s: int

    @property
    def content(self) -> RowFile:
        """The rows of a hundred mailboxes, of which one is shut."""
        return RowFile(self.rows, 100, shut=1)

    @property
    def graph(self) -> dict[str, Any]:
        """What Graph does: 1 % of the replies are lost after it took the call."""
        return {**LATENCY, "lost_per_mille": 10, "retry_after_s": self.shut_s}


def faults(apparatus: Apparatus) -> list[Figure]:
    """Count what is sent twice and what is not sent, by us and by the yardsticks."""
    ordeal = Ordeal(
        rows=apparatus.size(2_000, 500),
        shut_s=apparatus.size(200, 20),
        settle_s=apparatus.size(60, 5),
        limit_s=apparatus.size(360, 60),
    )
    figures = _endure(apparatus, ordeal, OURS, _our_sender(apparatus, ordeal.settle_s))
    for yardstick in REMEMBERING_LITTLE:
        sender = _their_sender(apparatus, yardstick)
        figures += _endure(apparatus, ordeal, yardstick.title, sender)
    return sorted(figures, key=lambda figure: figure.series)


@dataclass(frozen=True, slots=True)
class Sender:
    """How a file is queued, how a sender of it is started, and what then waits to be sent."""

    queue: Callable[[Path], None]
    start: Callable[[Path], Child]
    waiting: Callable[[], int]


def _our_sender(apparatus: Apparatus, settle_s: int) -> Sender:
    def queue(file: Path) -> None:
        apparatus.submit(file)

    def start(_: Path) -> Child:
        return apparatus.worker("--burst", BULKRSVP_SETTLE_S=str(settle_s))

    async def count_open(batches: Batches) -> int:
        return sum([(await batches.get(batch_id)).open for batch_id in await batches.active()])

    return Sender(queue, start, lambda: apparatus.ask(count_open))


def _their_sender(apparatus: Apparatus, yardstick: Yardstick) -> Sender:
    return Sender(
        lambda file: apparatus.enqueue(yardstick, file),
        lambda file: apparatus.start(yardstick, file),
        lambda: yardstick.waiting(apparatus.redis),
    )


def _endure(apparatus: Apparatus, ordeal: Ordeal, name: str, sender: Sender) -> list[Figure]:
    """Let a sender be killed in the middle and started again; count what Graph took."""
    apparatus.clear(**ordeal.graph)
    file = apparatus.rows(ordeal.content)
    sender.queue(file)
    began_s = time.monotonic()
    with sender.start(file) as first:
        third = ordeal.rows // 3
        _watch(first, lambda: apparatus.graph.counted().taken > third, began_s + ordeal.limit_s / 3)
        first.kill()
    time.sleep(RESTART_S)
    with sender.start(file) as second:
        _watch(second, lambda: sender.waiting() == 0, began_s + ordeal.limit_s)
        over = second.ended
    return _counts(apparatus, ordeal, name, waiting=0 if over else sender.waiting())


def _watch(child: Child, condition: Callable[[], bool], ends_s: float) -> None:
    """Wait until it has ended, or a condition is met, or the time is over."""
    while not child.ended and time.monotonic() < ends_s and not condition():
        time.sleep(LOOK_S)


def _counts(apparatus: Apparatus, ordeal: Ordeal, name: str, *, waiting: int) -> list[Figure]:
    counted = apparatus.graph.counted()
    untaken = ordeal.rows - counted.taken
    left = min(untaken, waiting)
    goal = 0 if name == OURS else None
    where = f"{ordeal.rows:,} rows, killed once, 1 % of replies lost"
    late = f"not done after {ordeal.limit_s} s, a mailbox was shut for {ordeal.shut_s} s"
    return [
        Figure(
            "faults",
            "sent twice",
            counted.duplicates,
            "",
            goal,
            note=name,
            series=f"sent twice ({where})",
            name=name,
        ),
        Figure(
            "faults",
            "lost",
            untaken - left,
            "",
            goal,
            note=name,
            series=f"lost ({where})",
            name=name,
        ),
        Figure("faults", "left", left, "", note=f"{name}, {late}"),
    ]


def takeover(apparatus: Apparatus) -> list[Figure]:
    """Time how soon what a killed worker had not begun goes on at the other one."""
    content = RowFile(apparatus.size(6_000, 3_000), apparatus.size(600, 300))
    apparatus.clear(latency_ms=200, journal=True)
    with apparatus.idle_workers(2, BULKRSVP_MAX_CALLS="100") as workers:
        batch_id, _ = apparatus.submit(apparatus.rows(content))
        for worker in workers:
            worker.wait_for(b'"status":202', PATIENCE_S)
        held = _mailboxes_of(apparatus, workers[1])
        killed_at = time.time()
        workers[1].kill()
        unsent = apparatus.ask(lambda batches: _unsent(batches, batch_id))
        time.sleep(TAKEOVER_WATCHED_S)
    waits = _waits(apparatus, held, unsent, killed_at + STRAY_S)
    return [
        Figure("takeover", "the first moves again", min(waits), "s", 3),
        Figure(
            "takeover",
            "half of them move again",
            median(waits),
            "s",
            note=f"{len(waits)} mailboxes, which wait for one worker's 100 calls",
        ),
    ]


def _mailboxes_of(apparatus: Apparatus, worker: Child) -> set[str]:
    """Return the mailboxes that a worker holds now."""
    lines = worker.log.read_bytes().splitlines()
    started = next(line for line in lines if b"worker.started" in line)
    leases = [*apparatus.redis.scan_iter(keys.MAILBOX + "*", count=1000)]
    holders = apparatus.redis.mget(leases)
    return {
        lease.decode().removeprefix(keys.MAILBOX)
        for lease, holder in zip(leases, holders, strict=True)
        if holder is not None and holder.partition(b"|")[0] in started
    }


async def _unsent(batches: Batches, batch_id: str) -> set[tuple[str, str]]:
    """Return user and event of the responses that nobody has begun."""
    batch = await batches.get(batch_id)
    return {
        (line.response.user, line.response.event)
        async for part in batches.lines(batch)
        for line in part
        if line.record == QUEUED and isinstance(line.response, Response)
    }


def _waits(
    apparatus: Apparatus, held: set[str], unsent: set[tuple[str, str]], since: float
) -> list[float]:
    """Return how long each mailbox has waited for its first call after the kill."""
    firsts = dict[str, float]()
    for call in apparatus.graph.journal():
        waited = call.at > since and (call.mailbox, call.event) in unsent
        if waited and call.mailbox in held:
            firsts.setdefault(call.mailbox, call.at - since + STRAY_S)
    return list(firsts.values())
