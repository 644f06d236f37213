"""
One request out and one reply in, on aiohttp's connections: sent once, and given up for good.

`worker/graph.py` says what goes out. aiohttp would send a GET again after a lost connection,
forget a status line that came before a cut, and leave to the kernel what it had not delivered;
here stands what is done about each. It knows neither Graph nor responses.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from worker.reply import TransportEnd

MAX_BODY = 65_536
"""Bytes of a body that are read; Graph's errors and the events of a look are far smaller."""

CONNECT_TIMEOUT_S = 15.0
"""One TCP connection and its TLS handshake; the time-out of the whole call bounds it too."""

KEEPALIVE_S = 15.0
"""Idle connections are dropped before the other side does it: a race lost there is a look."""

DNS_TTL_S = 30

_MAX_HEAD = 512
_STATUS_LINE = re.compile(rb"^HTTP/1\.[01] ([2-5][0-9]{2})(?=[ \r\n])[^\n]*\n", re.MULTILINE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Withdrawn(aiohttp.ClientError):
    """The leave to call had ended by the time a connection was there; nothing was written."""


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
    Withdrawn: TransportEnd.WITHDRAWN,
}


def transport_end(error: BaseException) -> TransportEnd:
    """Return our word for an error of aiohttp, or of the system beneath it."""
    return next(TRANSPORT_ENDS[kind] for kind in type(error).__mro__ if kind in TRANSPORT_ENDS)


def open_session(
    *,
    max_calls: int,
    timeout_s: float,
    headers: dict[str, str],
    tls: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """
    Return a session without a memory, to be used with an `Exchange` for each call.

    `max_calls` bounds its connections, `timeout_s` all of a call, the wait for a connection
    included. Without `tls` the machine's own trust counts, and `SSL_CERT_FILE` is read now.
    """
    return aiohttp.ClientSession(
        connector=_Connector(limit=max_calls, tls=tls or _default_tls()),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        request_class=_Request,
        timeout=aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(timeout_s, CONNECT_TIMEOUT_S)
        ),
        trust_env=False,  # a netrc file would bring credentials of its own
    )


class Exchange:
    """
    One call on the wire: a middleware around aiohttp's own sending, and what became of it.

    Give a new one to each request of a session that `open_session` made. `permitted` is asked
    last thing before the first byte is written.
    """

    def __init__(self, permitted: Callable[[], bool]) -> None:
        self._permitted = permitted
        self._request: _Request | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send once; raises what aiohttp raises, but never what makes it send again."""
        self._request = cast("_Request", request)
        self._request.permitted = self._permitted
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            self._reset()
            raise _Lost from error
        except (
            BaseException
        ):  # whoever gives up, by time-out or cancellation, leaves nothing behind
            self._reset()
            raise

    @property
    def reached(self) -> bool:
        """Whether a connection was handed to the request: from then on anything may be known."""
        return self._request is not None and self._request.transport is not None

    @property
    def status(self) -> int | None:
        """The status of a reply that broke off after its first line."""
        if self._request is None or self._request.protocol is None:
            return None
        line = _STATUS_LINE.search(self._request.protocol.head)
        return int(line[1]) if line else None

    def end(self, error: Exception) -> TransportEnd:
        """Return our word for the error that ended the call."""
        cause = error.__cause__ if isinstance(error, _Lost) else None
        end = transport_end(cause or error)
        waiting = end is TransportEnd.TIMEOUT and not self.reached
        return TransportEnd.CONNECT_TIMEOUT if waiting else end

    def _reset(self) -> None:
        """Drop the connection; closing alone would first deliver what is still in a buffer."""
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()


async def read_body(incoming: aiohttp.ClientResponse, limit: int = MAX_BODY) -> bytes:
    """Return the body, or as much as came in time and fits; the connection is let go."""
    content = b""
    try:
        while len(content) < limit and (chunk := await incoming.content.read(limit - len(content))):
            content += chunk
    except (aiohttp.ClientError, OSError):
        pass  # the status has been seen, and what breaks after it changes nothing
    finally:
        _let_go(incoming)
    return content


def _let_go(incoming: aiohttp.ClientResponse) -> None:
    """Drop the connection of a reply that was not read to its end; else the pool has it again."""
    if incoming.connection is not None and incoming.connection.transport is not None:
        incoming.connection.transport.abort()
    incoming.close()


class _Lost(aiohttp.ClientError):
    """Stands for its cause, of a kind after which aiohttp would send a GET once more."""


class _Protocol(ResponseHandler):
    """aiohttp's protocol, which also keeps the first bytes: aiohttp drops a head that is cut."""

    head = b""

    def data_received(self, data: bytes) -> None:
        if len(self.head) < _MAX_HEAD:
            self.head += data[:_MAX_HEAD]
        super().data_received(data)


class _Request(aiohttp.ClientRequest):
    """A request that knows the connection it was given; before that, nothing of it is written."""

    permitted: Callable[[], bool]
    protocol: _Protocol | None = None
    transport: asyncio.Transport | None = None

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if not self.permitted():
            raise Withdrawn
        self.protocol = cast("_Protocol", conn.protocol)
        self.protocol.head = b""
        self.transport = conn.transport
        return await super().send(conn)


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
        self._factory = cast("Any", partial(_Protocol, loop=self._loop))


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
