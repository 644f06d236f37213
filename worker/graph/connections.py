"""
aiohttp's connections, with what a call that is sent once needs of them.

A connection that is given up is reset: closed, the kernel would still deliver what it holds. The
first bytes of a reply are kept, so that the status of one that breaks off is known. Connections,
TLS, names and parsing are aiohttp's.
"""

import asyncio
import re
import socket
import ssl
import struct
from functools import partial
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

READ_BYTES = 65_536
"""Bytes that are read at once; most replies have less than a thousand."""

KEEPALIVE_S = 15.0
"""Idle connections are dropped before the other side does it: a race lost there is a look."""

DNS_TTL_S = 30

_MAX_HEAD = 512
_STATUS_LINE = re.compile(rb"^HTTP/1\.[01] ([2-5][0-9]{2})(?=[ \r\n])[^\n]*\n", re.MULTILINE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_INTERIM: Final = frozenset(range(100, 200)) - {101}
"""Statuses that announce another one (RFC 9110 15.2); after a 101 there is no more HTTP."""


class Protocol(ResponseHandler, asyncio.BufferedProtocol):
    """
    aiohttp's protocol, which also keeps the first bytes: aiohttp drops a head that is cut off.

    All protocols read into one buffer. Otherwise asyncio makes one of 256 KB for each read and cuts
    it down to the few bytes that came: the holes between them make a process grow for hours.
    """

    head = b""
    used = False

    def __init__(self, loop: asyncio.AbstractEventLoop, room: memoryview) -> None:
        super().__init__(loop)
        self._room = room

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # what asyncio would like
        """Return where asyncio is to read into."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what asyncio has read."""
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
        """Keep the first bytes, and have aiohttp parse them all."""
        if len(self.head) < _MAX_HEAD:
            self.head += data[:_MAX_HEAD]
        super().data_received(data)


class Connector(aiohttp.TCPConnector):
    """A pool of connections that use `Protocol`, and that are reset when they are closed."""

    def __init__(self, *, limit: int, tls: ssl.SSLContext) -> None:
        super().__init__(
            limit=limit,
            ssl=tls,
            ttl_dns_cache=DNS_TTL_S,
            keepalive_timeout=KEEPALIVE_S,
            socket_factory=_resetting_socket,
        )
        room = memoryview(bytearray(READ_BYTES))
        self._factory = cast("Any", partial(Protocol, loop=self._loop, room=room))


def _resetting_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that on closing drops what the other side has not taken yet."""
    family, kind, proto, _, _ = address
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return sock


def default_tls() -> ssl.SSLContext:
    """Return the machine's own trust; `SSL_CERT_FILE` is read now."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def reset(connection: aiohttp.connector.Connection) -> None:
    """Drop a connection; closing alone would first deliver what is still in a buffer."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()
