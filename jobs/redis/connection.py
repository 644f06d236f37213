"""
The connection to Redis: how it is made, and checked to be fit for a ledger.

It knows neither what is kept there nor who asks.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import orjson
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from config.errors import LedgerUnreachable
from config.settings import Settings
from jobs.check import Check, CheckVerdict
from jobs.ledger import keys
from jobs.redis.pools import Login, open_pool
from jobs.redis.requirements import REFUSED, judge_info, read_info, why_unreachable

Logins = Callable[[Settings], AbstractAsyncContextManager[Login | None]]
"""Returns the login that the settings describe apart from the address of Redis, or None."""


def no_login(_: Settings) -> AbstractAsyncContextManager[Login | None]:
    """Log in as the address says."""
    return nullcontext(None)


@asynccontextmanager
async def connected(settings: Settings, logins: Logins) -> AsyncIterator[ArqRedis]:
    """Connect for the length of a block to the Redis that the settings name."""
    async with logins(settings) as login:
        redis = connect(settings.redis_url_or_default, login)
        try:
            yield redis
        finally:
            await redis.aclose(close_connection_pool=True)


def connect(url: str, login: Login | None = None) -> ArqRedis:
    """
    Return a client of the Redis at `url` that speaks JSON to arq; nothing is sent yet.

    It retries nothing by itself: the caller judges what was sent and not answered.
    """
    return ArqRedis(
        open_pool(url, login),
        job_serializer=_to_json,
        job_deserializer=orjson.loads,
        default_queue_name=keys.QUEUE,
    )


async def reach(redis: ArqRedis, shown_url: str, *, writes: bool = True) -> None:
    """
    Make sure that Redis answers and is fit for a ledger.

    `jobs/redis/requirements.py` says what that takes. Without `writes` no script is run, so the
    user of Redis needs no right to run one. Raises `LedgerUnreachable` with what to do.
    """
    try:
        checks = judge_info(await read_info(redis))
        refused = [check for check in checks if check.name in REFUSED and _has_failed(check)]
        if not refused and writes:
            # Where a proxy hides a cluster, only keys of two slots reveal it.
            await redis.eval("return 1", 2, keys.ACTIVE, keys.BATCHES)  # type: ignore[misc]
    except (RedisError, OSError) as error:
        why = why_unreachable(error, shown_url)
        raise LedgerUnreachable(f"{why.seen}; {why.hint}") from error
    for check in refused:
        raise LedgerUnreachable(f"Redis at {shown_url}: {check.seen}; {check.hint}")


def _has_failed(check: Check) -> bool:
    return check.verdict is CheckVerdict.FAILED


def _to_json(job: dict[str, Any]) -> bytes:
    return orjson.dumps(job, default=str)
