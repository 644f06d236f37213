"""Questions to Redis that travel together: fewer journeys, and each its own answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobs.ledger.coalescing import CoalescingRedis
from jobs.ledger.script import Script
from jobs.redis.connection import connect
from tests.support.awaited import awaited
from tests.support.redis.redis_proxy import redis_proxy


@asynccontextmanager
async def together_at(url: str) -> AsyncIterator[Any]:
    """Open a client whose questions travel together."""
    redis = connect(url)
    try:
        yield CoalescingRedis(redis)
    finally:
        await redis.aclose(close_connection_pool=True)


def reads(redis: "Redis") -> int:
    """Return how often Redis has read from a connection."""
    told: Any = redis.info("stats")
    return int(told["total_reads_processed"])


@awaited
async def test_what_is_asked_at_once_is_one_journey(redis_url: str, redis: "Redis") -> None:
    """A hundred questions of one moment, after a first one, reach Redis in a few reads."""
    async with together_at(redis_url) as together:
        await together.set("n", 1)
        before = reads(redis)
        answers = await asyncio.gather(*(together.incr("n") for _ in range(100)))
        journeys = reads(redis) - before

    assert list(range(2, 102)) == answers
    assert journeys <= 5


@awaited
async def test_each_has_its_own_answer(redis_url: str) -> None:
    """Answers are read as redis-py reads them, and an error is only for who caused it."""
    async with together_at(redis_url) as together:
        answers = await asyncio.gather(
            together.hset("facts", mapping={"a": 1, "b": 2}),
            together.hgetall("facts"),
            together.incr("facts"),
            together.exists("facts", "nothing"),
            together.hsetnx("facts", "a", 3),
            return_exceptions=True,
        )

    assert (2, {b"a": b"1", b"b": b"2"}, 1, 0) == (*answers[:2], *answers[3:])
    assert isinstance(answers[2], ResponseError)


@awaited
async def test_a_script_that_is_not_known_yet(redis_url: str, redis: "Redis") -> None:
    """A Redis that has forgotten the scripts is sent them, whatever travels along."""
    redis.script_flush()
    async with together_at(redis_url) as together:
        release = Script(together, "release")
        answers = await asyncio.gather(
            together.set("other", 1), *(release(["b", "r"], [1]) for _ in range(3))
        )

    assert [True, [], [], []] == answers


@awaited
async def test_a_lost_connection_is_told_to_all(redis_url: str, tmp_path: Path) -> None:
    """All who asked together are told that nobody knows, and who asks after that is answered."""
    async with redis_proxy(redis_url, tmp_path) as proxy, together_at(proxy.url) as together:
        proxy.fail("SETNX")
        told = await asyncio.gather(
            *(together.setnx("a", 1) for _ in range(3)), return_exceptions=True
        )
        proxy.fail(None)
        after = await together.get("a")

    assert [True] * 3 == [isinstance(each, (RedisError, OSError)) for each in told]
    assert after is None


@awaited
async def test_who_is_cancelled_disturbs_nobody(redis_url: str, redis: "Redis") -> None:
    """A question whose asker is gone is asked all the same, and the others are answered."""
    async with together_at(redis_url) as together:

        async def ask(name: str) -> Any:
            return await together.incr(name)

        gone, stays = asyncio.create_task(ask("gone")), asyncio.create_task(ask("stays"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        answer = await stays

    assert (1, b"1") == (answer, redis.get("gone"))
