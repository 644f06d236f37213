"""What Redis must be: judged by what it says, and by what it really allows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from config.errors import LedgerUnreachable
from jobs.check import Check, CheckName, CheckVerdict
from jobs.redis.connection import connect, reach
from jobs.redis.requirements import COMMANDS, check_redis, judge_info
from tests.support.awaited import awaited
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from worker.process.embedded import EmbeddedRedis

ALONE = ("ping", "info", "select", "multi", "exec", "discard")
GOOD = {
    "redis_version": "7.2.11",
    "redis_mode": "standalone",
    "cluster_enabled": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a durable Redis of the test's own."""
    with EmbeddedRedis(tmp_path / "redis") as embedded:
        yield embedded


@pytest.fixture
def admin(server: EmbeddedRedis) -> Iterator[Any]:
    """Give a test a client that may do everything."""
    with Redis.from_url(server.url) as client:
        yield client


async def checked(url: str) -> dict[CheckName, Check]:
    """Check a Redis; return the checks by their names."""
    redis = connect(url)
    try:
        return {check.name: check for check in await check_redis(redis, "redis://x")}
    finally:
        await redis.aclose(close_connection_pool=True)


def verdicts(checks: dict[CheckName, Check]) -> dict[CheckName, CheckVerdict]:
    """Return the verdicts that are not `ok`."""
    found = {name: check.verdict for name, check in checks.items()}
    return {name: verdict for name, verdict in found.items() if verdict is not CheckVerdict.OK}


def as_user(url: str, admin: Any, *rules: str) -> str:
    """Make a user with these rules; return the address under which it comes."""
    admin.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">pass", *rules)
    return url.replace("?", "?username=narrow&password=pass&")


@awaited
async def test_a_durable_redis_passes_all(server: EmbeddedRedis, admin: Any) -> None:
    """A durable Redis passes all, what it is can be read, and nothing is written to it."""
    checks = await checked(server.url)

    assert {} == verdicts(checks)
    assert "appendonly yes, appendfsync always" == checks[CheckName.REDIS_PERSISTENCE].seen
    assert 0 == admin.dbsize()


@pytest.mark.parametrize(
    ("changes", "name", "verdict", "seen"),
    [
        ({"redis_version": "6.0.16"}, CheckName.REDIS_VERSION, "failed", "Redis 6.0.16"),
        ({"redis_version": 6.2}, CheckName.REDIS_VERSION, "ok", "Redis 6.2"),
        ({"redis_version": "10.0.0"}, CheckName.REDIS_VERSION, "ok", "Redis 10.0.0"),
        ({"valkey_version": "8.0.6"}, CheckName.REDIS_VERSION, "ok", "Valkey 8.0.6"),
        ({"valkey_version": "8.0.5"}, CheckName.REDIS_VERSION, "warning", "CVE-2025-49844"),
        ({"redis_version": "7.4.6"}, CheckName.REDIS_VERSION, "ok", "Redis 7.4.6"),
        ({"redis_version": "7.4.5"}, CheckName.REDIS_VERSION, "warning", "Redis 7.4.5: whoever"),
        ({"redis_version": "7.0.15"}, CheckName.REDIS_VERSION, "warning", "CVE-2025-49844"),
        ({"redis_version": "8.4.0"}, CheckName.REDIS_VERSION, "ok", "Redis 8.4.0"),
        ({"redis_version": None}, CheckName.REDIS_VERSION, "not checked", "not visible"),
        ({"cluster_enabled": 1}, CheckName.REDIS_LAYOUT, "failed", "is a cluster"),
        ({"redis_mode": "cluster"}, CheckName.REDIS_LAYOUT, "failed", "is a cluster"),
        ({"redis_mode": "sentinel"}, CheckName.REDIS_LAYOUT, "failed", "Sentinel"),
        ({"maxmemory_policy": "volatile-ttl"}, CheckName.REDIS_EVICTION, "failed", "volatile-ttl"),
        ({"maxmemory_policy": None}, CheckName.REDIS_EVICTION, "not checked", "not visible"),
        ({"aof_enabled": 0}, CheckName.REDIS_PERSISTENCE, "failed", "appendonly no"),
        ({"aof_last_write_status": "err"}, CheckName.REDIS_PERSISTENCE, "failed", "last write"),
        ({"aof_enabled": None}, CheckName.REDIS_PERSISTENCE, "not checked", "not visible"),
        ({}, CheckName.REDIS_PERSISTENCE, "ok", "appendfsync is not visible"),
    ],
)
def test_each_demand_is_judged_by_what_redis_says(
    changes: dict[str, Any], name: CheckName, verdict: str, seen: str
) -> None:
    """Each demand is judged by what Redis says of it, and by nothing else."""
    info = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    checks = {check.name: check for check in judge_info(info)}

    assert verdict == checks[name].verdict
    assert seen in checks[name].seen
    assert (verdict == "ok") == (checks[name].hint is None)
    assert verdicts(checks).keys() <= {name}


@pytest.mark.parametrize(
    ("folder", "socket", "verdict"),
    [
        (0o755, 0o777, "warning"),
        (0o755, 0o700, "ok"),
        (0o700, 0o777, "ok"),
        (0o755, None, "warning"),
    ],
)
def test_who_can_reach_it(tmp_path: Path, folder: int, socket: int | None, verdict: str) -> None:
    """A Redis without the patch passes where nobody but this user can open its socket."""
    path = tmp_path / "state" / "redis.sock"
    path.parent.mkdir()
    path.parent.chmod(folder)
    if socket is not None:
        path.touch()
        path.chmod(socket)
    version, *_ = judge_info({**GOOD, "redis_version": "6.2.14"}, socket=str(path))

    assert verdict == version.verdict
    assert ("nobody else can reach it" in version.seen) == (verdict == "ok")


@awaited
async def test_a_redis_that_keeps_nothing(redis_url: str) -> None:
    """Without persistence the check fails, and a worker would still take it."""
    redis = connect(redis_url)
    await reach(redis, "redis://x")
    await redis.aclose(close_connection_pool=True)

    assert {CheckName.REDIS_PERSISTENCE: CheckVerdict.FAILED} == verdicts(await checked(redis_url))


@awaited
async def test_a_redis_that_hides_itself_may_be_worked_with(
    server: EmbeddedRedis, admin: Any
) -> None:
    """Who may not ask is told that nothing is visible, and may work all the same."""
    url = as_user(server.url, admin, "~*", "+@all", "-info", "-config")
    redis = connect(url)
    await reach(redis, "redis://x")
    await redis.aclose(close_connection_pool=True)
    checks = await checked(url)

    assert {CheckVerdict.NOT_CHECKED} == set(verdicts(checks).values())
    assert 4 == len(verdicts(checks))


@pytest.mark.parametrize(
    ("rules", "refused", "hint"),
    [
        (("~*", "+@all", "-hincrby", "-evalsha"), "EVALSHA, HINCRBY: ", "allow the user"),
        (
            ("~bulkrsvp:*", "+@all"),
            "DEL, EVAL, EVALSHA, EXISTS, INCRBY, PEXPIRE, PSETEX: ",
            "arq:*",
        ),
    ],
)
@awaited
async def test_commands_that_are_forbidden(
    server: EmbeddedRedis, admin: Any, rules: tuple[str, ...], refused: str, hint: str
) -> None:
    """The commands and keys that are forbidden are named."""
    found = (await checked(as_user(server.url, admin, *rules)))[CheckName.REDIS_COMMANDS]

    assert CheckVerdict.FAILED is found.verdict
    assert found.seen.startswith(refused)
    assert hint in (found.hint or "")


@awaited
async def test_a_replica_is_reported_as_one(server: EmbeddedRedis, admin: Any) -> None:
    """A replica is told as one, whether its primary lives or not."""
    admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    found = (await checked(server.url))[CheckName.REDIS_COMMANDS]

    assert CheckVerdict.FAILED is found.verdict
    assert "primary" in (found.hint or "")


@awaited
async def test_without_an_answer_nothing_else_is_checked(tmp_path: Path) -> None:
    """Of a Redis that is not there all is not checked, after the one failure."""
    checks = await checked(f"unix://{tmp_path}/nobody.sock?db=0")

    assert CheckVerdict.FAILED is checks.pop(CheckName.REDIS).verdict
    assert {CheckVerdict.NOT_CHECKED} == {check.verdict for check in checks.values()}
    assert 5 == len(checks)


def test_the_commands_are_enough(
    server: EmbeddedRedis, admin: Any, sandbox: SandboxClient, tmp_path: Path
) -> None:
    """A user who may send these commands only, to these keys only, can have all work done."""
    commands = [f"+{command.lower()}" for command in (*COMMANDS, *ALONE)]
    url = as_user(server.url, admin, "~bulkrsvp:*", "~arq:*", *commands)
    program = Program({**sandbox.environment, "REDIS_URL": url}, tmp_path)
    sandbox.options(busy_times=1, retry_after="0.1")
    rows = [
        {"user": "a@contoso.com", "event": "e1", "action": "decline"},
        {"user": "busy@contoso.com", "event": "e2", "action": "decline"},
        {"user": "denied@contoso.com", "event": "e3", "action": "decline"},
    ]
    batch = program.submit([*rows, {"user": "b@contoso.com", "events": {}, "action": "decline"}])
    worker = program.burst()

    assert {"sent": 2, "failed": 1, "skipped": 1} == program.status(batch)["outcomes"]
    assert [] == worker.events("redis.away")
    assert "queued 1" in program("retry", batch).err


@awaited
async def test_what_cannot_work_is_refused(server: EmbeddedRedis, admin: Any) -> None:
    """A worker is told by the same rules: what the check fails for eviction it does not take."""
    admin.config_set("maxmemory-policy", "allkeys-lru")
    found = (await checked(server.url))[CheckName.REDIS_EVICTION]
    redis = connect(server.url)
    with pytest.raises(LedgerUnreachable) as refused:
        await reach(redis, "redis://x")
    await redis.aclose(close_connection_pool=True)

    assert f"Redis at redis://x: {found.seen}; {found.hint}" == str(refused.value)
