"""
What is paused, for whoever asks: the mailboxes of a batch, and Graph as a whole.

Workers pause and probe by `jobs/ledger/workers/leases.py`. A pause of Graph can be ended here by
hand.
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
"""How long it is kept who has ended a pause by hand, until a worker logs it."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """
    How many mailboxes of a batch are paused now, and until when every call waits, ms, or None.

    A moment that has passed is that of a probe: one call that tries whether Graph is open again.
    """

    throttled: int = 0
    graph_until_ms: int | None = None


NO_PAUSES: Final = Pauses()


async def read_graph_pause(redis: Redis) -> int | None:
    """Return until when every call waits, ms; None where that is not so, or not to be read."""
    with suppress(Unreadable), told_apart(keys.GRAPH):
        told = await redis.get(keys.GRAPH)
        return None if told is None else stored_moment(told)
    return None


async def lift_graph_pause(
    redis: Redis, by: str, foreign: Callable[[str], object] = lambda _: None
) -> bool:
    """
    End the pause of every call, and leave a note by whom; return whether there was one.

    It is not proven by a call that Graph is open again: if it is not, the next storm pauses anew.
    Nonsense in its place counts as a pause to the workers, so it goes too; `foreign` is told of it.
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
