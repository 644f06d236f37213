"""
One request out and one reply in, on aiohttp's connections: sent once, and given up for good.

`worker/graph/client.py` says what goes out. Connections, TLS, names and the parsing are aiohttp's;
its session is not used. That would send a GET again after a lost connection, forget a status line
that came before a cut, and leave to the kernel what it had not delivered. It knows neither Graph
nor responses.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from worker.graph.reply import TransportEnd
from worker.graph.timelimit import TimeLimit

MAX_BODY = 65_536
"""Bytes of a body that are read; Graph's errors and the events of a look are far smaller."""

READ_BYTES = 65_536
"""Bytes that are read at once; most replies have less than a thousand."""

CONNECT_TIMEOUT_S = 15.0
"""One TCP connection and its TLS handshake; the time-out of the whole call bounds it too."""

KEEPALIVE_S = 15.0
"""Idle connections are dropped before the other side does it: a race lost there is a look."""

DNS_TTL_S = 30

_MAX_HEAD = 512
_STATUS_LINE = re.compile(rb"^HTTP/1\.[01] ([2-5][0-9]{2})(?=[ \r\n])[^\n]*\n", re.MULTILINE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_INTERIM: Final = frozenset(range(100, 200)) - {101}
"""Statuses that announce another one (RFC 9110 15.2); 101 is the last that HTTP says."""

_NOT_YET: Final = datetime.min.replace(tzinfo=UTC)
_NO_HEADERS: Final = CIMultiDictProxy[str](CIMultiDict())


# An error is named by its nearest class that stands here, so the order is of no weight.
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
    """Return our word for an error of aiohttp, or of the system beneath it."""
    return next(TRANSPORT_ENDS[kind] for kind in type(error).__mro__ if kind in TRANSPORT_ENDS)


@dataclass(slots=True)
class Incoming:
    """
    What came back of one request, as far as it came.

    `status` is that of a status line which came whole, even if all after it broke off; without
    one, `end` says why. `reached` is whether a connection was given to the request: from then on
    anything may be known. `whole` is whether the reply came to its own end. `arrived_at` (aware)
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
    The connections to one server, kept for whoever calls next; made in a running event loop.

    `root` says scheme, host and port, and `headers` go with every call. `max_calls` bounds the
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
        self._connector = _Connector(limit=max_calls, tls=tls or _default_tls())
        # Never sent: it tells the connector where to, and is the head that all have in common.
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
        Send one request, once, and read what comes; raises nothing of the network.

        `target` is path and query as they go out. `permitted` and `timely` are asked last thing
        before the first byte is written; what is only late leaves its connection to the next call.
        No more than `limit` bytes of the reply's body are read. Raises
        `ValueError` if a header cannot stand in a request.
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
        if not permitted():  # this machine stood still: who knows what the connection is worth
            _reset(connection)
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
        protocol = cast("_Protocol", connection.protocol)
        try:
            message, content = await protocol.exchange(request)
            incoming.arrived_at = self._clock()
            incoming.status, incoming.headers = message.code, message.headers
            await _read(content, incoming, limit)
        except BaseException:  # by time-out or cancellation too: nothing is left behind
            if incoming.status is None:  # the head is not there, but perhaps its first line
                incoming.status, incoming.arrived_at = protocol.status, self._clock()
            _reset(connection)
            raise
        if protocol.should_close:
            _reset(connection)
        else:
            connection.release()

    async def _connect(self) -> aiohttp.connector.Connection:
        """Return a connection; none of those kept on which the other side has spoken unasked."""
        while True:
            connection = await self._connector.connect(self._model, [], self._connecting)
            protocol = cast("_Protocol", connection.protocol)
            if not (protocol.used and protocol.should_close):
                return connection
            _reset(connection)

    def _end(self, incoming: Incoming, end: TransportEnd) -> None:
        """Say how it ended, and that it ended now."""
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


def _reset(connection: aiohttp.connector.Connection) -> None:
    """Drop a connection; closing alone would first deliver what is still in a buffer."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


class _Protocol(ResponseHandler, asyncio.BufferedProtocol):
    """
    aiohttp's protocol, which also keeps the first bytes: aiohttp drops a head that is cut.

    All read into one buffer, each whenever there is something to be read. Otherwise asyncio makes
    one of 256 KB for each read, of which the few bytes that came are cut off: the holes that this
    leaves between them make a process grow for hours.
    """

    head = b""
    used = False

    def __init__(self, loop: asyncio.AbstractEventLoop, room: memoryview) -> None:
        super().__init__(loop)
        self._room = room

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # what asyncio would like
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._room[:nbytes]))

    async def exchange(self, request: bytes) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Write a request and wait for the head of its reply; raises aiohttp's errors."""
        if not self.used:
            self.set_response_params(read_until_eof=True, auto_decompress=False)
        self.head, self.used = b"", True
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self.transport.write(request)
        while True:
            message, content = await self.read()
            if message.code not in _INTERIM:
                return message, content

    @property
    def status(self) -> int | None:
        """The status of a reply that broke off after its first line."""
        line = _STATUS_LINE.search(self.head)
        return int(line[1]) if line else None

    def data_received(self, data: bytes) -> None:
        if len(self.head) < _MAX_HEAD:
            self.head += data[:_MAX_HEAD]
        super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Connections that make `_Protocol`s, and that vanish with a reset when they are closed."""

    def __init__(self, *, limit: int, tls: ssl.SSLContext) -> None:
        super().__init__(
            limit=limit,
            ssl=tls,
            ttl_dns_cache=DNS_TTL_S,
            keepalive_timeout=KEEPALIVE_S,
            socket_factory=_resetting_socket,
        )
        room = memoryview(bytearray(READ_BYTES))
        self._factory = cast("Any", partial(_Protocol, loop=self._loop, room=room))


def _resetting_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that forgets on closing what the other side has not taken yet."""
    family, kind, proto, _, _ = address
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return sock


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
