"""
What the tests stand on: a real Redis, the sandbox as a process, the console command as a process.

One Redis serves a whole run; each test has a database of its own, and a sandbox of its own.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient, SandboxHost, hosting_sandboxes
from worker.process.embedded import EmbeddedRedis

DATABASES = 512

# No claim of a property is about time, and the machine may be busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests have recorded, from whichever process."""
    for report in terminalreporter.getreports(""):
        for name, value in getattr(report, "user_properties", ()):
            terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the many processes of a run share what Python compiles, also where that is forbidden."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYTHONDONTWRITEBYTECODE" in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            folder = tmp_path_factory.getbasetemp()
            shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
            patch.setenv("PYTHONPYCACHEPREFIX", str(shared / "compiled"))
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """Run one real Redis with many databases, which keeps nothing."""
    folder = tmp_path_factory.mktemp("redis")
    with EmbeddedRedis(folder, databases=DATABASES, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def databases() -> Iterator[int]:
    """Count the databases that have been given away."""
    return itertools.count(1)


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis, databases: Iterator[int]) -> str:
    """Give a test an empty database of its own."""
    return redis_server.url.replace("db=0", f"db={next(databases)}")


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    """Give a test a client of its database."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[SandboxHost]:
    """Run a process in which each test has a sandbox of its own."""
    with hosting_sandboxes() as host:
        yield host


@pytest.fixture
def sandbox(sandboxes: SandboxHost) -> Iterator[SandboxClient]:
    """Run a sandbox that answers at once."""
    with sandboxes.running() as client:
        yield client


@pytest.fixture
def program(sandbox: SandboxClient, redis_url: str, tmp_path: Path) -> Program:
    """Give a test the console command, set up for its sandbox and its database."""
    environment = {
        **sandbox.environment,
        "REDIS_URL": redis_url,
        "BULKRSVP_SETTLE_S": "0.5",
        "BULKRSVP_LOG_FORMAT": "json",
    }
    return Program(environment, tmp_path)
