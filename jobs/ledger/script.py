"""The ledger's Lua scripts: loaded by their names, run by their digests."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from jobs.ledger.foreign import told_apart

Argument = str | bytes | int | float


_INCLUDED: Final = "-- include common\n"


class Script:
    """
    One script of `lua/`, run by its digest.

    A Redis that has just started does not know it yet; nothing was run then, and it is sent whole.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self.source = _text(name).replace(_INCLUDED, _text("common"))
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self._redis: Any = redis  # redis-py types each command as both sync and async

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """
        Run it and return what its contract says.

        Raises redis-py's errors, and `Unreadable` if one of the keys is not as it was stored.
        """
        with told_apart(keys[0]):
            try:
                return await self._redis.evalsha(self.digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._redis.eval(self.source, len(keys), *keys, *arguments)


@cache
def _text(name: str) -> str:
    return (files("jobs.ledger") / "lua" / f"{name}.lua").read_text()
