"""
Real kills at every place and at any moment: nothing is sent twice, nothing is lost.

strace kills a worker at its Nth call to the kernel, for each N until the batch is done before the
kill comes; chance chooses other moments. After each death another worker goes on, and the three
records of the run are compared.
"""

import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from redis import Redis

from jobs.ledger import keys
from jobs.record import QUEUED
from tests.support.chaos.checker import violations
from tests.support.chaos.scenario import Figure, Ordeal, rows_of, seeded
from tests.support.program import COMMAND, Program, Worker
from tests.support.sandbox_client import SandboxClient

SYSCALLS = ("sendto", "recvfrom", "write")
"""What a worker speaks to Redis, Graph and Entra with, hears them with, and logs with."""

STRIDE = 4
"""Each sweep in so many parts, which may run side by side."""

SETTLE_S = "0.2"
LIMIT = 2_000
BOUND_S = 30


def strace(syscall: str, number: int) -> list[str | Path]:
    """Run a worker that is killed as it enters its Nth call of a kind."""
    path = shutil.which("strace")
    if path is None:
        pytest.fail("the kill sweep needs strace: install it (apt-get install strace)")
    kill = f"inject={syscall}:signal=KILL:when={number}"
    options = ["-f", "-qqq", "-o", "/dev/null"]
    return [path, *options, "-e", f"trace={syscall}", "-e", kill, "--", COMMAND, "worker"]


def die_at(program: Program, sandbox: SandboxClient, syscall: str, number: int) -> bool:
    """Let a worker die at one place and another one go on; return whether the place was reached."""
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(6, 2, f"{syscall}{number}-"), "--batch", f"{syscall}.{number}")
    worker = ordeal.outlive(strace(syscall, number))
    assert [] == ordeal.violations(), f"killed at {syscall} {number}"
    return worker.process.returncode != 0


@pytest.fixture
def hasty(program: Program) -> Program:
    """Give a test the console command with a short settle time."""
    program.environment["BULKRSVP_SETTLE_S"] = SETTLE_S
    return program


@pytest.mark.chaos
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("first", range(1, STRIDE + 1))
@pytest.mark.parametrize("syscall", SYSCALLS)
def test_killed_at_each_place(
    hasty: Program, sandbox: SandboxClient, syscall: str, first: int, record_property: Figure
) -> None:
    """Wherever a worker is killed, all is sent once, and accounted for."""
    for number in range(first, LIMIT, STRIDE):
        if not die_at(hasty, sandbox, syscall, number):
            assert number > first, "no kill was reached"
            record_property("kills", (number - first) // STRIDE)
            return
    pytest.fail(f"a batch of six takes more than {LIMIT} times {syscall}")


MOMENTS = 400


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(20))
def test_sigterm_at_any_moment_loses_nothing(
    program: Program, sandbox: SandboxClient, seed: int
) -> None:
    """Whenever SIGTERM comes, the calls in flight are recorded, the exit is 0, and none is lost."""
    chance = seeded(seed)
    sandbox.options(latency_s=0.05, latency_sigma=0.5, seed=seed)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(MOMENTS, 10))
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(chance.randrange(MOMENTS * 3 // 4))
        time.sleep(chance.uniform(0, 0.1))
        assert 0 == worker.stop()
    called = len(sandbox.journal())
    assert called == len(worker.events("call.finished"))
    ordeal.burst()
    assert [] == ordeal.violations()


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(program: Program, sandbox: SandboxClient, seed: int) -> None:
    """Whenever one of two workers is killed, the other finishes what it had begun."""
    chance = seeded(seed)
    sandbox.options(latency_s=0.05, latency_sigma=0.5, seed=seed)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(MOMENTS, 40))
    shared = {"BULKRSVP_MAX_CALLS": "40"}
    with ordeal.worker(**shared) as first, ordeal.worker(**shared) as second:
        ordeal.wait_for_calls(chance.randrange(MOMENTS * 3 // 4))
        time.sleep(chance.uniform(0, 0.1))
        ordeal.kill(chance.choice([first, second]))
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()
    assert [] == ordeal.violations()


@pytest.mark.chaos
def test_how_soon_others_take_over(
    program: Program, sandbox: SandboxClient, redis: Redis, record_property: Figure
) -> None:
    """What a killed worker had not begun goes on soon, at another worker."""
    sandbox.options(latency_s=0.2)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(1_000, 100))
    shared = {"BULKRSVP_MAX_CALLS": "100"}
    with ordeal.worker(**shared) as first, ordeal.worker(**shared) as second:
        ordeal.wait_for_calls(1)
        wait_until_both_work(first, second)
        held = mailboxes_of(redis, second)
        killed_at = time.time()
        records = ordeal.kill(second)
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()
    found = ordeal.records()
    unsent = {found.key(row) for row, record in records.items() if record == QUEUED}
    firsts = dict[str, float]()
    for call in found.journal:
        if call.mailbox in held and (call.mailbox, call.event) in unsent:
            firsts.setdefault(call.mailbox, call.arrived_at - killed_at)

    assert [] == violations(found)
    record_property("mailboxes that waited", len(firsts))
    record_property("the first moved again after, s", round(min(firsts.values()), 2))
    record_property("half of them after, s", round(median(firsts.values()), 2))
    assert min(firsts.values()) < BOUND_S


def wait_until_both_work(*workers: Worker) -> None:
    """Wait until each worker has had some replies."""
    for worker in workers:
        worker.wait_for("call.finished", 11)


def mailboxes_of(redis: Redis, worker: Worker) -> set[str]:
    """Return the mailboxes that a worker holds now."""
    name = worker.events("worker.started")[0]["worker"].encode()
    leases: list[bytes] = list(redis.scan_iter(keys.MAILBOX + "*", count=1000))
    holders: Any = redis.mget(leases)
    return {
        lease.decode().removeprefix(keys.MAILBOX)
        for lease, holder in zip(leases, holders, strict=True)
        if holder is not None and holder.startswith(name + b"|")
    }
