"""
Names that expired batches leave in the list of all batches.

A submit takes them out, since that is when the list grows; commands that only ask skip them and
write nothing.
"""

from typing import Any, Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.script import Script

AT_ONCE: Final = 500
"""Names that one submit looks at: a millisecond of Redis, and more names than it adds."""


async def forget_expired(redis: Redis, now_ms: int) -> None:
    """Take out names of batches that are gone, the oldest first, at most `AT_ONCE` of them."""
    untyped: Any = redis  # redis-py types each command as both sync and async
    oldest = await untyped.zrevrange(keys.BATCHES, -AT_ONCE, -1, withscores=True)
    kept_from_ms = now_ms - keys.KEEP_S * 1000  # what was submitted since cannot have expired
    names = [name.decode(errors="replace") for name, at_ms in oldest if at_ms < kept_from_ms]
    if names:
        await Script(redis, "forget")([keys.BATCHES, *map(keys.batch, names)], ["ZREM", *names])
