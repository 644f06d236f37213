"""A server on loopback that speaks bytes, not HTTP: for calls that go wrong on the wire."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trustme

from jobs.rows.response import Action, Response
from worker.graph.client import Graph
from worker.graph.reply import Reply

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
RESPONSE = Response(user="ada@contoso.com", event="AAMk", action=Action.DECLINE, comment="x" * 8000)
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server on loopback; `received` are the heads of the requests that came whole."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def take(self, reader: asyncio.StreamReader) -> None:
        """Read one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: " in head:
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        self.received.append(head.split(b"\r\n")[0])
        self.arrived.set()

    async def watch_end(self, reader: asyncio.StreamReader) -> None:
        """Note how the other side left."""
        try:
            while await reader.read(65_536):
                pass
        except ConnectionResetError:
            self.ended.set_result("reset")
        else:
            self.ended.set_result("closed")


@asynccontextmanager
async def peer_that(
    script: Callable[[Peer], Script], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    """Run a server whose connections follow a script and are then closed."""
    peer, tasks = Peer(), set[asyncio.Task[None] | None]()
    follow = script(peer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        peer.connections += 1
        try:
            await follow(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    peer.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield peer
    finally:
        server.close()
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


def saying(*parts: bytes, then_hang: bool = False, reset: bool = False) -> Callable[[Peer], Script]:
    """Take one request, say these parts one after the other, and then close, reset or hang."""

    def script(peer: Peer) -> Script:
        async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.take(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            if reset:
                linger = struct.pack("ii", 1, 0)
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if then_hang:
                await peer.watch_end(reader)

        return follow

    return script


@asynccontextmanager
async def graph_at(
    url: str, *, timeout_s: float = 5, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Graph]:
    """Open a Graph with a fixed clock."""
    async with Graph(
        url, "v1.0", max_calls=4, timeout_s=timeout_s, clock=lambda: NOW, tls=tls
    ) as graph:
        yield graph


async def send(graph: Graph) -> Reply:
    """Make a call that sends."""
    return await graph.send(RESPONSE, token="t", client_request_id="g")


async def look(graph: Graph) -> Reply:
    """Make a call that looks."""
    return await graph.look(RESPONSE, token="t", client_request_id="g")


def facts(reply: Reply) -> tuple[int | None, str | None, bool]:
    """Keep of a reply what a verdict is made of."""
    return reply.status, reply.code, reply.reached


def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a server's side and a client's side that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
