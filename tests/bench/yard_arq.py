"""
Yardstick (c): plain arq, one job for each response, with as many at once as bulkrsvp has calls.

It tries again as arq's own pages show, and waits as Graph asks. `python yard_arq.py FILE` queues
the responses; `arq yard_arq.WorkerSettings --burst` sends them.
"""

import asyncio
import sys
from typing import Any, Final

import aiohttp
from arq import Retry, create_pool
from arq.connections import RedisSettings

from tests.bench.yard_rows import HEADERS, Wanted, calls, read_wanted, redis_socket

BUSY: Final = 429
BROKEN: Final = 500
AT_ONCE: Final = 100
"""Jobs queued side by side."""


def redis_settings() -> RedisSettings:
    """Return where its queue is."""
    return RedisSettings(unix_socket_path=redis_socket())


async def respond(ctx: dict[str, Any], *row: str) -> None:
    """Send one response."""
    one = Wanted(*row)
    async with ctx["session"].post(one.url, json=one.body) as reply:
        await reply.read()
    if reply.status == BUSY:
        raise Retry(defer=int(reply.headers.get("Retry-After", "1")))
    if reply.status >= BROKEN:
        raise Retry(defer=ctx["job_try"] * 5)


async def startup(ctx: dict[str, Any]) -> None:
    """Open one session for all jobs."""
    connector = aiohttp.TCPConnector(limit=calls())
    ctx["session"] = aiohttp.ClientSession(connector=connector, headers=HEADERS)


async def shutdown(ctx: dict[str, Any]) -> None:
    """Close it."""
    await ctx["session"].close()


class WorkerSettings:
    """What the command `arq` reads."""

    functions = (respond,)
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = redis_settings()
    max_jobs = calls()
    keep_result = 0


async def enqueue(file: str) -> None:
    """Queue everything."""
    pool = await create_pool(redis_settings())
    rows = read_wanted(file)

    async def enqueue_some() -> None:
        for one in rows:
            await pool.enqueue_job(respond.__name__, *one)

    await asyncio.gather(*(enqueue_some() for _ in range(AT_ONCE)))
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(enqueue(sys.argv[1]))
