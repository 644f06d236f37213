"""Graph's throttling, obeyed: nobody called early, nobody else held up, never five in flight."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from redis import Redis

from jobs.ledger import keys
from jobs.record import QUEUED
from jobs.times import now_ms
from tests.support.program import Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until


def rows_for(user: str, count: int, action: str = "tentativelyAccept") -> list[dict[str, Any]]:
    """Make responses of one user."""
    return [{"user": user, "event": f"e{n}", "action": action} for n in range(count)]


def settled_at(worker: Worker, user: str) -> list[datetime]:
    """Return when a user's responses were settled."""
    return [
        datetime.fromisoformat(line["timestamp"])
        for line in worker.events("response.settled")
        if line["user"] == user
    ]


def wait_for_records(redis: Any, batch: str, holds: Callable[[list[bytes | None]], bool]) -> None:
    """Wait until the ledger knows of the first two rows of a batch what holds."""
    wait_until(
        lambda: holds(redis.hmget(keys.slice_records(batch, 0), ["1", "2"])),
        "the records never became so",
    )


@contextmanager
def two_for_one_slot(program: Program, redis: "Redis") -> Iterator[tuple[Worker, str]]:
    """Run a worker while one call is in flight, and another one marked that waits for its slot."""
    rows = rows_for("ada@contoso.com", 1) + rows_for("bob@contoso.com", 1)
    with program.worker(BULKRSVP_MAX_CALLS="1") as worker:
        batch = program.submit(rows)
        wait_for_records(redis, batch, all)
        yield worker, batch


def test_one_mailbox_holds_nobody_up(program: Program, sandbox: SandboxClient) -> None:
    """While one mailbox is closed by a 429, everybody else is answered; it is not called early."""
    sandbox.faults(
        [
            {
                "user": "slow@contoso.com",
                "status": 429,
                "code": "TooManyRequests",
                "headers": {"Retry-After": "3"},
            }
        ]
    )
    rows = rows_for("slow@contoso.com", 6) + rows_for("ada@contoso.com", 30)
    program.submit(rows)
    worker = program.burst()

    others, slow = settled_at(worker, "ada@contoso.com"), settled_at(worker, "slow@contoso.com")
    assert (30, 6) == (len(others), len(slow))
    assert max(others) < min(slow)
    stats = sandbox.stats()
    assert (36, 0, []) == (stats.taken, stats.early, stats.duplicates)
    assert {"slow@contoso.com"} == {line["user"] for line in worker.events("mailbox.paused")}


def test_a_mark_is_taken_back_when_its_mailbox_is_throttled(
    program: Program, sandbox: SandboxClient
) -> None:
    """A call that is marked and waits for a slot is not made in a mailbox that has closed."""
    sandbox.options(latency_s=0.3, early_grace_s=0)
    sandbox.faults([{"user": "ada@*", "status": 429, "headers": {"Retry-After": "2"}}])
    program.submit(rows_for("ada@contoso.com", 3))
    worker = program.burst(BULKRSVP_MAX_CALLS="1")

    stats = sandbox.stats()
    assert (3, 0, 1) == (stats.taken, stats.early, stats.throttled)
    calls = worker.events("call.finished")
    assert ["wait", "sent", "sent", "sent"] == [call["verdict"] for call in calls]
    assert {1} == {line["attempts"] for line in worker.events("response.settled")}


def test_a_mark_is_taken_back_when_everything_pauses(
    program: Program, sandbox: SandboxClient, redis: "Redis"
) -> None:
    """A call that is marked and waits for a slot is not made when the gate closes meanwhile."""
    sandbox.options(latency_s=0.9)
    with two_for_one_slot(program, redis) as (worker, batch):
        until_ms = now_ms() + 4_000
        redis.set(keys.GRAPH, until_ms)
        program.wait_until_finished(batch)

    first, second = (call.arrived_at * 1000 for call in sandbox.journal())
    assert first < until_ms <= second
    assert {1} == {line["attempts"] for line in worker.events("response.settled")}


def test_a_mark_is_not_kept_for_long(
    program: Program, sandbox: SandboxClient, redis: "Redis"
) -> None:
    """A call that waits long for a slot asks again, so it is not made after a pause."""
    sandbox.options(latency_s=3)
    with two_for_one_slot(program, redis) as (worker, batch):
        redis.hset(keys.batch(batch), "paused", "1")
        program.wait_for(batch, lambda status: status["open"] == 1)
        wait_for_records(redis, batch, lambda records: QUEUED.to_json() in records)
        resumed_ms = now_ms()
        program.here("resume", batch)
        program.wait_until_finished(batch)

    first, second = (call.arrived_at * 1000 for call in sandbox.journal())
    assert first < resumed_ms <= second
    assert {1} == {line["attempts"] for line in worker.events("response.settled")}


SHAPES = ["1", "1.6", "1,2", "0", "-1", "soon", "", "date+2", "Wed, 21 Oct 2020 07:28:00 GMT"]


def test_no_mailbox_is_called_before_its_wait_is_over(
    program: Program, sandbox: SandboxClient
) -> None:
    """Whatever the shape of Retry-After, its mailbox is not called before it is over."""
    sandbox.options(early_grace_s=0)
    users = {f"person{n}@contoso.com": shape for n, shape in enumerate(SHAPES)}
    sandbox.faults(
        [
            {"user": user, "times": 2, "status": 429, "headers": {"Retry-After": shape}}
            for user, shape in users.items()
        ]
    )
    program.submit([row for user in users for row in rows_for(user, 3)])
    worker = program.burst(BULKRSVP_MAILBOX_CONCURRENCY="1")

    stats = sandbox.stats()
    expected = (3 * len(users), 0, 2 * len(users))
    assert expected == (stats.taken, stats.early, stats.throttled)
    for user in users:
        calls = [line["verdict"] for line in worker.events("call.finished") if line["user"] == user]
        assert ["wait", "wait", "sent", "sent", "sent"] == calls
    settled = worker.events("response.settled")
    assert {1} == {line["attempts"] for line in settled}
    assert stats.throttled == sum(line["throttled"] for line in settled)


def test_no_mailbox_ever_has_five_calls_in_flight(program: Program, sandbox: SandboxClient) -> None:
    """Two workers and two batches of the same mailboxes never have five calls in flight in one."""
    sandbox.options(latency_s=0.05)
    users = [f"person{n}@contoso.com" for n in range(3)]
    batches = []
    for action in ("decline", "tentativelyAccept"):
        rows = [
            row | {"event": f"{action}-{row['event']}"} for u in users for row in rows_for(u, 25)
        ]
        rows = [row | {"action": action} for row in rows]
        batches.append(program.submit(rows))
    with program.worker(), program.worker():
        for batch in batches:
            program.wait_until_finished(batch)

    stats = sandbox.stats()
    assert (150, 0, []) == (stats.taken, stats.throttled, stats.duplicates)
    assert dict.fromkeys(users, 4) == stats.max_in_flight


def test_a_full_tenant_pauses_and_reopens_with_one_call(
    program: Program, sandbox: SandboxClient
) -> None:
    """When all mailboxes answer 429 at once everything pauses, and reopens with one call."""
    users = [f"person{n}@contoso.com" for n in range(40)]
    sandbox.faults(
        [{"user": "person*", "times": 40, "status": 429, "headers": {"Retry-After": "2"}}]
    )
    rows = [row for user in users for row in rows_for(user, 2)]
    program.submit(rows)
    worker = program.burst(BULKRSVP_MAX_CALLS="40", BULKRSVP_MAILBOX_CONCURRENCY="1")

    assert 1 <= len(worker.events("graph.paused")) <= 3
    assert 1 == len(worker.events("graph.resumed"))
    assert (80, 0) == (sandbox.stats().taken, sandbox.stats().early)


def test_a_small_batch_overtakes(program: Program) -> None:
    """A small batch that comes while a large one runs does not wait for its end."""
    everybody = [rows_for(f"person{n}@contoso.com", 1) for n in range(16_000)]
    large = program.submit([row for rows in everybody for row in rows], "--batch", "large")
    with program.worker():
        program.wait_for(large, lambda status: status["open"] < len(everybody))
        small = program.submit(rows_for("ada@contoso.com", 4), "--batch", "small")
        program.wait_until_finished(small)
        left = program.status(large)["open"]
        program.here("cancel", large)
        program.wait_until_finished(large)

    assert left > len(everybody) / 4
