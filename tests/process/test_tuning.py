"""What a worker's process spares: measured, on connections as a worker has them."""

import asyncio
import tracemalloc
from asyncio.sslproto import SSLProtocol

import pytest

from tests.support.network.raw_peer import NOW, certificates, peer_that, saying
from worker.graph.transport import Transport
from worker.process.tuning import read_little

CONNECTIONS = 20
UNTOUCHED = 256 << 10
"""What asyncio gives each connection."""


def test_connections_with_tls_hold_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of 20 connections hold less than what one end of each would hold otherwise."""
    monkeypatch.setattr(SSLProtocol, "max_size", UNTOUCHED)  # another test may have set it
    read_little()
    server, client = certificates()

    async def scenario() -> int:
        async with peer_that(saying(then_hang=True), tls=server) as peer:
            transport = Transport(
                peer.url,
                max_calls=CONNECTIONS,
                timeout_s=60,
                headers={},
                clock=lambda: NOW,
                tls=client,
            )
            tracemalloc.start()
            connections = [await transport._connect() for _ in range(CONNECTIONS)]
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            for connection in connections:
                connection.close()
            await transport.close()
        return held

    assert asyncio.run(scenario()) < CONNECTIONS * UNTOUCHED
