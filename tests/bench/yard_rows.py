"""What the yardsticks share: the file of responses, and how one of them is said to Graph."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GRAPH_URL = "BENCH_GRAPH_URL"
REDIS_SOCKET = "BENCH_REDIS_SOCKET"
CALLS = "BENCH_CALLS"
"""Names of variables: where Graph and Redis are, and how many calls may be in flight."""

HEADERS = {"Authorization": "Bearer benchmark"}


class Wanted(NamedTuple):
    """One row."""

    user: str
    event: str
    action: str
    comment: str

    @property
    def url(self) -> str:
        """Where it is said."""
        graph = os.environ[GRAPH_URL]
        return f"{graph}/v1.0/users/{self.user}/events/{self.event}/{self.action}"

    @property
    def body(self) -> dict[str, Any]:
        """What is said there."""
        return {"comment": self.comment, "sendResponse": True}


def read_wanted(file: str) -> Iterator[Wanted]:
    """Read a file of rows."""
    with Path(file).open(newline="") as lines:
        for row in csv.DictReader(lines):
            yield Wanted(**row)


def calls() -> int:
    """Return how many calls may be in flight."""
    return int(os.environ[CALLS])


def redis_socket() -> str:
    """Return the path of Redis's socket."""
    return os.environ[REDIS_SOCKET]
