"""Flags of a batch: when `pause` and `cancel` have returned, they hold."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import pytest
from redis import Redis

from config.errors import LedgerUnreachable
from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.ledger.queue import Queue
from jobs.operations.flags import pausing
from jobs.redis.connection import connect
from tests.support.awaited import awaited
from tests.support.chaos.scenario import rows_of
from tests.support.program import COMMAND, Program
from tests.support.redis.redis_proxy import Failure, redis_proxy
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import ledger_at
from tests.support.waiting import wait_until
from worker.process.children import child_environment


@pytest.mark.parametrize("command", ["pause", pytest.param("cancel", marks=pytest.mark.chaos)])
def test_no_call_begins_any_more(
    program: Program, sandbox: SandboxClient, redis: Redis, command: str
) -> None:
    """When `pause` or `cancel` has returned, Graph gets no call of the batch any more."""
    sandbox.options(latency_s=0.2)
    batch = program.submit(rows_of(200, 50))
    with program.worker(BULKRSVP_MAX_CALLS="4"):
        wait_until(lambda: sandbox.stats().calls > 4, "nobody calls")
        program.ask(command, batch)
        returned_at = time.time()
        wait_until(lambda: nobody_at_work(redis), "somebody is still at it")
    begun_late = [each for each in sandbox.journal() if each.arrived_at > returned_at]

    assert [] == begun_late


def nobody_at_work(redis: Redis) -> bool:
    """Whether no slice is open: whoever had a mark has used it, or given it up."""
    slices = redis.scan_iter(keys.BATCH + "*:slice:*", _type="HASH")
    return not any(redis.hexists(each, "begun") for each in slices)


@awaited
async def test_who_is_at_work(redis_url: str) -> None:
    """A slice is at work from when its job is taken, or it is opened, until it is left."""
    async with ledger_at(redis_url) as ledger:
        batch = await ledger.submit(1, 1, 1)
        queue = Queue(ledger.redis, ledger.batches)
        await queue.release(batch)
        found = [await queue.at_work("b")]
        part = await ledger.open(1)
        await ledger.redis.set("arq:in-progress:b:2", "1")
        found.append(await queue.at_work("b"))
        await ledger.slices.excuse(part, None)  # it ends in order, but has not ended yet
        found.append(await queue.at_work("b"))
        await ledger.slices.close(part)
        found.append(await queue.at_work("b"))

        assert [set(), {1, 2}, {1, 2}, {2}] == found


@awaited
async def test_a_redis_that_goes_away(redis_url: str, tmp_path: Path) -> None:
    """When Redis has taken the flag and then does not answer, that is what is told."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        redis = connect(proxy.url)
        flag = pausing("b")
        proxy.fail("SMEMBERS")
        with pytest.raises(LedgerUnreachable, match=r"batch b is paused, but .*bulkrsvp status b"):
            await flag.hold(redis, Batches(redis))
        await redis.aclose(close_connection_pool=True)

        assert (True, True) == (flag.raised, (await ledger.batches.get("b")).paused)


@pytest.mark.parametrize(
    ("command", "flag"),
    [("pause", "paused"), pytest.param("cancel", "cancelled", marks=pytest.mark.chaos)],
)
@awaited
async def test_a_signal_while_it_waits(
    redis_url: str, tmp_path: Path, command: str, flag: str
) -> None:
    """Who breaks it off is told that the flag is raised all the same."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(redis_url) as ledger:
        await ledger.submit(1)
        proxy.fail("SMEMBERS", Failure.HOLD)
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            command,
            "b",
            stderr=subprocess.PIPE,
            env=child_environment({"REDIS_URL": proxy.url}),
        )
        await proxy.failing.wait()
        process.send_signal(signal.SIGINT)
        proxy.fail(None)
        _, told = await process.communicate()
        batch = await ledger.batches.get("b")

    said = f"batch b is {flag} nevertheless; calls may still begin for 2 s\n"
    assert (130, said, True) == (process.returncode, told.decode(), getattr(batch, flag))
