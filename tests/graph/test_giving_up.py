"""Giving up a call: what the server had not taken by then, it never gets."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.support.network.raw_peer import (
    BAD_GATEWAY,
    certificates,
    facts,
    graph_at,
    peer_that,
    saying,
    send,
)
from worker.graph.reply import TransportEnd


def test_giving_up_resets_the_connection() -> None:
    """After a time-out the server sees a reset, and not a farewell."""

    async def scenario() -> None:
        async with (
            peer_that(saying(then_hang=True)) as peer,
            graph_at(peer.url, timeout_s=0.3) as graph,
        ):
            reply = await send(graph)
            expected = (None, TransportEnd.TIMEOUT, True, "reset")
            assert expected == (*facts(reply), await asyncio.wait_for(peer.ended, 5))

    asyncio.run(scenario())


@pytest.mark.parametrize("parts", [(), (BAD_GATEWAY + b"Content-Length: 9\r\n\r\n{",)])
def test_cancelling_resets_the_connection(parts: tuple[bytes, ...]) -> None:
    """A cancelled call stays cancelled, and leaves nothing behind that could still be delivered."""

    async def scenario() -> None:
        async with (
            peer_that(saying(*parts, then_hang=True)) as peer,
            graph_at(peer.url) as graph,
        ):
            call = asyncio.create_task(send(graph))
            await peer.arrived.wait()
            await asyncio.sleep(0.1)  # the head of the reply is read
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.wait_for(peer.ended, 5) == "reset"

    asyncio.run(scenario())


def accept(listener: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    """Take a connection, shake hands if so, and return its plain socket."""
    peer, _ = listener.accept()
    peer.settimeout(5)
    if tls is None:
        return peer
    plain = socket.socket(fileno=tls.wrap_socket(peer, server_side=True).detach())
    plain.settimeout(2)
    return plain


def drain(peer: socket.socket) -> tuple[int, bool]:
    """Read all that comes: how many bytes, and whether a reset ended them."""
    received = 0
    with peer:
        try:
            while chunk := peer.recv(65_536):
                received += len(chunk)
        except ConnectionResetError:
            return received, True
        except TimeoutError:
            pass
    return received, False


async def received_late(
    call: Callable[[str], Awaitable[object]], tls: ssl.SSLContext | None
) -> tuple[int, bool]:
    """Call a server that reads only when the call is over: what it gets then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        accepting = asyncio.create_task(asyncio.to_thread(accept, listener, tls))
        await call(f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
        return await asyncio.to_thread(drain, await accepting)


both = pytest.mark.parametrize("tls", [(None, None), certificates()], ids=["plain", "encrypted"])
TlsPair = tuple[ssl.SSLContext | None, ssl.SSLContext | None]


@both
def test_what_was_not_taken_is_never_delivered(tls: TlsPair) -> None:
    """A server that reads after we gave up finds a request without its end, and a reset."""
    server, client = tls

    async def call(url: str) -> None:
        async with graph_at(url, timeout_s=1, tls=client) as graph:
            expected = (None, TransportEnd.TIMEOUT, True)
            assert expected == facts(await send(graph))

    received, was_reset = asyncio.run(received_late(call, server))
    assert was_reset
    assert received < 8000


@both
def test_aiohttp_alone_would_deliver_it(tls: TlsPair) -> None:
    """The control: the same server gets all of the request from a bare session that gave up."""
    server, client = tls
    drained: list[tuple[int, bool]] = []

    async def scenario() -> None:
        timeout = aiohttp.ClientTimeout(total=1)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def call(url: str) -> None:
                with pytest.raises(TimeoutError):
                    await session.post(url, data=b"x" * 8000, ssl=client or True)

            drained.append(await received_late(call, server))

    asyncio.run(scenario())
    assert drained[0][0] > 8000
