"""The users of Redis that the pages describe: what they may do is enough, and no more."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from redis.exceptions import NoPermissionError

from jobs.check import CheckName, CheckVerdict
from jobs.ledger import keys
from jobs.redis.connection import connect
from jobs.redis.requirements import ADMINISTRATORS, COMMANDS, WORKERS, check_redis
from tests.support.awaited import awaited
from tests.support.chaos.scenario import rows_of
from tests.support.docs.pages import Pages
from tests.support.program import Program
from tests.support.redis.own_redis import OwnRedis
from tests.support.waiting import PATIENCE_S
from worker.commands import main
from worker.process.children import child_environment

LINES = re.findall(r"^ACL SETUSER .*$", Pages.load().text, re.MULTILINE)
WORKER, ADMINISTRATOR, WATCHER = LINES
PASSWORD = "never-used-elsewhere"
SELDOM = {"ping", "select", "psetex", "pexpire", "get", "scan", "del", "discard", "config"}
SELDOM |= {"hscan", "sismember"}
"""After a pause, for a database but the first, for slices beyond the first, for slices that last,
for `check`, for two who submit the same at once, after a restart; for a mailbox with thousands of
rows, for a retry of what was not logged yet."""
ALONE = {"ping", "info", "select", "multi", "exec", "discard"}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Run a Redis with the users that the pages describe."""
    server = OwnRedis(tmp_path / "own")
    server.start()
    for line in LINES:
        server.client.execute_command(line.replace("PASSWORD", PASSWORD))
    yield server
    server.close()


def url_of(redis: OwnRedis, line: str) -> str:
    """Give the address with which a user logs in."""
    return redis.url.replace("?", f"?username={line.split()[2]}&password={PASSWORD}&")


def allowed(*lines: str) -> set[str]:
    """List the commands that such users may run."""
    return {command for line in lines for command in re.findall(r" \+(\w+)", line)}


def used(redis: OwnRedis) -> set[str]:
    """List the commands that were run since it was asked before."""
    stats = redis.client.info("commandstats")
    redis.client.config_resetstat()
    ours = {"info", "config", "acl", "auth"}  # the test's own, and what is never denied
    return {name.removeprefix("cmdstat_") for name in stats} - ours | {"info"}


def ask(program: Program, redis: OwnRedis, line: str, *arguments: str) -> Result:
    """Run a command as one of the users, without a process for it."""
    environment = program.environment | {"REDIS_URL": url_of(redis, line)}
    return CliRunner().invoke(main, arguments, env=child_environment(environment))


def test_the_described_users_have_all_rights_they_need_and_no_more(
    program: Program, own_redis: OwnRedis
) -> None:
    """Whole batches go through under the described users; nothing is denied, nothing is spare."""
    as_administrator = {"REDIS_URL": url_of(own_redis, ADMINISTRATOR)}
    desk = Program(program.environment | as_administrator, program.folder)
    program.environment["REDIS_URL"] = url_of(own_redis, WORKER)
    lost = [{"user": "unlicensed@contoso.com", "event": "e", "action": "decline"}]
    busy = [{"user": "busy@contoso.com", "event": "e", "action": "decline"}]
    own_redis.client.zadd(keys.BATCHES, {"forgotten": 1})  # as after 30 days
    own_redis.client.config_resetstat()

    batch = desk.submit(rows_of(60, 12) + lost + busy)
    late = desk.submit(rows_of(3, 3), "--at", "2100-01-01T00:00Z")
    plan = desk.ask("offboard", "ada@contoso.com", "--plan")
    for command in ("pause", "resume"):
        desk.ask(command, batch)
    desk.ask("cancel", late)
    ran = {ADMINISTRATOR: used(own_redis)}
    program.burst()
    ran[WORKER] = used(own_redis)
    for arguments in (["status"], ["status", batch], ["results", batch], ["apply", plan]):
        desk.ask(*arguments)
    desk.ask("retry", batch, "--reason", "mailbox_unavailable")
    ran[ADMINISTRATOR] |= used(own_redis)
    worker = program.burst()
    ran[WORKER] |= used(own_redis)
    own_redis.client.set(keys.worker("w"), "{}", ex=PATIENCE_S)  # as one that lives
    used(own_redis)
    told = [ask(program, own_redis, WATCHER, *each) for each in asking(batch)]
    ran[WATCHER] = used(own_redis)

    assert [] == own_redis.client.acl_log()
    assert [] == worker.events("redis.away")
    assert [(0, True)] * len(told) == [(each.exit_code, bool(each.stdout)) for each in told]
    for line in LINES:
        assert ran[line] <= allowed(line)
        assert allowed(line) - ran[line] <= SELDOM


def asking(batch: str) -> list[list[str]]:
    """List the commands that only ask."""
    return [["status"], ["status", batch, "--json"], ["results", batch], ["check", "--worker"]]


def changing(file: str) -> list[list[str]]:
    """List the commands that do more, each as it could be meant."""
    flags = [[act, "b"] for act in ("apply", "retry", "pause", "resume", "cancel")]
    rows = [["submit", file], ["run", file], ["offboard", "ada@contoso.com"]]
    return [*rows, *flags, ["resume", "--graph"], ["worker"]]


def test_who_watches_changes_nothing(program: Program, own_redis: OwnRedis) -> None:
    """Every other command says at once that the user may not, and all stays as it was."""
    file = str(program.folder / program.write("rows.jsonl", rows_of(1, 1)))
    queued = ask(program, own_redis, ADMINISTRATOR, "submit", file, "--batch", "b")
    own_redis.client.set(keys.GRAPH, "1")
    before = stored(own_redis)
    refused = [ask(program, own_redis, WATCHER, *each) for each in changing(file)]

    assert (0, before) == (queued.exit_code, stored(own_redis))
    assert [4] * 10 == [each.exit_code for each in refused]
    for told in (each.stderr for each in refused):
        assert "forbids this user a command or a key" in told
        assert "the rights that deploy/redis.md lists under Users" in told
        assert PASSWORD not in told


def stored(redis: OwnRedis) -> dict[bytes, bytes]:
    """Return all that a Redis holds."""
    return {key: redis.client.dump(key) for key in redis.client.keys("*")}


@pytest.mark.parametrize(("line", "others"), [(WORKER, ADMINISTRATORS), (ADMINISTRATOR, WORKERS)])
@awaited
async def test_the_check_knows_them(own_redis: OwnRedis, line: str, others: frozenset[str]) -> None:
    """The pages list what the check looks for, and each of the users passes it."""
    asked = {"config"} if line is WORKER else set[str]()  # whoever may not does without
    assert allowed(line) - asked == {name.lower() for name in COMMANDS.keys() - others} | ALONE
    redis = connect(url_of(own_redis, line))
    checks = {each.name: each for each in await check_redis(redis, "redis://x")}
    await redis.aclose(close_connection_pool=True)
    assert CheckVerdict.OK is checks[CheckName.REDIS_COMMANDS].verdict


@pytest.mark.parametrize(
    ("line", "missing", "told"),
    [
        (ADMINISTRATOR, "hgetall", "'hgetall'"),
        (ADMINISTRATOR, "rename", "command"),  # a script's, which Redis 6 does not name
        (WORKER, "set", "'set'"),
    ],
)
def test_a_command_that_lacks_a_right_says_so(
    program: Program, own_redis: OwnRedis, line: str, missing: str, told: str
) -> None:
    """A command that lacks a right says so, and leaves nothing half done."""
    own_redis.client.execute_command(f"ACL SETUSER {line.split()[2]} -{missing}")
    program.environment["REDIS_URL"] = url_of(own_redis, line)
    row = '{"user": "ada@contoso.com", "event": "AAMk=", "action": "decline"}'
    command = ["worker"] if line == WORKER else ["submit", "-"]
    refused = program(*command, given=row)
    assert 4 == refused.code
    assert told in refused.err
    assert "the rights that deploy/redis.md lists under Users" in refused.err
    assert PASSWORD not in refused.err
    assert "Traceback" not in refused.err
    assert [] == own_redis.client.keys("bulkrsvp:batch*")


@pytest.mark.parametrize("line", LINES)
def test_a_user_reaches_the_keys_of_this_project_only(own_redis: OwnRedis, line: str) -> None:
    """Such a user reads and writes the keys of this project, and no others."""
    own_redis.client.set("foreign", "1")
    tried = (
        "GET foreign",
        "DEL foreign",
        "HSET foreign a b",
        "CONFIG SET save x",
        "KEYS *",
        "FLUSHALL",
    )
    with Redis.from_url(url_of(own_redis, line)) as user:
        for command in tried:
            with pytest.raises(NoPermissionError):
                user.execute_command(command)
