"""
Yardstick (a), the limit: aiohttp in a loop that remembers nothing and reads no status.

Nobody would dare to use it; what bulkrsvp spends above it is the price of its promise.
"""

import asyncio
import sys
from collections.abc import Iterator

import aiohttp

from tests.bench.yard_rows import HEADERS, Wanted, calls, read_wanted


async def send_all(wanted: Iterator[Wanted]) -> None:
    """Send everything."""
    connector = aiohttp.TCPConnector(limit=calls())
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:
        await asyncio.gather(*(_send_some(session, wanted) for _ in range(calls())))


async def _send_some(session: aiohttp.ClientSession, wanted: Iterator[Wanted]) -> None:
    for one in wanted:
        async with session.post(one.url, json=one.body) as reply:
            await reply.read()


if __name__ == "__main__":
    asyncio.run(send_all(read_wanted(sys.argv[1])))
