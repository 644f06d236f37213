"""
The real Redis, as a function: data and commands in, answers and data out.

Data are values here: they can be kept, compared and put back. A step that was carried out on the
same data before is not carried out again. The scripts are the product's, under a prelude that
gives them the schedule's time and Redis's identity; lives of keys are kept here, and end when the
schedule says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import NoScriptError, ResponseError

from jobs.ledger.script import Script
from tests.interleavings.model.actors import Told
from tests.interleavings.model.client import Command

FAR_MS: Final = 1_000_000_000_000
"""Added to the end of each key, so that none comes while the tests run."""

_PRELUDE: Final = """
local stage = redis
local function staged(run, name, section, ...)
  if name == "TIME" then
    local now = tonumber(stage.call("GET", "stage:now"))
    return {tostring(math.floor(now / 1000)), tostring(now % 1000 * 1000)}
  elseif name == "INFO" then
    return stage.call("GET", "stage:" .. section)
  end
  return run(name, section, ...)
end
local redis = setmetatable({
  call = function(...) return staged(stage.call, ...) end,
  pcall = function(...) return staged(stage.pcall, ...) end,
}, {__index = stage})
"""

_LOAD: Final = """
redis.call("FLUSHDB")
local at = 1
while at <= #ARGV do
  local key, kind, ends, size = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  local command = ({string = "SET", hash = "HSET", set = "SADD", zset = "ZADD"})[kind]
  redis.call(command, key, unpack(ARGV, at, at + size - 1))
  if ends ~= "" then
    redis.call("PEXPIREAT", key, ends)
  end
  at = at + size
end
"""

_DUMP: Final = """
local found = {}
for _, key in ipairs(redis.call("KEYS", "*")) do
  if string.sub(key, 1, 6) ~= "stage:" then
    local kind, value = redis.call("TYPE", key).ok, nil
    if kind == "string" then
      value = {redis.call("GET", key)}
    elseif kind == "hash" then
      value = redis.call("HGETALL", key)
    elseif kind == "set" then
      value = redis.call("SMEMBERS", key)
    else
      value = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
    end
    found[#found + 1] = {key, kind, redis.call("PTTL", key), value}
  end
end
return found
"""

CONFIG: Final = {b"append*": [b"appendonly", b"yes", b"appendfsync", b"everysec"]}

SCRIPTS: Final = tuple(
    sorted(
        each.name.removesuffix(".lua")
        for each in (files("jobs.ledger") / "lua").iterdir()
        if each.name != "common.lua"
    )
)


class Key(NamedTuple):
    """One key: its type, its end (ms, None for none), and its value in an order of its own."""

    name: bytes
    kind: bytes
    ends_ms: int | None
    value: tuple[bytes, ...]


class Identity(NamedTuple):
    """What `INFO` says of a server: the ids of its history, of the one before, and of its run."""

    history: str = "a" * 40
    before: str = "0" * 40
    run: str = "b" * 40

    def restarted(self) -> "Identity":
        """Return what it is after a server was started on older data."""
        return Identity(_next(self.history), "0" * 40, _next(self.run))

    def after_failover(self) -> "Identity":
        """Return what it is after a replica has taken over."""
        return Identity(_next(self.history), self.history, _next(self.run))


def _next(name: str) -> str:
    return f"{(int(name[0], 16) + 2) % 16:x}" * 40


class Data:
    """All that Redis holds at one moment; two of the same content are one object."""

    def __init__(self, keys: tuple[Key, ...], identity: Identity) -> None:
        self.keys = keys
        self.identity = identity
        self.number = 0

    @cached_property
    def by_name(self) -> Mapping[bytes, Key]:
        """The keys by their names."""
        return {key.name: key for key in self.keys}

    def fields(self, name: str) -> dict[bytes, bytes]:
        """Return a hash; empty if it is not there."""
        key = self.by_name.get(name.encode())
        return {} if key is None else dict(zip(key.value[::2], key.value[1::2], strict=True))

    def members(self, name: str) -> tuple[bytes, ...]:
        """Return a set, or members and scores in turn; empty if it is not there."""
        key = self.by_name.get(name.encode())
        return () if key is None else key.value

    def text(self, name: str) -> bytes | None:
        """Return a string; None if it is not there."""
        key = self.by_name.get(name.encode())
        return None if key is None else key.value[0]


class RealLedger:
    """A database of a real Redis, all of it ours."""

    def __init__(self, url: str) -> None:
        self._connection: Any = Redis.from_url(url).connection_pool.get_connection()
        self._known: dict[tuple[tuple[Key, ...], Identity], Data] = {}
        self._keys: dict[Key, Key] = {}
        self._done: dict[tuple[Data, tuple[Command, ...], int], tuple[Told, Data]] = {}
        self._staged: dict[bytes, bytes] = {}
        self.names: dict[bytes, str] = {}
        """The scripts' names by the digests under which the product runs them."""
        self._load = self._script(_LOAD)
        self._dump = self._script(_DUMP)
        for name in SCRIPTS:
            script = Script(None, name)  # type: ignore[arg-type]  # only to be read
            digest = script.digest.encode()
            self.names[digest] = name
            self._staged[digest] = self._script(_PRELUDE + script.source)
        self.carried_out = 0

    def close(self) -> None:
        """Drop the connection."""
        self._connection.disconnect()

    def data(self, keys: Iterable[Key] = (), identity: Identity = Identity()) -> Data:  # noqa: B008  # a value
        """Return data of this content."""
        content = tuple(sorted(self._keys.setdefault(key, key) for key in keys))
        found = self._known.get((content, identity))
        if found is None:
            found = self._known[content, identity] = Data(content, identity)
            found.number = len(self._known)
        return found

    def ended(self, data: Data, now_ms: int) -> Data:
        """Return what is left of data when the ends of keys have come."""
        left = [each for each in data.keys if each.ends_ms is None or each.ends_ms > now_ms]
        return data if len(left) == len(data.keys) else self.data(left, data.identity)

    def without(self, data: Data, *names: str) -> Data:
        """Return data without some keys."""
        gone = {name.encode() for name in names}
        return self.data((each for each in data.keys if each.name not in gone), data.identity)

    def carry_out(
        self, data: Data, commands: tuple[Command, ...], now_ms: int
    ) -> tuple[Told, Data]:
        """Carry out commands with nothing between; return their answers, and the data after."""
        known = self._done.get((data, commands, now_ms))
        if known is None:
            known = self._carry_out(data, commands, now_ms)
            self._done[data, commands, now_ms] = known
        return known

    def _carry_out(
        self, data: Data, commands: tuple[Command, ...], now_ms: int
    ) -> tuple[Told, Data]:
        self.carried_out += 1
        if (told := self._tell(commands[0], now_ms)) is not None:
            return Told.of([told]), data
        sent = [self._loading(data, now_ms)]
        sent += [self._staged_command(command) for command in commands]
        sent.append((b"EVALSHA", self._dump, b"0"))
        packed = [part for each in sent for part in self._connection.pack_command(*each)]
        self._connection.send_packed_command([b"".join(packed)])
        _, *answers, dumped = [self._read() for _ in sent]
        if isinstance(dumped, Exception):
            raise dumped
        return Told.of(answers), self._read_dump(dumped, data, now_ms)

    def _read(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error

    def _tell(self, command: Command, now_ms: int) -> Any:
        """Answer what only the machine of a Redis knows."""
        if command[0] == b"TIME":
            return [b"%d" % (now_ms // 1000), b"%d" % (now_ms % 1000 * 1000)]
        if command[:2] == (b"CONFIG", b"GET"):
            return CONFIG.get(command[2], [])
        return None

    def _staged_command(self, command: Command) -> Command:
        if command[0] != b"EVALSHA":
            return command
        digest = self._staged.get(command[1])
        if digest is None:
            raise NoScriptError(f"a script that is none of ours: {command[1]!r}")
        return (command[0], digest, *command[2:])

    def _loading(self, data: Data, now_ms: int) -> tuple[Any, ...]:
        identity = data.identity
        replication = f"master_replid:{identity.history}\r\nmaster_replid2:{identity.before}\r\n"
        loaded: list[Any] = [b"stage:now", b"string", b"", 1, now_ms]
        loaded += [b"stage:replication", b"string", b"", 1, replication]
        loaded += [b"stage:server", b"string", b"", 1, f"run_id:{identity.run}\r\n"]
        for name, kind, ends_ms, value in data.keys:
            given: Sequence[bytes] = value
            if kind == b"zset":  # scores come first where they are set
                given = [
                    each for pair in zip(value[1::2], value[::2], strict=True) for each in pair
                ]
            ends = b"" if ends_ms is None else ends_ms + FAR_MS
            loaded += [name, kind, ends, len(given), *given]
        return (b"EVALSHA", self._load, b"0", *loaded)

    def _read_dump(self, dumped: list[Any], before: Data, now_ms: int) -> Data:
        keys = []
        for name, kind, lasts_ms, value in dumped:
            ends_ms: int | None = None
            if lasts_ms > FAR_MS // 2:
                known = before.by_name.get(name)
                ends_ms = known.ends_ms if known is not None else None
            elif lasts_ms >= 0:  # rounded up: a moment of the machine's own time has passed
                ends_ms = now_ms + -(-lasts_ms // 50) * 50
            keys.append(Key(name, kind, ends_ms, _ordered(kind, value)))
        return self.data(keys, before.identity)

    def _script(self, source: str) -> bytes:
        self._connection.send_command("SCRIPT", "LOAD", source)
        digest: bytes = self._connection.read_response()
        return digest


def _ordered(kind: bytes, value: list[bytes]) -> tuple[bytes, ...]:
    if kind == b"hash":
        pairs = sorted(zip(value[::2], value[1::2], strict=True))
        return tuple(each for pair in pairs for each in pair)
    return tuple(sorted(value) if kind == b"set" else value)
