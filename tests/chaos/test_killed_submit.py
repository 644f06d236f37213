"""A submit that is killed leaves a whole batch or none."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tests.support.program import COMMAND, Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import running, wait_until
from worker.process.children import child_environment

ROWS = 6_000


def is_staging(redis: Redis) -> bool:
    """Whether rows are being staged."""
    return bool(redis.keys("bulkrsvp:staging:*"))


def is_committed(redis: Redis) -> bool:
    """Whether the batch exists, though perhaps nothing of it was released."""
    return bool(redis.exists("bulkrsvp:batches"))


@pytest.mark.parametrize(
    "moment", [pytest.param(is_staging, marks=pytest.mark.chaos), is_committed]
)
def test_a_killed_submit_leaves_a_whole_batch_or_none(
    program: Program, sandbox: SandboxClient, redis: Redis, moment: Callable[[Redis], bool]
) -> None:
    """Killed while staging nothing runs; killed after the commit all of it; again, once in all."""
    rows = [
        {"user": f"p{n % 900}@contoso.com", "event": f"e{n}", "action": "decline"}
        for n in range(ROWS)
    ]
    program.write("rows.jsonl", rows)
    with running(
        [COMMAND, "submit", "rows.jsonl", "--batch", "killed", "--deadline", "1s"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=program.folder,
        env=child_environment(program.environment),
    ) as submit:
        wait_until(lambda: moment(redis), "it comes to no such moment", every_s=0)
        assert submit.poll() is None
    whole = is_committed(redis)
    first = program.burst()
    again = program("submit", "rows.jsonl", "--batch", "killed", "--deadline", "1s", "--json")
    second = program.burst()

    # Past its deadline a batch ends without a call, so it may be big.
    settled = (len(first.events("response.settled")), len(second.events("response.settled")))
    assert (whole, not whole) == (settled == (ROWS, 0), settled == (0, ROWS))
    assert whole is not again.json["created"]
    for key in redis.scan_iter("bulkrsvp:staging:*"):
        left_s: Any = redis.ttl(key)
        assert left_s > 0
    assert len(sandbox.journal()) == len({entry.event for entry in sandbox.journal()})
