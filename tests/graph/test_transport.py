"""Calls that break on the wire, against raw servers: what is known then, and one request each."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp
import pytest

from tests.support.network.raw_peer import (
    ACCEPTED,
    BAD_GATEWAY,
    NOW,
    RESPONSE,
    Peer,
    Script,
    certificates,
    facts,
    graph_at,
    look,
    peer_that,
    saying,
    send,
)
from worker.graph.client import Graph
from worker.graph.connections import READ_BYTES
from worker.graph.reply import Reply, TransportEnd
from worker.graph.transport import MAX_BODY, Transport

UNKNOWN = [
    ("cut", saying(), TransportEnd.DISCONNECTED),
    ("reset", saying(reset=True), TransportEnd.RESET),
    ("hang", saying(then_hang=True), TransportEnd.TIMEOUT),
    ("half a status line", saying(b"HTTP/1.1 20"), TransportEnd.DISCONNECTED),
    ("half a status line, hang", saying(b"HTTP/1.1 202", then_hang=True), TransportEnd.TIMEOUT),
    ("not HTTP", saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), TransportEnd.PROTOCOL_ERROR),
    ("only a 100", saying(b"HTTP/1.1 100 Continue\r\n\r\n"), TransportEnd.DISCONNECTED),
    ("not a status", saying(b"HTTP/1.1 2020 What\r\n\r\n"), TransportEnd.PROTOCOL_ERROR),
]

STATUS_SEEN = [
    ("cut after the line", saying(BAD_GATEWAY), 502),
    ("reset after the line", saying(b"HTTP/1.1 202 Accepted\r\n", reset=True), 202),
    ("hang after the line", saying(b"HTTP/1.1 202 Accepted\r\n", then_hang=True), 202),
    ("hang in a header", saying(b"HTTP/1.1 202\r\nDate: We", then_hang=True), 202),
    ("broken header", saying(b"HTTP/1.1 202 Accepted\r\n\x00: \x01\r\n\r\n"), 202),
    ("endless header", saying(b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * 50_000), 202),
    ("two lengths", saying(b"HTTP/1.1 202 OK\r\nContent-Length: x\r\n\r\n"), 202),
    ("line in pieces", saying(b"HTTP/1.1 2", b"02 Acc", b"epted\r\n", b"Da"), 202),
    ("cut body", saying(BAD_GATEWAY + b'Content-Length: 99\r\n\r\n{"error"'), 502),
    ("reset in the body", saying(BAD_GATEWAY + b"Content-Length: 9\r\n\r\n{", reset=True), 502),
    ("hang in the body", saying(BAD_GATEWAY + b"Content-Length: 9\r\n\r\n{", then_hang=True), 502),
    ("cut chunks", saying(BAD_GATEWAY + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"), 502),
    ("bad chunks", saying(BAD_GATEWAY + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 502),
    ("bad gzip", saying(BAD_GATEWAY + b"Content-Encoding: gzip\r\n\r\nno gzip"), 502),
    ("after a 100", saying(b"HTTP/1.1 100 Continue\r\n\r\n", ACCEPTED), 202),
    ("after a 100, cut", saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 OK\r\n"), 202),
    ("slowly", saying(*(ACCEPTED[at : at + 9] for at in range(0, len(ACCEPTED), 9))), 202),
    (
        "switching",
        saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        101,
    ),
]


@pytest.mark.parametrize("call", [send, look])
@pytest.mark.parametrize(
    ("script", "end"), [row[1:] for row in UNKNOWN], ids=[r[0] for r in UNKNOWN]
)
def test_without_a_status_it_is_unknown(
    call: Callable[[Graph], Awaitable[Reply]], script: Callable[[Peer], Script], end: TransportEnd
) -> None:
    """However a reply fails to come, the request counts as received, and was made once."""

    async def scenario() -> None:
        async with peer_that(script) as peer, graph_at(peer.url, timeout_s=0.5) as graph:
            reply = await call(graph)
        expected = (None, end, True)
        assert expected == facts(reply)
        assert len(peer.received) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("call", [send, look])
@pytest.mark.parametrize(
    ("script", "status"), [row[1:] for row in STATUS_SEEN], ids=[row[0] for row in STATUS_SEEN]
)
def test_a_status_line_counts_whatever_follows(
    call: Callable[[Graph], Awaitable[Reply]], script: Callable[[Peer], Script], status: int
) -> None:
    """A status line that came whole is the reply, though the rest breaks, hangs or is nonsense."""

    async def scenario() -> None:
        async with peer_that(script) as peer, graph_at(peer.url, timeout_s=0.5) as graph:
            reply = await call(graph)
        expected = (status, None, True)
        assert expected == facts(reply)
        assert len(peer.received) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 429 Too Many\r\nRetry-After: 9"])
def test_a_call_that_breaks_off_arrived_at_its_end(said: bytes) -> None:
    """Waits are counted from when the call was given up, whether its first line came or not."""
    later = NOW + timedelta(seconds=9)

    async def scenario() -> None:
        async with peer_that(saying(said, then_hang=True)) as peer:
            transport = Transport(
                peer.url,
                max_calls=1,
                timeout_s=0.3,
                headers={},
                clock=lambda: later if peer.arrived.is_set() else NOW,
            )
            incoming = await transport.call("GET", "/", {}, permitted=lambda: True)
            await transport.close()
        assert later == incoming.arrived_at

    asyncio.run(scenario())


def test_an_endless_body_is_left() -> None:
    """No more of a body is read than its bound, and its connection is dropped."""
    parts = [BAD_GATEWAY + b"\r\n", *[b"x" * MAX_BODY] * 64]

    async def scenario() -> None:
        async with peer_that(saying(*parts)) as peer, graph_at(peer.url, timeout_s=60) as graph:
            reply = await send(graph)
        expected = (502, None, True)
        assert expected == facts(reply)

    asyncio.run(scenario())


def answer_first_only(peer: Peer) -> Script:
    """Answer the first request of a connection, and close it under the second."""

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.take(reader)
        writer.write(ACCEPTED)
        await peer.take(reader)

    return follow


@pytest.mark.parametrize("call", [send, look])
def test_a_kept_connection_that_dies_is_not_tried_again(
    call: Callable[[Graph], Awaitable[Reply]],
) -> None:
    """A lost connection of the pool makes the call unknown, and nobody sends it again."""

    async def scenario() -> None:
        async with peer_that(answer_first_only) as peer, graph_at(peer.url) as graph:
            replies = [await call(graph), await call(graph)]
        expected = [(202, None, True), (None, TransportEnd.DISCONNECTED, True)]
        assert expected == [facts(reply) for reply in replies]
        assert len(peer.received) == 2

    asyncio.run(scenario())


def speaking_unasked(spoken: asyncio.Event) -> Callable[[Peer], Script]:
    """Answer a request, and a moment later one that nobody made, like a proxy that gives up."""

    def script(peer: Peer) -> Script:
        async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.take(reader)
            writer.write(ACCEPTED)
            await asyncio.sleep(0.05)
            writer.write(BAD_GATEWAY + b"Content-Length: 0\r\n\r\n")
            spoken.set()
            await peer.take(reader)

        return follow

    return script


@pytest.mark.parametrize("call", [send, look])
def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next(
    call: Callable[[Graph], Awaitable[Reply]],
) -> None:
    """What comes on a kept connection before its next request is no reply to that request."""

    async def scenario() -> None:
        spoken = asyncio.Event()
        async with peer_that(speaking_unasked(spoken)) as peer, graph_at(peer.url) as graph:
            replies = [await call(graph)]
            await spoken.wait()
            await asyncio.sleep(0.05)  # what is there by then is read before this timer fires
            replies.append(await call(graph))
        expected = [(202, None, True)] * 2
        assert expected == [facts(reply) for reply in replies]
        assert len(peer.received) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/a\x00"])
def test_a_target_that_cannot_stand_in_a_request_is_not_sent(target: str) -> None:
    """What would be another request, or none, reaches nobody."""

    async def scenario() -> None:
        async with peer_that(saying(ACCEPTED)) as peer:
            transport = Transport(peer.url, max_calls=1, timeout_s=5, headers={}, clock=lambda: NOW)
            incoming = await transport.call("GET", target, {}, permitted=lambda: True)
            await transport.close()
        assert (incoming.end, incoming.reached) == ("bad_url", False)
        assert not peer.received

    asyncio.run(scenario())


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\x00"])
def test_a_header_cannot_bring_another(value: str) -> None:
    """A value with a line break is a fault of ours, and nothing of it goes out."""

    async def scenario() -> None:
        async with peer_that(saying(ACCEPTED)) as peer:
            transport = Transport(peer.url, max_calls=1, timeout_s=5, headers={}, clock=lambda: NOW)
            with pytest.raises(ValueError, match="line break"):
                await transport.call("GET", "/", {"X-Name": value}, permitted=lambda: True)
            await transport.close()
        assert not peer.received

    asyncio.run(scenario())


def test_aiohttp_alone_would_try_again() -> None:
    """The control: the server above does see a third request from a bare session."""

    async def scenario() -> None:
        async with peer_that(answer_first_only) as peer, aiohttp.ClientSession() as session:
            statuses = [(await session.get(peer.url)).status for _ in range(2)]
        expected = [202, 202]
        assert expected == statuses
        assert len(peer.received) == 3

    asyncio.run(scenario())


def test_a_refused_port_is_not_reached() -> None:
    """Where nobody listens, surely nothing was sent."""

    async def scenario() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))  # and does not listen
            async with graph_at(f"http://127.0.0.1:{sock.getsockname()[1]}") as graph:
                reply = await send(graph)
        expected = (None, TransportEnd.CONNECT_FAILED, False)
        assert expected == facts(reply)

    asyncio.run(scenario())


def test_a_name_that_does_not_exist_is_not_reached() -> None:
    """Where no address is found, surely nothing was sent (RFC 2606: invalid)."""

    async def scenario() -> None:
        async with graph_at("http://graph.invalid", timeout_s=30) as graph:
            reply = await send(graph)
        expected = (None, TransportEnd.DNS, False)
        assert expected == facts(reply)

    asyncio.run(scenario())


def test_a_handshake_that_hangs_is_not_reached() -> None:
    """A server that accepts and says nothing to our TLS has received no request."""

    async def scenario() -> None:
        async with peer_that(lambda peer: lambda reader, _: peer.watch_end(reader)) as peer:
            url = peer.url.replace("http:", "https:")
            async with graph_at(url, timeout_s=0.3) as graph:
                reply = await send(graph)
        expected = (None, TransportEnd.CONNECT_TIMEOUT, False)
        assert expected == facts(reply)

    asyncio.run(scenario())


def test_waiting_for_a_free_connection_reaches_nobody() -> None:
    """A call whose time ran out in our own queue has not left this machine."""

    async def scenario() -> None:
        async with peer_that(saying(then_hang=True)) as peer:
            transport = Transport(
                peer.url, max_calls=1, timeout_s=0.1, headers={}, clock=lambda: NOW
            )
            held = await transport._connect()
            waiting = await transport.call("GET", "/", {}, permitted=lambda: True)
            assert (waiting.end, waiting.reached) == ("connect_timeout", False)
            held.close()
            await transport.close()
        assert peer.received == []

    asyncio.run(scenario())


def noting(heard: bytearray, ended: asyncio.Event) -> Callable[[Peer], Script]:
    """Keep all bytes of a connection, and answer none."""

    def script(_: Peer) -> Script:
        async def follow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            try:
                while chunk := await reader.read(65_536):
                    heard.extend(chunk)
            finally:
                ended.set()

        return follow

    return script


def test_a_withdrawn_call_writes_nothing() -> None:
    """When the leave to call has ended by the time a connection is there, no byte goes out."""
    heard, asked = bytearray(), list[str]()

    def permitted() -> bool:
        asked.append("with a connection")
        return False

    async def scenario() -> None:
        ended = asyncio.Event()
        async with peer_that(noting(heard, ended)) as peer, graph_at(peer.url) as graph:
            reply = await graph.send(
                RESPONSE, token="t", client_request_id="g", permitted=permitted
            )
            await ended.wait()
        expected = (None, TransportEnd.WITHDRAWN, False)
        assert expected == facts(reply)

    asyncio.run(scenario())
    assert (b"", ["with a connection"]) == (bytes(heard), asked)


def test_a_late_call_leaves_its_connection_to_the_next() -> None:
    """What took too long to connect writes nothing; the next call finds a connection, and goes."""
    leaves = [False, True]

    async def scenario() -> None:
        async with peer_that(saying(ACCEPTED)) as peer, graph_at(peer.url) as graph:
            replies = [
                await graph.send(
                    RESPONSE, token="t", client_request_id="g", timely=lambda: leaves.pop(0)
                )
                for _ in range(2)
            ]
        late = (None, TransportEnd.WITHDRAWN, False)
        assert [late, (202, None, True)] == [facts(reply) for reply in replies]
        assert (1, 1) == (peer.connections, len(peer.received))

    asyncio.run(scenario())


def test_a_kept_connection_is_asked_for_as_well() -> None:
    """A call that is withdrawn on a kept connection writes nothing, and the next one goes."""
    leaves = [True, False, True]

    async def scenario() -> None:
        async with peer_that(saying(ACCEPTED)) as peer, graph_at(peer.url) as graph:
            replies = [
                await graph.send(
                    RESPONSE, token="t", client_request_id="g", permitted=lambda: leaves.pop(0)
                )
                for _ in range(3)
            ]
        withdrawn = (None, TransportEnd.WITHDRAWN, False)
        accepted = (202, None, True)
        assert [accepted, withdrawn, accepted] == [facts(reply) for reply in replies]
        assert 2 == len(peer.received)

    asyncio.run(scenario())


def test_without_a_connection_nobody_is_asked() -> None:
    """Leave is asked for last: a call that finds nobody has not used it."""

    def permitted() -> bool:
        raise AssertionError("there is no connection")

    async def scenario() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))  # and does not listen
            async with graph_at(f"http://127.0.0.1:{sock.getsockname()[1]}") as graph:
                reply = await graph.send(
                    RESPONSE, token="t", client_request_id="g", permitted=permitted
                )
        expected = (None, TransportEnd.CONNECT_FAILED, False)
        assert expected == facts(reply)

    asyncio.run(scenario())


def test_an_untrusted_certificate_is_not_reached() -> None:
    """Who cannot show whom he is gets nothing of us."""
    server, _ = certificates()

    async def scenario() -> None:
        async with peer_that(saying(ACCEPTED), server) as peer, graph_at(peer.url) as graph:
            reply = await send(graph)
        expected = (None, TransportEnd.TLS_FAILED, False)
        assert expected == facts(reply)
        assert not peer.received

    asyncio.run(scenario())


def test_a_server_without_tls_is_not_reached() -> None:
    """What answers our handshake with something else gets nothing of us."""

    def script(_: Peer) -> Script:
        async def follow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        return follow

    async def scenario() -> None:
        async with (
            peer_that(script) as peer,
            graph_at(peer.url.replace("http:", "https:")) as graph,
        ):
            reply = await send(graph)
        assert (reply.status, reply.reached) == (None, False)

    asyncio.run(scenario())


def test_a_trusted_server_is_called_over_tls() -> None:
    """With a certificate that we trust the call goes through, and so does the one after it."""
    server, client = certificates()

    async def scenario() -> None:
        async with (
            peer_that(saying(ACCEPTED, ACCEPTED), server) as peer,
            graph_at(peer.url, tls=client) as graph,
        ):
            reply = await send(graph)
        expected = (202, None, True)
        assert expected == facts(reply)

    asyncio.run(scenario())


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_long_reply_comes_whole(*, over_tls: bool) -> None:
    """What is read piece by piece into one buffer is put together again, for each of two calls."""
    server, client = certificates()
    bodies = {f"/{letter}": letter.encode() * 3 * READ_BYTES for letter in "ab"}

    def script(peer: Peer) -> Script:
        async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.take(reader)
            content = bodies[peer.received[-1].split()[1].decode()]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
            for at in range(0, len(content), 10_000):  # so that they come at the same time
                writer.write(content[at : at + 10_000])
                await writer.drain()
                await asyncio.sleep(0)

        return follow

    async def scenario() -> None:
        async with peer_that(script, tls=server if over_tls else None) as peer:
            transport = Transport(
                peer.url, max_calls=2, timeout_s=60, headers={}, clock=lambda: NOW, tls=client
            )
            replies = await asyncio.gather(
                *(
                    transport.call("GET", path, {}, permitted=lambda: True, limit=1 << 20)
                    for path in bodies
                )
            )
            await transport.close()
        assert [(200, content) for content in bodies.values()] == [
            (reply.status, reply.body) for reply in replies
        ]

    asyncio.run(scenario())
