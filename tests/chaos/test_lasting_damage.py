"""Damage that a restart alone does not mend: a Redis that forgets, a response that kills."""

import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from redis import Redis

from tests.process.test_worker import declines, wait_for_calls
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S
from worker.process.children import child_environment

Copy = dict[bytes, tuple[bytes, int]]


def copy_of(redis: Redis) -> Copy:
    """Return all that a database holds, with how long it lasts."""
    found: Any = redis.keys("*")
    held: dict[bytes, Any] = {key: (redis.dump(key), redis.pttl(key)) for key in found}
    return {key: (dump, max(left_ms, 0)) for key, (dump, left_ms) in held.items() if dump}


def put_back(redis: Redis, copy: Copy) -> None:
    """Put an older copy in the place of all that a database holds, in one step."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.flushdb()
        for key, (dump, left_ms) in copy.items():
            pipe.restore(key, left_ms, dump)
        pipe.execute()


@pytest.mark.chaos
def test_an_older_copy_of_redis_sends_nothing_twice(
    program: Program, sandbox: SandboxClient, redis: Redis
) -> None:
    """After its data went back nothing is sent twice: what is open is looked at first."""
    sandbox.options(latency_s=0.1)
    batch = program.submit(declines(300))
    with program.worker() as worker:
        wait_for_calls(sandbox, 20)
        copy = copy_of(redis)
        wait_for_calls(sandbox, 120)
        put_back(redis, copy)
        status = program.wait_until_finished(batch)

    stats = sandbox.stats()
    assert ({"sent": 300}, 300, []) == (status["outcomes"], stats.taken, stats.duplicates)
    assert ["critical"] == [line["level"] for line in worker.events("redis.went_back")]
    reasons = [line["reason"] for line in program.results(batch)]
    assert {"accepted", "inferred"} == set(reasons)


KILLERS = {
    "while it is sent": "from worker.graph.client import Graph as Part; name = 'send'; at = 0",
    "before its mark": "import worker.slice.work as Part; name = 'answer'; at = 1",
}

KILLED_BY_ONE = """
import os, signal
{part}
whole = getattr(Part, name)

def killing(self, *arguments, **named):
    given = arguments[at]
    if getattr(given, "response", given).event == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, *arguments, **named)

setattr(Part, name, killing)
from worker.commands import main
main(["worker", "--burst"])
"""


WHILE, BEFORE = KILLERS


@pytest.mark.parametrize("moment", [pytest.param(BEFORE, marks=pytest.mark.chaos), WHILE])
def test_a_response_that_kills_workers_fails_alone(
    program: Program, sandbox: SandboxClient, moment: str
) -> None:
    """
    A response at which every worker dies ends as failed, and everything else is sent.

    The workers here are changed to die at it, and started again as a service manager would.
    """
    row = {"user": "p1@contoso.com", "event": "poison", "action": "decline"}
    batch = program.submit([*declines(12), row])
    beside = program.submit([declines(14)[-1]], "--batch", "beside")
    ends = time.monotonic() + PATIENCE_S
    codes = []
    while 0 not in codes:
        assert time.monotonic() < ends
        died = subprocess.run(
            [sys.executable, "-c", KILLED_BY_ONE.format(part=KILLERS[moment])],
            stdout=subprocess.DEVNULL,
            env=child_environment({**program.environment, "BULKRSVP_SETTLE_S": "0.1"}),
            cwd=program.folder,
            check=False,
            timeout=PATIENCE_S,
        )
        codes.append(died.returncode)

    results = program.results(batch)
    (poison,) = (line for line in results if line["event"] == "poison")
    assert ("failed", "attempts_exhausted") == (poison["outcome"], poison["reason"])
    assert poison["attempts"] > 0
    assert 12 == sum(line["outcome"] == "sent" for line in results)
    assert {"sent": 1} == program.status(beside)["outcomes"]
    assert (13, []) == (sandbox.stats().taken, sandbox.stats().duplicates)
    assert {-signal.SIGKILL, 0} == set(codes)
