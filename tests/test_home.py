"""Which Redis the ledger is on, and what becomes of marks when it is another one."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from awaited import awaited
from own_redis import OwnRedis
from patience import wait_until
from redis_servers import RedisServer, redis_server
from small_ledger import NOW, Ledger, ledger_at

from jobs.ledger import keys
from jobs.ledger.home import Change, Home, Judgement
from jobs.ledger.writes import Word

SAME = Judgement(Change.SAME, [])


async def ask(ledger: Ledger, worker: str = "w") -> Word:
    """Open the slice anew and ask for a mark of its first response that has none."""
    part = await ledger.open(worker=worker)
    return await ledger.mark(part, next(e for e in part.entries if not e.record.attempts))


async def judge(ledger: Ledger) -> Judgement:
    """Judge the data for a worker that has written as much as this one."""
    return await Home(ledger.redis).judge(ledger.written.ms, ledger.now_ms)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Run a durable Redis that the test may restart."""
    server = OwnRedis(tmp_path / "own")
    server.start()
    yield server
    server.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a primary and its replica."""
    with ExitStack() as servers:
        primary = servers.enter_context(redis_server(tmp_path / "primary"))
        of = ("--replicaof", "127.0.0.1", str(primary.port))
        replica = servers.enter_context(redis_server(tmp_path / "replica", *of))
        wait_until(lambda: replica.client.role()[3] == b"connected", "the replica is alone")
        yield primary, replica


@awaited
async def test_the_same_redis(redis_url: str) -> None:
    """As long as nothing happens to Redis, marks are granted and nothing is doubted."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        words = [await ask(ledger), await ask(ledger)]

        assert [Word.OK, Word.OK] == words
        assert SAME == await judge(ledger)
        assert 0 == (await ledger.batches.get("b")).doubted_ms


@pytest.mark.parametrize("synced", ["always", "everysec"])
@awaited
async def test_a_restart(own_redis: OwnRedis, synced: str) -> None:
    """After a restart no mark is granted before it is judged; what was synced is believed."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(3)
        assert Word.OK == await ask(ledger)
    own_redis.kill()
    own_redis.start()
    own_redis.client.config_set("appendfsync", synced)
    async with ledger_at(own_redis.url) as ledger:
        ledger.now_ms += 1
        refused = await ask(ledger)
        expected = SAME if synced == "always" else Judgement(Change.RESTARTED, ["b"])

        assert Word.WENT_BACK == refused
        assert expected == await judge(ledger)
        assert SAME == await judge(ledger)
        assert Word.OK == await ask(ledger)
        doubted = (await ledger.batches.get("b")).doubted_ms
    assert (0 if synced == "always" else NOW + 1) == doubted


@awaited
async def test_a_user_who_may_not_ask(own_redis: OwnRedis) -> None:
    """Where nobody says that all was synced, a restart is taken for a loss."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
    own_redis.kill()
    own_redis.start()
    own_redis.client.execute_command("ACL SETUSER u on >secret ~* +@all -config")
    login = own_redis.url.replace("?", "?username=u&password=secret&")
    async with ledger_at(login) as ledger:
        assert Judgement(Change.RESTARTED, ["b"]) == await judge(ledger)


@awaited
async def test_a_failover(pair: tuple[RedisServer, RedisServer]) -> None:
    """On a replica that was promoted nothing is granted to anybody before all is in doubt."""
    primary, replica = pair
    async with ledger_at(primary.url) as ledger:
        await ledger.submit(3)
        await ask(ledger)
        primary.client.wait(1, 5_000)
    replica.client.replicaof("NO", "ONE")
    async with ledger_at(replica.url) as one, ledger_at(replica.url) as other:
        part = await other.open(worker="other")
        refused = [await ask(one, "one"), await other.mark(part, part.entries[1])]
        judged = [await judge(one), await judge(other)]
        stale = await other.mark(part, part.entries[1])

        assert [Word.WENT_BACK] * 2 == refused
        assert [Judgement(Change.FAILED_OVER, ["b"]), SAME] == judged
        assert Word.STALE == stale
        assert Word.OK == await ask(one, "one")


@awaited
async def test_another_history_of_the_same_run(redis_url: str) -> None:
    """A Redis that only begins another history, for want of replicas, has lost nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        _, run = (await ledger.redis.get(keys.HOME)).split()
        await ledger.redis.set(keys.HOME, b"0a1b2c " + run)

        assert Word.WENT_BACK == await ask(ledger)
        assert SAME == await judge(ledger)
        assert Word.OK == await ask(ledger)
