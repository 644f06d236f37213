"""A proxy before a Redis on a unix socket, that fails a client at a command of one's choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Failure(Enum):
    """What happens to a command: its connection is cut, nothing comes back, or only later."""

    CUT = auto()
    SILENCE = auto()
    HOLD = auto()


class RedisProxy:
    """Lets everything through, until `fail` says otherwise for a command."""

    def __init__(self, url: str, socket: Path) -> None:
        behind = urlsplit(url)
        self.url = f"unix://{socket}?{behind.query}"
        self._behind = unquote(behind.path)
        self._command: bytes | None = None
        self._failure = Failure.CUT
        self._released = asyncio.Event()
        self.failing = asyncio.Event()
        self.failed = 0

    def fail(self, command: str | None, failure: Failure = Failure.CUT) -> None:
        """Fail whatever holds this command from now on; None lets everything through again."""
        self._command = None if command is None else command.encode()
        self._failure = failure
        self._released.set()
        if failure is Failure.HOLD:
            self._released.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        there, back = await asyncio.open_unix_connection(self._behind)
        answers = asyncio.create_task(_copy(there, writer))
        try:
            while data := await reader.read(65_536):
                if self._command is not None and self._command in data:
                    self.failed += 1
                    self.failing.set()
                    if self._failure is Failure.CUT:
                        break
                    if self._failure is Failure.SILENCE:
                        continue
                    await self._released.wait()
                back.write(data)
        finally:
            answers.cancel()
            back.close()
            writer.close()
            await asyncio.gather(answers, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@asynccontextmanager
async def redis_proxy(url: str, folder: Path) -> AsyncIterator[RedisProxy]:
    """Run a proxy for the Redis at a unix socket's URL, itself on a unix socket in a folder."""
    proxy = RedisProxy(url, folder / "proxy.sock")
    clients = set[asyncio.Task[None]]()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    server = await asyncio.start_unix_server(begin, folder / "proxy.sock")
    try:
        yield proxy
    finally:
        server.close()
        for task in list(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
