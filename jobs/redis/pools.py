"""
Pools of connections to Redis: one server, over TLS, or whichever Sentinel calls the primary.

They retry nothing by themselves. Certificates and host names are verified, unless the address
turns off the check of host names.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import (
    Connection,
    RedisSSLContext,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.connection import HiredisRespSerializer
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as NotConnected

from config.errors import BulkrsvpError
from config.redis_address import is_sentinel, read_sentinel_address

Login = Callable[[], Awaitable[tuple[str, str]]]
"""Returns the current user and password; called before each command."""

ANSWER_LIMIT_S: Final = 5.0
CONNECTIONS: Final = 64

_PATIENCE: Final[dict[str, Any]] = {
    "socket_timeout": ANSWER_LIMIT_S,
    "socket_connect_timeout": ANSWER_LIMIT_S,
    "health_check_interval": 15,
    "lib_name": None,  # what is not sent when connecting needs no permission
    "lib_version": None,
}
_PACKER: Final = HiredisRespSerializer()
_LIMITS: Final[dict[str, Any]] = {"max_connections": CONNECTIONS, "timeout": ANSWER_LIMIT_S}


class PackedInC:
    """Commands packed by hiredis; redis-py does that too, but not in its asyncio client."""

    def pack_command(self, *command: Any) -> list[bytes]:
        """Return the command as it goes out. Raises redis-py's `DataError`."""
        packed: list[bytes] = _PACKER.pack(*command)
        return packed


class PlainConnection(PackedInC, Connection):
    """A connection without TLS."""


class UnixConnection(PackedInC, UnixDomainSocketConnection):
    """A connection over a socket in the file system."""


class TlsConnection(PackedInC, SSLConnection):
    """
    A connection over TLS that shares what it trusts with the others of its pool.

    Reading the authorities of a machine takes some 50 ms; for each of many connections after a
    restart of Redis, that is longer than a lease.
    """

    def __init__(self, *, trust: RedisSSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = trust


class PrimaryConnection(PackedInC, SentinelManagedConnection):
    """A connection to the primary, found by asking Sentinel each time it is made."""


class PrimaryTlsConnection(SentinelManagedConnection, TlsConnection):
    """The same over TLS."""


class PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary; with all of them taken, a caller waits, as in the other pools."""

    async def disconnect(
        self,
        inuse_connections: bool = True,  # noqa: FBT001, FBT002  # redis-py's own
    ) -> None:
        """Disconnect; from the Sentinels too, if connections in use are included."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose(close_connection_pool=True)


class PresentLogin(CredentialProvider):
    """A changing login, as redis-py asks for it; a login that fails is a failed connection."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return the current login. Raises redis-py's own error, with the cause."""
        try:
            return await self._login()
        except BulkrsvpError as error:
            raise NotConnected(str(error)) from error


class LoginConnection(TlsConnection):
    """A connection that can log in again, as its login changes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._said: tuple[str, ...] = ()

    async def on_connect(self) -> None:
        """Log in for the first time, as redis-py does."""
        self._said = await self._login_of_now()
        await super().on_connect()

    async def log_in_again(self) -> None:
        """Log in with the current login, unless it is the one used before."""
        if (now := await self._login_of_now()) == self._said:
            return
        await self.send_command("AUTH", *now, check_health=False)
        await self.read_response()
        self._said = now

    async def _login_of_now(self) -> tuple[str, ...]:
        assert self.credential_provider is not None  # noqa: S101  # the pool sees to it
        return await self.credential_provider.get_credentials_async()


class LoginPool(BlockingConnectionPool):
    """
    Connections that are each logged in with the current login before they are handed out.

    redis-py itself would log in again on idle connections, while others take them into use.
    """

    async def ensure_connection(self, connection: Any) -> None:
        """Connect, and log in again where the login has changed."""
        await super().ensure_connection(connection)
        await connection.log_in_again()


def open_pool(url: str, login: Login | None = None) -> ConnectionPool:
    """
    Return the connections to the Redis at a checked address; nothing is sent yet.

    `login` takes the place of the user and the password in the address.
    """
    if is_sentinel(url):
        return _primary_pool(url)
    options = _read(url)
    if login is None:
        return BlockingConnectionPool(**_LIMITS, **options)
    options["credential_provider"] = PresentLogin(login)
    return LoginPool(**_LIMITS, **{**options, "connection_class": LoginConnection})


def _primary_pool(url: str) -> ConnectionPool:
    address, query = read_sentinel_address(url), parse_qs(urlsplit(url).query)
    options = _read(address.primary_url)
    for own in ("host", "sentinel_username", "sentinel_password"):
        options.pop(own, None)
    tls = options.get("connection_class") is TlsConnection
    login = {name: query.get(f"sentinel_{name}", [None])[0] for name in ("username", "password")}
    kind = TlsConnection if tls else PlainConnection
    asked = {**options, "connection_class": kind, "db": 0, **login}
    manager = Sentinel([])  # type: ignore[no-untyped-call]
    manager.sentinels = [
        Redis.from_pool(ConnectionPool(**asked, host=host, port=port))
        for host, port in address.sentinels
    ]
    options["connection_class"] = PrimaryTlsConnection if tls else PrimaryConnection
    return PrimaryPool(address.name, manager, **_LIMITS, **options)  # type: ignore[no-untyped-call]


def _read(url: str) -> dict[str, Any]:
    """Read an address as redis-py does, and add the options that all connections share."""
    options: dict[str, Any] = {"connection_class": PlainConnection, **_PATIENCE, **parse_url(url)}
    options.pop("credentials", None)
    if options["connection_class"] is UnixDomainSocketConnection:
        options["connection_class"] = UnixConnection
    if options["connection_class"] is SSLConnection:
        tls = {name: options.pop(name) for name in [*options] if name.startswith("ssl_")}
        options["trust"] = SSLConnection(**{"ssl_check_hostname": True, **tls}).ssl_context
        options["connection_class"] = TlsConnection
    return options
