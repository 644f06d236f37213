"""What stands between the product's Graph and the explorer: a wire with no network behind it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy

from tests.interleavings.model.actors import Actor, Connect, Request
from tests.interleavings.model.nature import NATURE
from worker.graph.reply import TransportEnd
from worker.graph.transport import Incoming

_NO_HEADERS: Final = CIMultiDictProxy[str](CIMultiDict())


class SteppedTransport:
    """Takes a request out in two steps: a connection, then what came of the request."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    async def call(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        *,
        permitted: Callable[[], bool],
        timely: Callable[[], bool] = lambda: True,
        **_: Any,
    ) -> Incoming:
        """Do as `worker.graph.transport.Transport.call` does."""
        call = headers["client-request-id"]
        await self._actor.park("graph", Connect(call))
        if not (permitted() and timely()):
            return Incoming(_now(), _NO_HEADERS, end=TransportEnd.WITHDRAWN)
        status, told, body, end = await self._actor.park("graph", Request(method, target, call))
        if status is None:
            return Incoming(_now(), _NO_HEADERS, end=end, reached=True)
        came = CIMultiDictProxy(CIMultiDict[str](told))
        return Incoming(_now(), came, status=status, body=body, reached=True, whole=True)


def _now() -> datetime:
    return datetime.fromtimestamp(NATURE.time_s(), UTC)
