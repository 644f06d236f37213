"""
Graph over aiohttp: one request out, one reply in, nothing decided.

It puts Graph's requests together, with paths from `worker/graph/paths.py`. Beside it,
`transport.py` sends a request once and gives it up for good, `incoming.py` reads the reply, and
`verdict.py` decides what it means.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import orjson
from yarl import URL

from jobs.rows.response import Response
from worker.graph.incoming import MAX_PAGE_BYTES, Intake
from worker.graph.paths import event_path, peek_path
from worker.graph.reply import Reply
from worker.graph.transport import MAX_BODY, Transport

LOOK_QUERY = (
    "?$select=responseStatus,isOrganizer,isCancelled,responseRequested,allowNewTimeProposals"
)
SHOWING = ",subject,start,isAllDay,organizer"
"""What a person wants to see of an event, besides."""

MAX_LINK = 4_096
"""Characters of a link to a next page; what is longer is none of Graph's."""

USER_AGENT = f"bulkrsvp/{version('bulkrsvp')}"


class Graph:
    """
    The Graph of one cloud, over one pool of connections; use it with `async with`.

    `root` has no version in it (`https://graph.microsoft.com`). At most `max_calls` connections
    are open, and `timeout_s` bounds all of a call, the wait for a connection included. `clock`
    gives the aware time. `tls` replaces the machine's trust (`SSL_CERT_FILE` is read on entry).
    """

    def __init__(
        self,
        root: str,
        api_version: str,
        *,
        max_calls: int,
        timeout_s: float,
        clock: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.calls = 0
        """How many are in flight now."""
        self._base = f"{root.rstrip('/')}/{api_version}"
        self._path = URL(self._base).raw_path
        self._max_calls = max_calls
        self._timeout_s = timeout_s
        self._clock = clock
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._transport = Transport(
            self._base,
            max_calls=self._max_calls,
            timeout_s=self._timeout_s,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": USER_AGENT,
                "return-client-request-id": "true",
            },
            clock=self._clock,
            tls=self._tls,
        )
        self._intake = Intake()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.close()
        self._intake.close()

    async def send(
        self,
        response: Response,
        *,
        token: str,
        client_request_id: str,
        permitted: Callable[[], bool] = lambda: True,
        timely: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """
        Send `response`: one POST, whatever comes of it.

        `client_request_id` is a GUID that no other call had. `permitted` and `timely` are asked
        once more when there is a connection; if one returns false, nothing is sent. Raises no
        errors of the network.
        """
        return await self._call(
            "POST",
            f"{self._path}{event_path(response)}/{response.action}",
            _headers(token, client_request_id) | {"Content-Type": "application/json"},
            data=body(response),
            permitted=permitted,
            timely=timely,
        )

    async def look(
        self, response: Response, *, token: str, client_request_id: str, showing: bool = False
    ) -> Reply:
        """
        Read the event that `response` answers: one GET, otherwise like `send`.

        With `showing` it is also asked what a person wants to see of it.
        """
        query = f"{LOOK_QUERY}{SHOWING if showing else ''}"
        target = f"{self._path}{event_path(response)}{query}"
        return await self._call("GET", target, _headers(token, client_request_id))

    async def peek(self, user: str, *, token: str, client_request_id: str) -> Reply:
        """
        Try whether a user's calendar can be read: one GET of the id of one event, like `look`.

        It shows of the calendar as little as there is (Graph: calendar-list-events).
        """
        target = f"{self._path}{peek_path(user)}"
        return await self._call("GET", target, _headers(token, client_request_id))

    async def read(
        self,
        url: str,
        *,
        token: str,
        client_request_id: str,
        timely: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Read a page of a calendar: one GET of an address that `is_ours`, exactly as it is."""
        headers = _headers(token, client_request_id) | {"Prefer": 'outlook.timezone="UTC"'}
        target = URL(url, encoded=True).raw_path_qs
        return await self._call("GET", target, headers, timely=timely, paged=True)

    def address(self, path: str) -> str:
        """Return the address of a path, from `/users` on."""
        return self._base + path

    def is_ours(self, url: str) -> bool:
        """
        Whether an address that Graph gave is Graph's own: the token may go there.

        Letter case and a default port make no difference to an origin (RFC 3986 6.2.2, 6.2.3).
        """
        if not (url.isascii() and url.isprintable() and len(url) <= MAX_LINK):
            return False
        try:
            given = URL(url, encoded=True)
            return "@" not in given.raw_authority and _origin(given) == _origin(URL(self._base))
        except ValueError:
            return False

    async def _call(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        *,
        data: bytes = b"",
        permitted: Callable[[], bool] = lambda: True,
        timely: Callable[[], bool] = lambda: True,
        paged: bool = False,
    ) -> Reply:
        begun_s = _monotonic_s()
        self.calls += 1
        try:
            incoming = await self._transport.call(
                method,
                target,
                headers,
                body=data,
                permitted=permitted,
                timely=timely,
                limit=MAX_PAGE_BYTES if paged else MAX_BODY,
            )
        finally:
            self.calls -= 1
        duration_ms = (_monotonic_s() - begun_s) * 1000
        return await self._intake.read(incoming, duration_ms, paged=paged)


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme.lower(), url.host and url.host.lower(), url.port


def body(response: Response) -> bytes:
    """
    Return the JSON of a call that sends `response`.

    `sendResponse` is always included, because the sources disagree about its default. An empty
    comment is never sent, because Graph may refuse it (Graph: event-decline).
    """
    content: dict[str, Any] = {"sendResponse": response.send_response}
    if response.comment:
        content["comment"] = response.comment
    if response.proposed_new_time is not None:
        content["proposedNewTime"] = response.proposed_new_time.model_dump(by_alias=True)
    return orjson.dumps(content)


def _headers(token: str, client_request_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "client-request-id": client_request_id}


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
