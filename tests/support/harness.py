"""A worker put together, but driven by a test: polls, rounds and slices when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis
from structlog.testing import CapturingLogger

from config.settings import Settings
from jobs.ledger import keys
from jobs.ledger.queue import Queue
from jobs.redis.connection import connect
from tests.support.small_ledger import NOW, Ledger, listening
from worker.process.assemble import assembled
from worker.process.consumer import MAX_SLICES, Consumer
from worker.process.rescue import Rescue
from worker.slice.context import Context

SECRET = {
    "AZURE_TENANT_ID": "contoso.com",
    "AZURE_CLIENT_ID": "an application",
    "AZURE_CLIENT_SECRET": "never used",
}


@dataclass
class Harness:
    """A consumer, the parts around it, and the ledger that it works on."""

    consumer: Consumer
    context: Context
    ledger: Ledger
    queue: Queue
    rescue: Rescue
    heard: CapturingLogger

    async def submit(self, *sizes: int, batch: str = "b", **changes: Any) -> None:
        """Submit and release a batch that is past its deadline."""
        expired = {"not_before_ms": NOW - 100_000_000_000, "allowed_ms": 1}
        made = await self.ledger.submit(*sizes, batch=batch, **(expired | changes))
        await self.queue.release(made)

    async def poll(self) -> None:
        """Poll once, and wait for what was begun."""
        await self.consumer._poll_iteration()
        await asyncio.gather(*self.consumer.tasks.values(), return_exceptions=True)

    @property
    def worker(self) -> str:
        """The name of the worker's lease."""
        return self.context.ledger.worker_lease.name

    @property
    def slots_taken(self) -> tuple[int, int]:
        """How many of arq's slots are taken, by both of its ways of counting."""
        return self.consumer.job_counter, MAX_SLICES + 1 - self.consumer.sem._value


@asynccontextmanager
async def harnessed(url: str, environment: Mapping[str, str] = SECRET) -> AsyncIterator[Harness]:
    """Put a worker together, but let the test drive it."""
    redis = connect(url)
    log, heard = listening()
    try:
        async with assembled(Settings.load(environment), redis, log, asyncio.Event()) as context:
            await context.ledger.worker_lease.enlist()
            ledger = Ledger(redis)
            await ledger.redis.persist(keys.worker(context.ledger.worker_lease.name))
            queue = Queue(redis, context.ledger.batches)
            consumer = Consumer(redis, context, queue)
            yield Harness(consumer, context, ledger, queue, Rescue(context, queue), heard)
    finally:
        await redis.aclose(close_connection_pool=True)


def queued(redis: "Redis") -> list[str]:
    """List the jobs in the queue."""
    found: Any = redis.zrange(keys.QUEUE, 0, -1)
    return [name.decode() for name in found]
