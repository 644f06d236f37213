"""
A primary, a replica and a Sentinel: batches run, and go on after each kind of failover.

A replica that is promoted may have missed what was written last. That is nothing to be repeated
silently: what is open is looked at before it is sent.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.errors import LedgerUnreachable
from jobs.redis.connection import connect, reach
from tests.support.awaited import awaited
from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.program import Program
from tests.support.redis.redis_servers import RedisServer, redis_server
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until

ROWS, MAILBOXES = 160, 12
LATENCY_S = 0.1
SLOW_S = 2.0
"""So that there is something left to do when an operator's failover is over."""
PASSWORD = "never-used-elsewhere"
SENTINEL = """
sentinel monitor main 127.0.0.1 {port} 1
sentinel auth-pass main {password}
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 3000
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """Two servers, of which one is the primary, and the Sentinel that watches them."""

    primary: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        """Their address; the first Sentinel that it names is not there."""
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:{self.sentinel.port}/main/0"

    def cut_off_replica(self) -> None:
        """Let the replica learn nothing more."""
        self.primary.client.acl_setuser("replica", enabled=False)
        self.primary.client.execute_command("CLIENT KILL TYPE replica")

    def wait_until_promoted(self) -> None:
        """Wait until the replica is the primary."""
        wait_until(lambda: self._named_port == self.replica.port, "the replica is not named")

    @property
    def _named_port(self) -> int | None:
        main = self.sentinel.client.sentinel_masters()["main"]
        return main["port"] if main["is_master"] and not main["is_sdown"] else None


@contextmanager
def watched(folder: Path, *options: str) -> Iterator[Watched]:
    """Run all three of them."""
    login = ["--requirepass", PASSWORD, "--masteruser", "replica", "--masterauth", PASSWORD]
    user = ["--user", "replica", "on", f">{PASSWORD}", "~*", "+@all"]
    with ExitStack() as servers:

        def start(name: str, *more: str) -> RedisServer:
            own = redis_server(folder / name, *login, *user, *options, *more, password=PASSWORD)
            return servers.enter_context(own)

        primary = start("primary")
        replica = start("replica", "--replicaof", "127.0.0.1", str(primary.port))
        wait_until(lambda: replica.client.role()[3] == b"connected", "the replica is alone")
        (folder / "sentinel").mkdir()
        told = SENTINEL.format(port=primary.port, password=PASSWORD)
        (folder / "sentinel" / "sentinel.conf").write_text(told)
        sentinel = servers.enter_context(redis_server(folder / "sentinel", sentinel=True))
        wait_until(lambda: sentinel.client.sentinel_slaves("main"), "no replica is known")
        yield Watched(primary, replica, sentinel)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Watched]:
    """Run a primary, a replica and a Sentinel."""
    with watched(tmp_path / "watched") as servers:
        yield servers


@pytest.fixture
def ordeal(program: Program, sandbox: SandboxClient, servers: Watched) -> Ordeal:
    """Submit a batch to the primary, whichever it is."""
    program.environment["REDIS_URL"] = servers.url
    sandbox.options(latency_s=LATENCY_S)
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_of(ROWS, MAILBOXES))
    return ordeal


@pytest.mark.chaos
def test_fails_over_when_told(ordeal: Ordeal, servers: Watched, sandbox: SandboxClient) -> None:
    """An operator's failover repeats nothing; a primary that has lost its replica takes nothing."""
    for server in (servers.primary, servers.replica):
        server.client.config_set("min-replicas-to-write", 1)
    sandbox.options(latency_s=SLOW_S)
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(40)
        servers.sentinel.client.execute_command("SENTINEL FAILOVER main")
        servers.wait_until_promoted()
        ordeal.program.wait_until_finished(ordeal.batch)
        assert 0 == worker.stop()
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)
    assert ["failed_over"] == [line["how"] for line in worker.events("redis.changed")]


@pytest.mark.chaos
def test_a_replica_that_lagged_sends_nothing_twice(
    ordeal: Ordeal, servers: Watched, sandbox: SandboxClient
) -> None:
    """What a promoted replica calls unsent, because it never heard of it, is not sent again."""
    with ordeal.worker() as one, ordeal.worker() as other:
        for worker in (one, other):
            worker.wait_for("worker.started")
        ordeal.wait_for_calls(40)
        servers.cut_off_replica()
        ordeal.wait_for_calls(80)
        servers.primary.kill()
        servers.wait_until_promoted()
        ordeal.program.wait_until_finished(ordeal.batch)
        assert [0, 0] == [worker.stop() for worker in (one, other)]
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)


@pytest.mark.chaos
def test_a_failover_without_workers_sends_nothing_twice(
    ordeal: Ordeal, servers: Watched, sandbox: SandboxClient
) -> None:
    """The same holds when all workers died with the primary."""
    with ordeal.worker() as worker:
        ordeal.wait_for_calls(40)
        servers.cut_off_replica()
        ordeal.wait_for_calls(80)
        servers.primary.kill()
        worker.stop(signal.SIGKILL)
    servers.wait_until_promoted()
    ordeal.burst()
    stats = sandbox.stats()
    assert (ROWS, []) == (stats.taken, stats.duplicates)
    assert ROWS == sum(ordeal.program("status", ordeal.batch, "--json").json["outcomes"].values())


@awaited
async def test_an_unknown_primary_is_reported(servers: Watched) -> None:
    """A primary that no Sentinel knows is told as such."""
    redis = connect(servers.url.replace("/main", "/other"))
    with pytest.raises(LedgerUnreachable, match="no Sentinel at x knows a primary of that name"):
        await reach(redis, "x")
    await redis.aclose(close_connection_pool=True)
