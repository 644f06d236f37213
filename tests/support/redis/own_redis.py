"""A Redis of a test's own, on a disk, to be killed, stopped, filled, and given older data."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from redis import Redis

from worker.process.embedded import EmbeddedRedis


class OwnRedis:
    """A durable Redis in a folder; every change is on the disk before it is answered."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "redis"
        self._copy = folder / "older"
        self._server = EmbeddedRedis(self._state)
        self._redis: Any = None
        self._pid = 0

    @property
    def url(self) -> str:
        """Where it answers, also after a restart."""
        return self._server.url

    @property
    def client(self) -> Any:
        """A client of it."""
        return self._redis

    def start(self) -> None:
        """Start the server on what stands in its folder."""
        self._server = EmbeddedRedis(self._state)
        self._server.__enter__()
        self._redis = Redis.from_url(self.url)
        self._pid = self._redis.info("server")["process_id"]

    def kill(self) -> None:
        """Kill the server, as an operator, the kernel or a power cut would."""
        self._signal(signal.SIGKILL)
        self.close()

    def stand_still(self) -> None:
        """Stop the server where it is."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def keep_copy(self) -> None:
        """Copy what stands on the disk now."""
        shutil.copytree(self._state, self._copy, ignore=shutil.ignore_patterns("*.sock", "lock"))

    def put_copy_back(self) -> None:
        """Put the copy in the place of what stands on the disk; the server must not run."""
        shutil.copytree(self._copy, self._state, dirs_exist_ok=True)

    def close(self) -> None:
        """End the server, if it still runs."""
        self._redis.close()
        self._server.__exit__(None, None, None)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)
