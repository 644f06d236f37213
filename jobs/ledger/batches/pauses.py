"""
What is paused: mailboxes of a batch, and Graph as a whole.

Workers pause and probe with `jobs/ledger/workers/leases.py`. Here a person can end a pause of
Graph.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from jobs.ledger import keys
from jobs.ledger.foreign import Unreadable, told_apart
from jobs.storable import stored_moment

LIFTED_MS: Final = 86_400_000
"""How long the ledger remembers who has ended a pause by hand, until a worker logs it."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """
    How many mailboxes of a batch are paused now, and until when every call waits, ms, or None.

    Once that moment has passed, one call probes whether Graph is open again.
    """

    throttled: int = 0
    graph_until_ms: int | None = None


NO_PAUSES: Final = Pauses()


async def read_graph_pause(redis: Redis) -> int | None:
    """Return until when every call waits, ms; None if none does, or it cannot be read."""
    with suppress(Unreadable), told_apart(keys.GRAPH):
        told = await redis.get(keys.GRAPH)
        return None if told is None else stored_moment(told)
    return None


async def lift_graph_pause(
    redis: Redis, by: str, foreign: Callable[[str], object] = lambda _: None
) -> bool:
    """
    End the pause of every call, and note who did so; return whether there was one.

    No call has proven that Graph is open again: if it is not, the next storm pauses them again.
    Workers take nonsense in its place for a pause, so that goes too, and is passed to `foreign`.
    """
    try:
        with told_apart(keys.GRAPH):
            if (told := await redis.get(keys.GRAPH)) is None:
                return False
            stored_moment(told)
    except Unreadable as error:
        foreign(str(error))
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.GRAPH, keys.PROBE)
        pipe.psetex(keys.LIFTED, LIFTED_MS, by)
        await pipe.execute()
    return True
