"""A Redis that writes to its disk every second, and loses the end of what it wrote."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.redis.redis_servers import RedisServer, free_port, redis_server

COUNT = re.compile(rb"\*(\d+)\r\n")
LENGTH = re.compile(rb"\$(\d+)\r\n")


class LossyRedis:
    """A server in a folder, at one port whenever it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self._port = free_port()
        self._server: RedisServer | None = None

    @property
    def url(self) -> str:
        """Where it answers, also after a restart."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def client(self) -> Any:
        """A client of it, while it runs."""
        assert self._server is not None
        return self._server.client

    def start(self) -> None:
        """Start it on what stands in its folder."""
        options = (
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--aof-use-rdb-preamble",
            "no",
        )
        self._server = self._running.enter_context(
            redis_server(self._folder, *options, port=self._port)
        )

    def lose(self, size: int) -> None:
        """Kill it, and cut so many bytes off what it has written: some hundred a change."""
        assert self._server is not None
        self._server.kill()
        self.close()
        written = max(self._folder.rglob("appendonly*.aof"), key=lambda file: file.stat().st_size)
        os.truncate(written, max(written.stat().st_size - size, 0))
        os.truncate(written, _whole(written.read_bytes()))

    def close(self) -> None:
        """End it."""
        self._running.close()


def _whole(written: bytes) -> int:
    """
    Return where the last command or transaction ends that is whole.

    Redis itself cuts behind the last command. Of a transaction that is cut off it so keeps the
    beginning, and carries that out when it is started for the second time (seen with 6.2.14).
    """
    end = position = 0
    inside = False
    while line := COUNT.match(written, position):
        position, words = line.end(), list[bytes]()
        for _ in range(int(line[1])):
            if (size := LENGTH.match(written, position)) is None:
                return end
            words.append(written[size.end() : size.end() + int(size[1])])
            position = size.end() + int(size[1]) + 2
        if position > len(written):
            return end
        inside = words[0].upper() == b"MULTI" or (inside and words[0].upper() != b"EXEC")
        end = end if inside else position
    return end


@contextmanager
def lossy_redis(folder: Path) -> Iterator[LossyRedis]:
    """Run such a server for the length of a block."""
    redis = LossyRedis(folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.close()
