"""
The crew: the processes that may have been granted marks, whether they are alive or not.

A process joins it with its first lease and leaves it when it resigns; others strike off those that
died. After Redis has lost data, all members are asked: see `jobs/ledger/workers/failover.py`.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.ledger import keys
from jobs.ledger.foreign import Unreadable, told_apart
from jobs.ledger.script import Script
from jobs.ledger.workers.leases import Leases


class Crew:
    """The crew of one ledger."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._leases = Leases(redis)
        self._strike = Script(redis, "strike")

    async def dead(self) -> frozenset[tuple[str, str]]:
        """Return the members of the crew whose lease is gone, with the lease's name."""
        crew = await self._crew()
        async with self._redis.pipeline(transaction=False) as pipe:
            for lease in crew.values():
                pipe.exists(keys.WORKER.encode() + lease)
            lives = await pipe.execute()
        return frozenset(
            (process.decode(errors="replace"), lease.decode(errors="replace"))
            for (process, lease), living in zip(crew.items(), lives, strict=True)
            if not living
        )

    async def strike_off(self, dead: Iterable[tuple[str, str]]) -> None:
        """Take dead processes off the crew, unless they have come back."""
        if members := sorted(dead):
            leases = [keys.worker(lease) for _, lease in members]
            await self._strike(
                [keys.CREW, *leases], [part for member in members for part in member]
            )

    async def _crew(self) -> dict[bytes, bytes]:
        crew: dict[bytes, bytes] = {}
        # A key of another type means an empty crew.
        with suppress(Unreadable), told_apart(keys.CREW):
            crew = await self._redis.hgetall(keys.CREW)
        return crew

    async def has_strangers_beside(self) -> bool:
        """Whether workers of an older version, not on the crew, are alive or may be."""
        try:
            return bool(await self._strangers())
        except (ResponseError, ValueError):  # not permitted, or a nonsensical answer
            return True

    async def take_in_strangers(self) -> None:
        """
        Put living workers that are not on the crew on it, as members that never answer.

        They are of an older version, and might die together with Redis. Raises redis-py's errors.
        """
        with suppress(ResponseError, ValueError):
            for name in await self._strangers():
                await self._redis.hsetnx(keys.CREW, name, name)

    async def _strangers(self) -> set[str]:
        """Return the leases of living workers that are not on the crew."""
        # Asked twice: one may just have changed its name.
        return await self._unknown() and await self._unknown()

    async def _unknown(self) -> set[str]:
        living = await self._leases.living()
        known = {name.decode(errors="replace") for name in (await self._crew()).values()}
        return living.keys() - known
