"""TLS before a Redis that speaks none: a relay on loopback, with a certificate of its own."""

import asyncio
import itertools
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import trustme

Doorman = Callable[[int, bytes], bool]
"""Sees the number of a connection and what its client says; False cuts it."""


def _anybody(_: int, __: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class TlsRelay:
    """Where it listens, and the file that says who vouches for it."""

    port: int
    ca_file: Path

    def url(self, database: str, host: str = "localhost") -> str:
        """Its address, as `REDIS_URL` would hold it."""
        return f"rediss://{host}:{self.port}/{database}"


@contextmanager
def tls_relay(behind: str, folder: Path, doorman: Doorman = _anybody) -> Iterator[TlsRelay]:
    """
    Run a relay before the Redis at a unix socket's URL; it is called localhost, and only so.

    A connection is cut whose next words the doorman does not like.
    """
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(_listen(unquote(urlsplit(behind).path), context, doorman))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield TlsRelay(server.sockets[0].getsockname()[1], ca_file)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(server))
        loop.close()


async def _listen(socket: str, context: ssl.SSLContext, doorman: Doorman) -> asyncio.Server:
    numbers = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(socket)
        number = next(numbers)
        try:
            likes = partial(doorman, number)
            await asyncio.gather(_copy(reader, back, likes), _copy(there, writer))
        finally:
            back.transport.abort()
            writer.transport.abort()

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    likes: Callable[[bytes], bool] = lambda _: True,
) -> None:
    while (data := await reader.read(65_536)) and likes(data):
        writer.write(data)
    writer.transport.abort()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
