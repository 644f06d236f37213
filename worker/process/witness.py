"""
The witness beside the data of `run`: which ledger a folder holds, and how far it was written.

A server that comes up without that ledger, or with an older state of it, would send again what was
sent. It is refused before anything is written, and the folder is left as it was. The witness does
not know how servers are started, nor what a batch is.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis
from redis.exceptions import RedisError

from config.errors import LedgerUnreachable
from jobs.ledger import keys
from jobs.ledger.foreign import WRITTEN_BY_OTHERS
from jobs.storable import stored_number
from jobs.times import now_ms, write_local
from worker.process.data_files import FOLDER, MADE, SNAPSHOT, DataFiles, replace_file

FILE: Final = "bulkrsvp-ledger.json"
FORM: Final = 1
RENEW_S: Final = 0.25

_WITHOUT_FOLDER: Final = "Redis 6."
_SOCKET_TIMEOUT_S: Final = 10.0


class _Form(BaseModel):
    form: int


class Testimony(BaseModel):
    """
    What is in the file.

    `renewals` counts how often the file was renewed; the data count it too, and first, so that
    they are never behind the file unless something of them is missing.
    """

    model_config = ConfigDict(frozen=True)

    form: int = FORM
    ledger: str
    server: str
    renewals: int
    renewed_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a server that has come up shows of itself and of its data."""

    server: str
    names: frozenset[str]
    reads: str
    ledger: str | None
    renewals: int
    empty: bool


class Witness:
    """
    The witness in a folder of its own, before a server is started there.

    Making one raises `LedgerUnreachable` if its file is damaged or of a newer form.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._path = state / FILE
        self._known = _read(self._path)
        with _explained(state):
            self._files = DataFiles(state)
        self._made = MADE
        self._accepted = False

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """
        Leave the folder as it was if a server in this block does not come up, or is refused.

        The server must have ended when the block is left by an error. Raises `LedgerUnreachable`
        if already the files show that no server can read them.
        """
        if self._files.without_manifest:
            raise LedgerUnreachable(self._broken())
        with _explained(self._state):
            self._files.keep()
        try:
            yield
        except BaseException:
            if not self._accepted:
                with _explained(self._state):
                    self._files.put_back(self._made)
            raise

    def keep_copies(self) -> None:
        """Keep the data whole while a server repairs their end. Raises `LedgerUnreachable`."""
        with _explained(self._state):
            self._files.put_back(self._made)
            self._files.keep(whole=True)

    @property
    def hint(self) -> str:
        """Which server wrote the data, for a message about one that could not read them."""
        if self._known is None:
            return ""
        return (
            f"; the data were last written by {self._known.server}: put that one, or a later one,"
            " first on the PATH"
        )

    @contextmanager
    def testifying(self, url: str) -> Iterator[None]:
        """
        Make sure that the server has the ledger, and renew the file while the block lasts.

        Raises `LedgerUnreachable` with what happened and what to do.
        """
        redis: Any
        with Redis.from_url(url, socket_timeout=_SOCKET_TIMEOUT_S) as redis:
            with _explained(self._state):
                seen = _look(redis)
                self._made = seen.names
                self._judge(seen)
                self._accepted = True
                self._files.drop()
                redis.hsetnx(keys.LEDGER, "id", uuid4().hex)
                ledger = redis.hget(keys.LEDGER, "id").decode()
                self._renew(redis, ledger, seen.server)
            with self._renewing(redis, ledger, seen.server):
                yield

    def _judge(self, seen: _Seen) -> None:
        unread = self._files.holding() - {seen.reads, SNAPSHOT}
        known = self._known
        if seen.ledger is None and (unread or (self._files.held and seen.empty)):
            raise LedgerUnreachable(self._unread(seen, unread or self._files.held))
        if known is not None and seen.ledger != known.ledger:
            raise LedgerUnreachable(self._missing(seen, known))
        if known is not None and seen.renewals < known.renewals:
            raise LedgerUnreachable(self._older(known))
        if unread:
            raise LedgerUnreachable(self._two(seen, unread))

    def _broken(self) -> str:
        return (
            f"{self._state / FOLDER} holds data, but its .manifest, which lists them, is gone, and"
            " a server would begin anew: nothing was sent. Put the whole folder back"
        )

    def _unread(self, seen: _Seen, held: frozenset[str]) -> str:
        by = self._known.server if self._known is not None else "another server"
        if FOLDER in held and (self._known is None or by.startswith(_WITHOUT_FOLDER)):
            by = "Redis 7.0 or later, or Valkey"
        names = " and ".join(sorted(held))
        return (
            f"{seen.server} finds nothing in {self._state}, but {names} there holds data: nothing"
            f" was sent, and the folder is as it was. Put the server that wrote them ({by}) first"
            " on the PATH, or put back what is missing. With another --state all would be sent"
            " again"
        )

    def _missing(self, seen: _Seen, known: Testimony) -> str:
        found = "finds no data" if seen.empty else "finds the data of another ledger"
        return (
            f"{self._path} tells of a ledger, last written by {known.server} on"
            f" {write_local(known.renewed_at_ms)}, but {seen.server} {found} there: nothing was"
            " sent, and the folder is as it was. Put the data back, or that server first on the"
            " PATH. With another --state all would be sent again"
        )

    def _older(self, known: Testimony) -> str:
        return (
            f"the data in {self._state} are older than {self._path.name} says: they were written"
            f" until {write_local(known.renewed_at_ms)}, and their end is missing. Nothing was"
            " sent, and the folder is as it was. Put the latest data back: without them, what was"
            " sent since would be sent again"
        )

    def _two(self, seen: _Seen, unread: frozenset[str]) -> str:
        names = " and ".join(sorted(unread))
        return (
            f"{self._state} holds data of two servers: {seen.server} reads {seen.reads}, and not"
            f" {names}. Nothing was sent, and the folder is as it was. Move {names} out of it if"
            " nothing was sent from there that the other does not know: it would be sent again"
        )

    @contextmanager
    def _renewing(self, redis: Any, ledger: str, server: str) -> Iterator[None]:
        """Renew the file several times a second, and once more at the end."""
        over = Event()

        def renew() -> None:
            # A file that lags behind only sees less; the worker logs that Redis is away.
            with suppress(RedisError, OSError):
                self._renew(redis, ledger, server)

        def renew_until_over() -> None:
            while not over.wait(RENEW_S):
                renew()

        thread = Thread(target=renew_until_over, name="witness", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            renew()

    def _renew(self, redis: Any, ledger: str, server: str) -> None:
        """Count in the data, then in the file: killed in between, the data are ahead."""
        renewals = redis.hincrby(keys.LEDGER, "renewals", 1)
        testimony = Testimony(
            ledger=ledger, server=server, renewals=renewals, renewed_at_ms=now_ms()
        )
        replace_file(self._path, testimony.model_dump_json().encode() + b"\n")


def _read(path: Path) -> Testimony | None:
    with _explained(path.parent):
        raw = path.read_bytes() if path.exists() else None
    if raw is None:
        return None
    try:
        if _Form.model_validate_json(raw).form > FORM:
            raise LedgerUnreachable(
                f"{path} was written by a newer version of bulkrsvp; use that one here"
            )
        return Testimony.model_validate_json(raw)
    except ValidationError as error:
        raise LedgerUnreachable(
            f"{path} is damaged, so nobody can tell whether the data beside it are whole: put it"
            " back; or, if you know that they are, remove it"
        ) from error


@contextmanager
def _explained(state: Path) -> Iterator[None]:
    """Turn errors of the folder or of its server into `LedgerUnreachable`."""
    try:
        yield
    except OSError as error:
        where = error.filename or state
        raise LedgerUnreachable(f"cannot use {where}: {error.strerror or error}") from error
    except RedisError as error:
        raise LedgerUnreachable(
            f"redis-server in {state} does not do what it must ({error}); see that its disk is"
            " neither full nor read-only"
        ) from error


def _look(redis: Any) -> _Seen:
    server, names = redis.info("server"), redis.config_get("append*")
    valkey = server.get("valkey_version")
    one_file = names["appendfilename"]
    folder = names.get("appenddirname")  # Redis 7.0
    ledger, renewals = redis.hmget(keys.LEDGER, "id", "renewals")
    return _Seen(
        server=f"Valkey {valkey}" if valkey else f"Redis {server['redis_version']}",
        names=frozenset({one_file, folder} - {None}),
        reads=folder or one_file,
        ledger=ledger and ledger.decode(),
        renewals=_renewals(renewals),
        empty=redis.dbsize() == 0,
    )


def _renewals(stored: bytes | None) -> int:
    try:
        return stored_number(stored or b"0")
    except ValueError as error:
        raise LedgerUnreachable(
            f"{keys.LEDGER} is not as it was stored (its renewals: {error}), so nobody can tell"
            f" whether these data are whole: {WRITTEN_BY_OTHERS}"
        ) from error
