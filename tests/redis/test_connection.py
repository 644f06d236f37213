"""Connecting to Redis: what it must be, and what is said when it is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from config.errors import LedgerUnreachable
from jobs.redis.connection import connect, reach
from tests.support.awaited import awaited
from tests.support.harness import SECRET as NEVER_USED
from tests.support.program import Program
from tests.support.redis.redis_servers import RedisServer, redis_server
from worker.process.embedded import EmbeddedRedis


@awaited
async def test_a_redis_that_evicts_nothing_is_good_enough(redis_url: str) -> None:
    """A Redis that answers and evicts nothing is good enough."""
    redis = connect(redis_url)
    await reach(redis, "shown")
    await redis.aclose(close_connection_pool=True)


@awaited
async def test_a_redis_that_is_not_there(tmp_path: Path) -> None:
    """Nobody at the address is told with the address, and what to do."""
    redis = connect(f"unix://{tmp_path}/nobody.sock?db=0")
    expected = r"cannot reach Redis at redis://x \(.+\); start it, or set REDIS_URL"
    with pytest.raises(LedgerUnreachable, match=expected):
        await reach(redis, "redis://x")
    await redis.aclose(close_connection_pool=True)


@pytest.mark.parametrize("login", ["", "password=wrong&"])
@awaited
async def test_a_wrong_password_is_reported_without_it(tmp_path: Path, login: str) -> None:
    """A missing or wrong password is told as such, without the password."""
    with EmbeddedRedis(tmp_path / "r", durable=False) as server:
        with Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "right")
        redis = connect(server.url.replace("?", f"?{login}"))
        expected = "Redis at redis://x refuses the credentials in REDIS_URL"
        with pytest.raises(LedgerUnreachable, match=expected) as caught:
            await reach(redis, "redis://x")
        await redis.aclose(close_connection_pool=True)
        with Redis.from_url(server.url.replace("?", "?password=right&")) as admin:
            admin.config_set("requirepass", "")

    assert "wrong" not in str(caught.value).replace("wrong number of arguments", "")


@awaited
async def test_a_redis_that_evicts_is_refused(tmp_path: Path) -> None:
    """A Redis that may drop marks when it is full is refused, by the name of its policy."""
    with EmbeddedRedis(tmp_path / "r", durable=False) as server:
        with Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory", "100mb")
            admin.config_set("maxmemory-policy", "allkeys-lru")
        redis = connect(server.url)
        with pytest.raises(LedgerUnreachable, match=r"policy allkeys-lru\).*noeviction"):
            await reach(redis, "redis://x")
        await redis.aclose(close_connection_pool=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a cluster of one."""
    folder = tmp_path_factory.mktemp("cluster")
    with redis_server(folder, "--cluster-enabled", "yes") as server:
        yield server


@pytest.mark.parametrize("database", ["", "/3"])
@awaited
async def test_a_cluster_is_refused_with_what_to_choose_instead(
    cluster: RedisServer, database: str
) -> None:
    """A cluster is refused with what to choose instead, also where a database is asked for."""
    redis = connect(cluster.url.removesuffix("/0") + database)
    with pytest.raises(LedgerUnreachable, match=r"redis://x:? is a cluster.* Sentinel .*NoCluster"):
        await reach(redis, "redis://x")
    await redis.aclose(close_connection_pool=True)


@pytest.mark.parametrize("command", [["submit", "-"], ["worker"]])
def test_every_command_refuses_a_cluster(
    cluster: RedisServer, command: list[str], tmp_path: Path
) -> None:
    """Whoever opens the ledger is told of the cluster, with the exit code of Redis."""
    program = Program({**NEVER_USED, "REDIS_URL": cluster.url}, tmp_path)
    row = '{"user": "ada@contoso.com", "event": "AAMk=", "action": "decline"}'
    refused = program(*command, given=row)
    assert 4 == refused.code
    assert "is a cluster" in refused.err
    assert "Traceback" not in refused.err


@awaited
async def test_a_missing_command_is_named(tmp_path: Path) -> None:
    """A user who may not run what is needed is told the command, and where the list is."""
    with EmbeddedRedis(tmp_path / "r", durable=False) as server:
        with Redis.from_url(server.url) as admin:
            admin.execute_command("ACL SETUSER u on >secret ~* +@all -eval")
        redis = connect(server.url.replace("?", "?username=u&password=secret&"))
        expected = r"redis://x forbids this user a command.*'eval'.*deploy/redis.md lists"
        with pytest.raises(LedgerUnreachable, match=expected):
            await reach(redis, "redis://x")
        await redis.aclose(close_connection_pool=True)
