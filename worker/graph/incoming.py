"""
What came in is read as a reply, in little memory and without holding up the event loop.

A page may take a while to be read, and the heartbeat must not wait for it. So it is read beside
the event loop, unless it is small, and one after the other: what several take at once would be
several times as much.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from worker.graph.inflate import inflated
from worker.graph.legible import Text, legible
from worker.graph.reply import Reply, read_reply
from worker.graph.transport import MAX_BODY, Incoming

INFLATES: Final = 4
"""So many times its size a compressed body may become: JSON does ten times, where it is long."""

MAX_PAGE_BYTES: Final = 4 << 20
"""Of a page as it comes, compressed or not: an event with 1,000 attendees has a twentieth."""

READ_IN_PASSING: Final = 32 << 10
"""Bytes of a page: to hand on what has less takes longer than to read it."""


class Intake:
    """Reads the replies of one server; `close` when there are no more."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "pages")

    def close(self) -> None:
        """End the thread, if there is one."""
        self._thread.shutdown(wait=False)

    async def read(self, incoming: Incoming, duration_ms: float, *, paged: bool) -> Reply:
        """Return the reply that came in; with `paged` a page of a calendar is expected."""
        if not paged:
            return _reply(incoming, duration_ms, _content(incoming, INFLATES * MAX_BODY))
        content = _content(incoming, READ_IN_PASSING)
        if content is not None:
            return _page(incoming, duration_ms, content)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _big_page, incoming, duration_ms)


def _big_page(incoming: Incoming, duration_ms: float) -> Reply:
    return _page(incoming, duration_ms, _content(incoming, INFLATES * MAX_PAGE_BYTES))


def _page(incoming: Incoming, duration_ms: float, content: Text | None) -> Reply:
    text = None if content is None else legible(content)
    del content  # it is far bigger, and what is made of it needs the room
    return _reply(incoming, duration_ms, text, paged=True)


def _content(incoming: Incoming, limit: int) -> Text | None:
    """Return a body as it was before it was compressed; None if it is too long, or none."""
    return inflated(incoming.body, incoming.headers.get("Content-Encoding"), limit)


def _reply(
    incoming: Incoming, duration_ms: float, content: Text | None, *, paged: bool = False
) -> Reply:
    if incoming.status is None:
        return Reply(
            status=None,
            code=incoming.end,
            reached=incoming.reached,
            arrived_at=incoming.arrived_at,
            duration_ms=duration_ms,
        )
    return read_reply(
        incoming.status,
        incoming.headers,
        content or b"",
        arrived_at=incoming.arrived_at,
        duration_ms=duration_ms,
        paged=paged,
        whole=incoming.whole and content is not None,
    )
