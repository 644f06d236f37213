"""
What Redis must be for the promise to be kept: one list, for every part that checks it.

A worker and the commands refuse what cannot work (`REFUSED`); `bulkrsvp check` reports all of it.
What a managed service hides is reported as not visible, and is not a failure.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from config.errors import BulkrsvpError
from jobs.check import Check, CheckName
from jobs.ledger import keys
from jobs.quoting import refusal
from jobs.redis.version import judge_version

REFUSED: Final = frozenset(
    {CheckName.REDIS_VERSION, CheckName.REDIS_LAYOUT, CheckName.REDIS_EVICTION}
)
"""Without these nothing works, or a mark may vanish at any time; so nothing is started."""

_OF_REDIS: Final = (
    CheckName.REDIS_VERSION,
    CheckName.REDIS_LAYOUT,
    CheckName.REDIS_EVICTION,
    CheckName.REDIS_PERSISTENCE,
    CheckName.REDIS_COMMANDS,
)
_TYPED: Final = """
DEL K A
EVAL return 2 K A
EVALSHA 0000000000000000000000000000000000000000 2 K A
EXISTS K A
EXPIRE K 1
GET K
HDEL K f
HGET K f
HGETALL K
HINCRBY K f 1
HLEN K
HMGET K f
HSCAN K 0
HSET K f 1
HSETNX K f 1
HSTRLEN K f
INCRBY A 1
PERSIST K
PEXPIRE A 1
PSETEX A 1 1
PTTL K
RENAME K K
SADD K m
SCAN 0
SCARD K
SET K 1
SISMEMBER K m
SMEMBERS K
SREM K m
TIME
UNLINK K
ZADD K 1 m
ZCOUNT K 0 1
ZMSCORE K m
ZRANGEBYSCORE K 0 1
ZREM K m
ZREMRANGEBYSCORE K 0 1
ZREVRANGE K 0 1
ZSCORE K m
"""
COMMANDS: Final = {line.split()[0]: line.split()[1:] for line in _TYPED.split("\n") if line}
"""
What the ledger, its scripts and arq send, well formed; K is a key of the ledger, A one of arq's.

They also need WATCH, UNWATCH, MULTI and EXEC, which always go together, and PING.
"""

WORKERS: Final = frozenset(
    [
        "HSETNX",
        "HSTRLEN",
        "INCRBY",
        "PEXPIRE",
        "PTTL",
        "SREM",
        "TIME",
        "ZRANGEBYSCORE",
        "ZREMRANGEBYSCORE",
        "ZSCORE",
    ]
)
ADMINISTRATORS: Final = frozenset(
    ["PERSIST", "RENAME", "SISMEMBER", "UNLINK", "ZCOUNT", "ZREVRANGE"]
)
"""Commands that only a worker sends, and those that only the other commands send; `run` both."""

_LOGIN: Final = (
    "correct its user and password; with credentials=entra, let the identity in at that Redis"
)
_NO_CLUSTER: Final = (
    "use one Redis, not a cluster: the scripts touch several keys at once; replicas and Sentinel"
    " are welcome, and in Azure Managed Redis the clustering policy NoCluster"
)
_CLUSTERED: Final = ("CROSSSLOT", "cluster mode")
_FORBIDDEN_IN_SCRIPT: Final = "The user executing the script can't"
"""How Redis 6 refuses a command inside a script; later versions name the command."""


def why_unreachable(error: Exception, shown_url: str) -> Check:
    """Return why Redis did not answer, and what to do."""
    # redis-py hides the refusal of a password behind its own ConnectionError.
    if isinstance(error, AuthenticationError) or isinstance(error.__cause__, AuthenticationError):
        seen = f"Redis at {shown_url} refuses the credentials in REDIS_URL ({refusal(error)})"
        return Check.failed(CheckName.REDIS, seen, _LOGIN)
    if isinstance(error.__cause__, BulkrsvpError):
        seen = f"cannot log in to Redis at {shown_url}"
        return Check.failed(CheckName.REDIS, seen, str(error.__cause__))
    what = refusal(error)
    if is_forbidden(error):
        seen = f"Redis at {shown_url} forbids this user a command or a key ({what})"
        hint = "log in as a user who has the rights that deploy/redis.md lists under Users"
    elif isinstance(error, ResponseError) and any(word in what for word in _CLUSTERED):
        seen, hint = f"Redis at {shown_url} is a cluster ({what})", _NO_CLUSTER
    elif isinstance(error, MasterNotFoundError):
        seen = f"no Sentinel at {shown_url} knows a primary of that name that is up ({what})"
        hint = "start them, or set REDIS_URL to where they are, and to the name they use"
    elif "CERTIFICATE_VERIFY_FAILED" in what:
        seen = f"cannot trust Redis at {shown_url} ({what})"
        hint = "set SSL_CERT_FILE to the authorities to trust, and use the certificate's name"
    else:
        seen = f"cannot reach Redis at {shown_url} ({what})"
        hint = "start it, or set REDIS_URL to where it is"
    return Check.failed(CheckName.REDIS, seen, hint)


def is_forbidden(error: Exception) -> bool:
    """Whether Redis refused a command because of this user's rights."""
    return isinstance(error, NoPermissionError) or _FORBIDDEN_IN_SCRIPT in str(error)


async def read_info(redis: ArqRedis) -> Mapping[str, Any]:
    """Return what INFO says, or nothing where this user may not ask. Raises redis-py's errors."""
    try:
        found: dict[str, Any] = await redis.info()
    except ResponseError:
        return {}
    return found


def judge_info(
    info: Mapping[str, Any], appendfsync: str | None = None, socket: str | None = None
) -> list[Check]:
    """
    Judge what Redis says about itself (Redis: INFO).

    `appendfsync` is None where it is hidden, `socket` where Redis is not reached through one.
    """
    return [
        judge_version(info, socket),
        _judge_layout(info),
        _judge_eviction(info),
        _judge_persistence(info, appendfsync),
    ]


def _judge_layout(info: Mapping[str, Any]) -> Check:
    name = CheckName.REDIS_LAYOUT
    mode, cluster = info.get("redis_mode"), info.get("cluster_enabled")
    if mode is None and cluster is None:
        return Check.left_out(name, "not visible", "see that it is one Redis, and not a cluster")
    if cluster or mode == "cluster":
        return Check.failed(name, "is a cluster", _NO_CLUSTER)
    if mode == "sentinel":
        hint = "write redis+sentinel:// with the name of the primary, or name the Redis itself"
        return Check.failed(name, "is a Sentinel, which holds no data", hint)
    return Check.passed(name, "one Redis, no cluster")


def _judge_eviction(info: Mapping[str, Any]) -> Check:
    name = CheckName.REDIS_EVICTION
    policy = info.get("maxmemory_policy")
    if policy is None:
        return Check.left_out(name, "not visible", "see that maxmemory-policy is noeviction")
    if policy == "noeviction":
        return Check.passed(name, f"maxmemory-policy {policy}")
    seen = (
        f"may evict what it holds (maxmemory-policy {policy}), and with it the marks that keep a"
        " response from being sent twice"
    )
    return Check.failed(name, seen, "set it to noeviction")


def _judge_persistence(info: Mapping[str, Any], appendfsync: str | None) -> Check:
    name = CheckName.REDIS_PERSISTENCE
    enabled = info.get("aof_enabled")
    if enabled is None:
        hint = "see that nothing is lost when it is restarted"
        return Check.left_out(name, "not visible", hint)
    if not enabled:
        hint = "set appendonly yes: a restart would lose what is queued, and what it has sent"
        return Check.failed(name, "appendonly no", hint)
    if info.get("aof_last_write_status", "ok") != "ok":
        hint = "give its disk room: until then Redis takes no writes"
        return Check.failed(name, "appendonly yes, but the last write to the disk failed", hint)
    sync = f"appendfsync {appendfsync}" if appendfsync else "appendfsync is not visible"
    return Check.passed(name, f"appendonly yes, {sync}")


async def check_redis(redis: ArqRedis, shown_url: str) -> list[Check]:
    """Check all that Redis must be; nothing is written. Raises none of redis-py's errors."""
    try:
        await redis.ping()
        info = await read_info(redis)
        appendfsync = await _read_appendfsync(redis)
        rights = _judge_commands(await _refused_commands(redis))
    except (RedisError, OSError) as error:
        left_out = (Check.left_out(name, "Redis did not answer") for name in _OF_REDIS)
        return [why_unreachable(error, shown_url), *left_out]
    reached = Check.passed(CheckName.REDIS, f"{shown_url} answers")
    socket = redis.connection_pool.connection_kwargs.get("path")
    return [reached, *judge_info(info, appendfsync, socket), rights]


async def _read_appendfsync(redis: ArqRedis) -> str | None:
    """Return how often Redis writes to the disk; None where a managed service forbids asking."""
    with suppress(ResponseError):
        found: dict[str, str] = await redis.config_get("appendfsync")
        return found.get("appendfsync")
    return None


async def _refused_commands(redis: ArqRedis) -> dict[str, ResponseError]:
    """
    Return the commands that this user may not send, each with the error.

    In a transaction Redis checks each command as it comes; this one is discarded, so nothing is
    carried out (Redis: transactions, ACL).
    """
    ours, arqs = f"{keys.PREFIX}check:{uuid4().hex}", f"{job_key_prefix}{uuid4().hex}"
    refused: dict[str, ResponseError] = {}
    alone: Any  # redis-py leaves its commands untyped
    async with redis.client() as alone:
        # The answer is QUEUED here, whatever the command; redis-py would want to understand it.
        alone.response_callbacks.clear()
        await alone.execute_command("MULTI")
        for command, typed in COMMANDS.items():
            arguments = [{"K": ours, "A": arqs}.get(part, part) for part in typed]
            try:
                await alone.execute_command(command, *arguments)
            except ResponseError as error:
                refused[command] = error
        await alone.execute_command("DISCARD")
    return refused


def _judge_commands(refused: Mapping[str, ResponseError]) -> Check:
    name = CheckName.REDIS_COMMANDS
    if not refused:
        return Check.passed(name, f"all {len(COMMANDS)} that are needed are allowed")
    for who, others in (("a worker", ADMINISTRATORS), ("who submits and asks", WORKERS)):
        if refused.keys() <= others and all(map(is_forbidden, refused.values())):
            spare = f"not {', '.join(refused)}, which only others need"
            return Check.passed(name, f"all that {who} needs is allowed; {spare}")
    error = next(iter(refused.values()))
    seen = f"{', '.join(refused)}: {refusal(error)}"
    match error:
        case ReadOnlyError():
            hint = "set REDIS_URL to the primary: this is a replica"
        case OutOfMemoryError():
            hint = "give it memory: until then it takes no writes"
        case ClusterCrossSlotError() | AskError():  # also behind a proxy that hides the cluster
            hint = _NO_CLUSTER
        case _:
            hint = "allow the user in REDIS_URL these commands, on the keys bulkrsvp:* and arq:*"
    return Check.failed(name, seen, hint)
