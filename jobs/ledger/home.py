"""
The Redis that the ledger is on: whether it is the one that it was, and what its data are worth.

A replica that becomes the primary lacks what it had not heard of, and a server that is started
what was not on the disk. Then what the ledger calls unsent may have been sent.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.ledger import keys
from jobs.ledger.script import Script


class Change(StrEnum):
    """What has become of the ledger; all but the first may have cost what was written last."""

    SAME = "same"
    WENT_BACK = "went_back"
    FAILED_OVER = "failed_over"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found, and the batches that were put in doubt."""

    change: Change
    batches: list[str]


class Home:
    """The Redis of one ledger."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._script = Script(redis, "home")

    async def judge(self, written_ms: int, now_ms: int) -> Judgement:
        """
        Judge the data of a Redis that answered `went_back`; no mark is granted before.

        Where something may be lost, every response that is still open will be looked at before it
        is sent. `written_ms` is the latest moment that the asking worker has written at. Raises
        redis-py's errors.
        """
        word, *batches = await self._script(
            [keys.HOME, keys.ACTIVE, keys.WRITTEN],
            [now_ms, written_ms, int(await self._syncs_always()), keys.BATCH],
        )
        return Judgement(Change(word.decode()), sorted(name.decode() for name in batches))

    async def _syncs_always(self) -> bool:
        """Ask whether every write is on the disk before it is answered; unknown counts as no."""
        try:
            told: dict[str, str] = await self._redis.config_get("append*")
        except ResponseError:  # not allowed, or not there, as in many services
            return False
        return (told.get("appendonly"), told.get("appendfsync")) == ("yes", "always")
