"""
One request out and one reply in, on aiohttp's connections: sent once, and given up for good.

What goes out is decided in `worker/graph/client.py`. aiohttp's session is not used: it would send a
GET again after a lost connection, forget a status line that came before a cut, and leave to the
kernel what it had not delivered. The module knows neither Graph nor responses.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from worker.graph import connections
from worker.graph.connections import Connector, Protocol, default_tls
from worker.graph.reply import TransportEnd
from worker.graph.timelimit import TimeLimit

MAX_BODY = 65_536
"""Bytes of a body that are read; Graph's errors and the events of a look are far smaller."""

CONNECT_TIMEOUT_S = 15.0
"""One TCP connection and its TLS handshake; the time-out of the whole call bounds it too."""

_NOT_YET: Final = datetime.min.replace(tzinfo=UTC)
_NO_HEADERS: Final = CIMultiDictProxy[str](CIMultiDict())


# An error gets the word of its nearest class listed here, so the order does not matter.
TRANSPORT_ENDS: dict[type[BaseException], TransportEnd] = {
    aiohttp.ClientConnectorDNSError: TransportEnd.DNS,
    aiohttp.ClientConnectorError: TransportEnd.CONNECT_FAILED,
    aiohttp.ClientSSLError: TransportEnd.TLS_FAILED,
    aiohttp.ServerFingerprintMismatch: TransportEnd.TLS_FAILED,
    aiohttp.ConnectionTimeoutError: TransportEnd.CONNECT_TIMEOUT,
    aiohttp.InvalidURL: TransportEnd.BAD_URL,
    aiohttp.NonHttpUrlClientError: TransportEnd.BAD_URL,
    aiohttp.RedirectClientError: TransportEnd.BAD_URL,
    aiohttp.ServerTimeoutError: TransportEnd.TIMEOUT,
    TimeoutError: TransportEnd.TIMEOUT,
    aiohttp.ClientConnectionResetError: TransportEnd.RESET,
    aiohttp.ClientOSError: TransportEnd.RESET,
    OSError: TransportEnd.RESET,
    aiohttp.ClientConnectionError: TransportEnd.DISCONNECTED,
    aiohttp.ClientError: TransportEnd.PROTOCOL_ERROR,
    HttpProcessingError: TransportEnd.PROTOCOL_ERROR,
}

_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError)


def transport_end(error: BaseException) -> TransportEnd:
    """Return our word for an error of aiohttp or of the operating system."""
    return next(TRANSPORT_ENDS[kind] for kind in type(error).__mro__ if kind in TRANSPORT_ENDS)


@dataclass(slots=True)
class Incoming:
    """
    What came back of one request, as far as it came.

    `status` is that of a status line which came whole, even if all after it broke off; without
    one, `end` is the reason. `reached` is whether the request got a connection: from then on
    it may have arrived. `whole` is whether the reply came to its own end. `arrived_at` (aware)
    is when the head, or the end, was there. `body` is as it came, compressed or not.
    """

    arrived_at: datetime
    headers: CIMultiDictProxy[str]
    status: int | None = None
    body: bytes = b""
    end: TransportEnd | None = None
    reached: bool = False
    whole: bool = False


class Transport:
    """
    Calls to one server over connections that are kept; made in a running event loop.

    `root` has scheme, host and port, and `headers` go with every call. `max_calls` bounds the
    connections, `timeout_s` all of a call, the wait for a connection included. `clock` gives the
    aware time. Without `tls` the machine's own trust counts, and `SSL_CERT_FILE` is read now.
    """

    def __init__(
        self,
        root: str,
        *,
        max_calls: int,
        timeout_s: float,
        headers: dict[str, str],
        clock: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limit = TimeLimit(timeout_s)
        self._clock = clock
        self._connector = Connector(limit=max_calls, tls=tls or default_tls())
        # Never sent: it gives the connector the address, and all requests their common headers.
        self._model = aiohttp.ClientRequest("GET", URL(root), headers=headers)
        self._common = _lines(self._model.headers)
        self._connecting = aiohttp.ClientTimeout(sock_connect=min(timeout_s, CONNECT_TIMEOUT_S))

    async def close(self) -> None:
        """Drop all connections."""
        self._limit.close()
        await self._connector.close()

    async def call(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        *,
        body: bytes = b"",
        permitted: Callable[[], bool],
        timely: Callable[[], bool] = lambda: True,
        limit: int = MAX_BODY,
    ) -> Incoming:
        """
        Send one request, once, and read what comes; raises no errors of the network.

        `target` is path and query as they go out. `permitted` and `timely` are asked
        right before the first byte is written; a call that is only late leaves its connection to
        the next one.
        No more than `limit` bytes of the reply's body are read. Raises
        `ValueError` for a header that cannot be in a request.
        """
        incoming = Incoming(_NOT_YET, _NO_HEADERS)
        request = self._request(method, target, headers, body)
        if request is None:
            self._end(incoming, TransportEnd.BAD_URL)
            return incoming
        try:
            with self._limit.begin():
                connection = await self._admitted(incoming, permitted, timely)
                if connection is not None:
                    await self._exchange(request, incoming, connection, limit)
        except _ERRORS as error:
            if incoming.status is None:  # else it has come, and nothing else counts
                self._end(incoming, transport_end(error))
        return incoming

    def _request(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> bytes | None:
        """Return all that goes out; None if the target cannot."""
        if " " in target or not target.isprintable():
            return None
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {target} HTTP/1.1\r\n{self._common}{_lines(headers)}{length}\r\n"
        return head.encode() + body

    async def _admitted(
        self, incoming: Incoming, permitted: Callable[[], bool], timely: Callable[[], bool]
    ) -> aiohttp.connector.Connection | None:
        """Return a connection; None if nothing may be sent any more now that there is one."""
        connection = await self._connect()
        if not permitted():  # this machine stood still, and the connection may be dead
            connections.reset(connection)
        elif not timely():
            connection.release()
        else:
            return connection
        self._end(incoming, TransportEnd.WITHDRAWN)
        return None

    async def _exchange(
        self,
        request: bytes,
        incoming: Incoming,
        connection: aiohttp.connector.Connection,
        limit: int,
    ) -> None:
        incoming.reached = True
        protocol = cast("Protocol", connection.protocol)
        try:
            message, content = await protocol.exchange(request)
            incoming.arrived_at = self._clock()
            incoming.status, incoming.headers = message.code, message.headers
            await _read(content, incoming, limit)
        except BaseException:  # by time-out or cancellation too: nothing is left behind
            if incoming.status is None:  # the head is not there, but perhaps its first line
                incoming.status, incoming.arrived_at = protocol.status, self._clock()
            connections.reset(connection)
            raise
        if protocol.should_close:
            connections.reset(connection)
        else:
            connection.release()

    async def _connect(self) -> aiohttp.connector.Connection:
        """Return a connection, but no kept one on which the other side has sent data unasked."""
        while True:
            connection = await self._connector.connect(self._model, [], self._connecting)
            protocol = cast("Protocol", connection.protocol)
            if not (protocol.used and protocol.should_close):
                return connection
            connections.reset(connection)

    def _end(self, incoming: Incoming, end: TransportEnd) -> None:
        """Note how it ended, and that it ended now."""
        incoming.arrived_at = self._clock()
        waiting = end is TransportEnd.TIMEOUT and not incoming.reached
        incoming.end = TransportEnd.CONNECT_TIMEOUT if waiting else end


def _lines(headers: Mapping[str, str]) -> str:
    """Return header lines. Raises `ValueError` for what would be more lines than that."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not text.count("\r") == text.count("\n") == len(headers) or "\0" in text:
        raise ValueError("a line break, or a null, in a header of a request")
    return text


async def _read(content: aiohttp.StreamReader, incoming: Incoming, limit: int) -> None:
    """Read the body, or as much as comes and fits."""
    chunks, room = list[bytes](), limit
    try:
        with suppress(*_ERRORS):  # the status has been seen: what breaks after it changes nothing
            while room > 0 and (chunk := await content.read(room)):
                chunks.append(chunk)
                room -= len(chunk)
            incoming.whole = room > 0
    finally:  # put together once: a page may have a thousand chunks
        incoming.body = b"".join(chunks)
