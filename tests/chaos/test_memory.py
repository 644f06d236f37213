"""What a worker takes of memory at most, whatever calendars hold, and however big a mailbox is."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from jobs.ledger import keys
from jobs.ledger.forms.archive import MOST
from jobs.ledger.queue import Queue
from jobs.ledger.slices.store import Closed
from jobs.ledger.slices.writes import WriteStatus
from jobs.record import QUEUED
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.chaos.scenario import Figure
from tests.support.network.heavy_graph import (
    Answer,
    HeavyGraph,
    bomb,
    crowded,
    endless,
    escaped,
    heavy_graph,
    wordy,
)
from tests.support.program import Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import NOW, SENT, ledger_at
from worker.slice.calls.events_read import READERS

MIB: Final = 1 << 20
LIMIT_MIB: Final = 256
SELECTIONS: Final = 100
LONGEST_S: Final = 60.0
"""How long a worker is watched: some of these calendars have no end."""

PEAK: Final = re.compile(r"VmHWM:\s+(\d+) kB")


def watched_peak_mib(worker: Worker) -> int:
    """Watch a worker until it ends, or long enough; return the most that it has taken."""
    most, ends_s = 0, time.monotonic() + LONGEST_S
    while worker.process.poll() is None and time.monotonic() < ends_s:
        status = Path(f"/proc/{worker.process.pid}/status").read_text()
        if found := PEAK.search(status):  # else it has just ended
            most = int(found[1]) >> 10
        time.sleep(0.02)
    return most


def selections(count: int) -> list[dict[str, Any]]:
    """Make a selection in each of so many mailboxes."""
    window = {"from": "2026-12-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
    return [
        {"user": f"p{n}@contoso.com", "events": window, "action": "decline"} for n in range(count)
    ]


CASES: dict[str, tuple[Callable[[], Answer], int, int]] = {
    "whole lists of thousands": (lambda: crowded(events=40, people=2_000), SELECTIONS, LIMIT_MIB),
    "as heavy as a page may be": (lambda: crowded(events=500, people=600), SELECTIONS, LIMIT_MIB),
    "60,000 found": (lambda: crowded(events=600, people=8), SELECTIONS, LIMIT_MIB),
    "a bomb": (lambda: bomb(1 << 30), SELECTIONS, LIMIT_MIB),
    "much that is escaped": (lambda: escaped(1 << 25), 20, LIMIT_MIB),
    "as much as is read that is escaped": (lambda: escaped(2_000_000), 20, LIMIT_MIB),
    "wide texts": (lambda: wordy(500, 1_800), 20, LIMIT_MIB),
    "wide texts, unreadable": (lambda: wordy(500, 1_800, isAllDay=1), 20, LIMIT_MIB),
    "endless links": (lambda: endless(events=500, length=400), 20, LIMIT_MIB),
}


def linked(answer: Answer, graph: Callable[[], HeavyGraph]) -> Answer:
    """Have links lead to the server itself."""

    def whole(path: str, query: dict[str, str]) -> tuple[str, Iterator[bytes]]:
        more, pieces = answer(path, query)
        mark = b'"@odata.nextLink":"'
        to = mark + graph().url.encode()
        return more, (piece[:-4_000] + piece[-4_000:].replace(mark, to) for piece in pieces)

    return whole


@pytest.mark.chaos
@pytest.mark.parametrize("case", CASES)
def test_heavy_calendars_stay_below_the_limit(
    program: Program, case: str, record_property: Figure
) -> None:
    """Many selections at once stay below a limit, whatever their calendars hold."""
    make, count, limit_mib = CASES[case]
    servers = list[HeavyGraph]()
    with heavy_graph(linked(make(), lambda: servers[0])) as graph:
        servers.append(graph)
        program.environment |= {"BULKRSVP_GRAPH_URL": graph.url}
        batch = program.submit(selections(count), "--plan")
        with program.worker("--burst") as worker:
            peak_mib = watched_peak_mib(worker)
        status = program.wait_for(batch, lambda _: True)
        record_property("peak", f"{peak_mib} MiB, {len(graph.asked)} pages, {status['outcomes']}")
    assert peak_mib < limit_mib


ROWS: Final = 100_000


@pytest.mark.chaos
@awaited
async def test_a_big_mailbox_takes_little_room_once_ended(
    program: Program, redis: Any, redis_url: str, record_property: Figure
) -> None:
    """What has ended of a mailbox with very many responses takes little room."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(ROWS, not_before_ms=now_ms(), allowed_ms=1)
        await Queue(ledger.redis, ledger.batches).release(batch)
        records = {}
        for row in range(1, ROWS):
            told = QUEUED.marked(str(uuid4())).told(status=202, request_id=str(uuid4()))
            records[str(row)] = told.settled(SENT, now_ms()).to_json()
        for some in batched(records.items()):
            redis.hset(keys.slice_records("b", 0), mapping=dict(some))
        redis.hset(keys.slice_records("b", 0), "done", ROWS - 1)
        redis.hset(keys.batch("b"), mapping={"open": 1, "outcome:sent": ROWS - 1})
        with program.worker("--burst") as worker:
            peak_mib = watched_peak_mib(worker)
        ended = await ledger.batches.get("b")
    record_property("peak", f"{peak_mib} MiB")
    assert (0, True) == (ended.open, ended.finished_at_ms > 0)
    assert peak_mib < LIMIT_MIB


def batched(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield them by thousands."""
    rest = iter(items)
    while some := list(islice(rest, 1_000)):
        yield some


@awaited
async def test_what_has_ended_is_not_kept(redis_url: str, redis: Any) -> None:
    """Of a mailbox that is too big to be put away only what is open, or not logged, is held."""
    count = MOST + 5
    text = QUEUED.settled(SENT, NOW).to_json()
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(count)
        redis.hset(keys.slice_records("b", 0), mapping=dict.fromkeys(range(1, count - 1), text))
        redis.hset(keys.slice_records("b", 0), "done", count - 2)
        redis.hset(keys.batch("b"), mapping={"open": 2, "outcome:sent": count - 2})
        redis.sadd(keys.unlogged("b", 0), 7)
        part = await ledger.open()
        held = list(part.lines)
        ends = [await ledger.settle(part, entry) for entry in part.entries]
        for entry in [*part.unlogged, *part.entries]:
            part.note_logged(entry)
        left = list(part.lines)
        closed = await ledger.slices.close(part)

    assert ([7, count - 1, count], [], count) == (held, left, part.size)
    assert ([WriteStatus.OK, WriteStatus.OK], Closed.FINISHED) == (ends, closed)


def test_few_read_at_once(program: Program, sandbox: SandboxClient) -> None:
    """No more selections read their calendars at a time than there is room for."""
    sandbox.options(latency_s=0.2)
    batch = program.submit(selections(2 * READERS + 4))
    program.burst()
    calls = [entry for entry in sandbox.journal() if "calendarView" in entry.path]
    moments = sorted(
        [(call.arrived_s, 1) for call in calls] + [(call.ended_s or 0.0, -1) for call in calls]
    )
    at_once = list(accumulate(change for _, change in moments))
    assert 2 * READERS + 4 == len(calls)
    assert max(at_once) <= READERS
    assert {"skipped": 2 * READERS + 4} == program.wait_until_finished(batch)["outcomes"]
