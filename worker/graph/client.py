"""
Graph over aiohttp: one request out, one reply in, nothing decided.

It knows Graph's paths, bodies and headers. How a request is sent once and given up for good is
`worker/graph/transport.py`'s, how a reply is read `worker/graph/incoming.py`'s, what it means
`worker/graph/verdict.py`'s.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import orjson
from yarl import URL

from jobs.rows.response import Response
from jobs.rows.selection import Selection, Window
from worker.graph.incoming import MAX_PAGE_BYTES, Intake
from worker.graph.page import SELECT
from worker.graph.reply import Event, Reply, TransportEnd
from worker.graph.transport import MAX_BODY, Transport

__all__ = [
    "Event",
    "Graph",
    "Reply",
    "TransportEnd",
    "body",
    "event_path",
    "master_path",
    "page_size",
    "view_paths",
]

LOOK_QUERY = (
    "?$select=responseStatus,isOrganizer,isCancelled,responseRequested,allowNewTimeProposals"
)
SHOWING = ",subject,start,isAllDay,organizer"
"""What a person wants to see of an event, besides."""

PAGE_SIZES = (500, 100, 25, 10, 1)
"""Events that a page is asked for; the fewer, the more often none came: some are too heavy."""

MAX_LINK = 4_096
"""Characters of a link to a next page; what is longer is none of Graph's."""

MAX_VIEW = timedelta(days=1825)
"""The longest time that a view of a calendar may show (Graph: calendarView)."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.~-]+")
"""All that is not unreserved (RFC 3986 2.3): most ids end with a few of them."""

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
        once more when there is a connection; if one says no, nothing is sent. Raises nothing of
        the network.
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
        target = f"{self._path}/users{_user(user)}/calendar/events?$top=1&$select=id"
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
            told = URL(url, encoded=True)
            return "@" not in told.raw_authority and _origin(told) == _origin(URL(self._base))
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


def event_path(response: Response) -> str:
    """
    Return the path of the event that `response` answers, quoted once, from `/users` on.

    It must go out exactly so (Graph: event-decline has the four forms; get-user the one for a
    name that begins with `$`).
    """
    return f"/users{_user(response.user)}{_calendar(response)}/events/{_quoted(response.event)}"


def page_size(failures: int) -> int:
    """Return how many events to ask a page for, after so many failures to read one."""
    return PAGE_SIZES[min(failures, len(PAGE_SIZES) - 1)]


def view_paths(selection: Selection, window: Window, size: int = PAGE_SIZES[0]) -> Iterator[str]:
    """
    Yield the paths of the views that show a window of a selection's calendar, one after the other.

    More than one, where the window is longer than Graph shows at once (Graph: calendarView).
    `size` is how many events a page is asked for.
    """
    start = window.start
    while start < window.end:
        end = start + min(MAX_VIEW, window.end - start)
        asked = {"startDateTime": _utc(start), "endDateTime": _utc(end), "$select": SELECT}
        query = urlencode(asked | {"$top": size}, safe="$,:")
        yield f"/users{_user(selection.user)}{_calendar(selection)}/calendarView?{query}"
        start = end


def master_path(selection: Selection, series: str) -> str:
    """Return the path that reads a series itself."""
    event = f"{_calendar(selection)}/events/{_quoted(series)}"
    return f"/users{_user(selection.user)}{event}?$select={SELECT}"


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme.lower(), url.host and url.host.lower(), url.port


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def body(response: Response) -> bytes:
    """
    Return the JSON of a call that sends `response`.

    `sendResponse` is always said, because the sources disagree about its default, and an empty
    comment is never sent, because Graph may refuse it (Graph: event-decline).
    """
    said: dict[str, Any] = {"sendResponse": response.send_response}
    if response.comment:
        said["comment"] = response.comment
    if response.proposed_new_time is not None:
        said["proposedNewTime"] = response.proposed_new_time.model_dump(by_alias=True)
    return orjson.dumps(said)


@lru_cache(maxsize=1_024)
def _user(user: str) -> str:
    if user.startswith("$"):
        name = user.replace("'", "''")
        return "('" + quote(name, safe="@$'") + "')"
    return f"/{quote(user, safe='@')}"


def _calendar(response: Response | Selection) -> str:
    match response.calendar, response.calendar_group:
        case None, _:
            return ""
        case "default", _:
            return "/calendar"
        case calendar, None:
            return f"/calendars/{_quoted(calendar)}"
        case calendar, group:
            return f"/calendarGroups/{_quoted(group)}/calendars/{_quoted(calendar)}"


def _quoted(text: str) -> str:
    """Quote for one segment of a path; `quote` takes long over a text as long as an id."""
    return _UNSAFE.sub(lambda found: _escaped(found[0]), text)


@lru_cache(maxsize=1_024)  # mostly "=", or "=="
def _escaped(text: str) -> str:
    return quote(text, safe="")


def _headers(token: str, client_request_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "client-request-id": client_request_id}


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
