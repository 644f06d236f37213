"""Redis servers of a test's own on loopback ports, with whatever options: clusters, Sentinels."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NotThere
from redis.exceptions import RedisError

from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.embedded import find_server


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One server, and a client of it."""

    port: int
    client: Any
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Its address, as `REDIS_URL` would hold it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def free_port() -> int:
    """Find a port that nobody listens at; a cluster listens 10,000 above it, too."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port < 50_000:
            return port


@contextmanager
def redis_server(
    folder: Path,
    *options: str,
    password: str | None = None,
    sentinel: bool = False,
    port: int | None = None,
) -> Iterator[RedisServer]:
    """Run a server in a folder; a Sentinel keeps its `sentinel.conf` there."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    start = ["sentinel.conf", "--sentinel"] if sentinel else ["--save", "", "--appendonly", "no"]
    given = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *options]
    with (
        (folder / f"{port}.log").open("wb") as log,
        running([find_server(), *start, *given], stdout=log, cwd=folder) as process,
        Redis(host="127.0.0.1", port=port, password=password) as client,
    ):
        wait_until(lambda: _answers(client) or process.poll() is not None, "no Redis answers")
        assert process.poll() is None
        yield RedisServer(port, client, process)


def _answers(client: "Redis") -> bool:
    try:
        client.ping()
    except NotThere:
        return False
    except RedisError:  # of itself, or of us
        return True
    return True
