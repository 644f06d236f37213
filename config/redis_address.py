"""
Where Redis is: what `REDIS_URL` may say, what a message may show of it, and Sentinels.

    redis://[user:password@]host[:6379][/db]                            one server
    rediss://...                                                        the same over TLS
    rediss://host[:port][/db]?credentials=entra                         the login is a token
    unix:///path/to/socket[?db=0]                                       one on this machine
    redis+sentinel://[user:password@]host[:26379][,host...]/name[/db]   the primary called name
    rediss+sentinel://...                                               the same over TLS

No message repeats the text: an address may hold a password.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

SENTINEL: Final = "+sentinel"
SENTINEL_PORT: Final = 26379

_FORMS: Final = (
    "redis://[user:password@]host:6379/0, rediss://... for TLS, unix:///path?db=0,"
    " or redis+sentinel://host:26379,host:26379/name"
)
_ENCODE: Final = "percent-encode special characters of the password"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """
    Sentinels, and the primary to ask them for.

    `primary_url` is the primary's address with the first Sentinel's host: it carries login,
    database and options, and each connection replaces the host.
    """

    sentinels: tuple[tuple[str, int], ...]
    name: str
    primary_url: str


def check_redis_address(text: str) -> str:
    """Return an address that redis-py will understand, or raise `ValueError` with what to do."""
    if is_sentinel(text):
        _check_one(read_sentinel_address(text).primary_url, _SENTINEL_OPTIONS)
    else:
        _check_one(text, {})
    return text


def wants_token(text: str) -> bool:
    """Whether an address says that a token of Entra ID is the login."""
    return dict(parse_qsl(urlsplit(text).query)).get("credentials") == "entra"


def is_sentinel(text: str) -> bool:
    """Whether an address names Sentinels."""
    return text.partition("://")[0].endswith(SENTINEL)


def read_sentinel_address(text: str) -> SentinelAddress:
    """Read an address of Sentinels, or raise `ValueError` with what to do."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"is not a readable address: {_ENCODE}") from None
    login, found, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not name:
        raise ValueError("names no primary; write redis+sentinel://host:26379,host:26379/name")
    sentinels = tuple(_sentinel(host) for host in hosts.split(","))
    host = f"[{sentinels[0][0]}]" if ":" in sentinels[0][0] else sentinels[0][0]
    primary = parts._replace(
        scheme=parts.scheme.removesuffix(SENTINEL),
        netloc=f"{login}{found}{host}",
        path=f"/{database}",
    )
    return SentinelAddress(sentinels, name, primary.geturl())


def without_password(text: str) -> str:
    """Return an address for a message: user and password become `***`."""
    parts = urlsplit(text)
    _, found, host = parts.netloc.rpartition("@")
    # A query may carry `password=` too; only the database is worth showing.
    database = "&".join(item for item in parts.query.split("&") if item.startswith("db="))
    netloc = f"***@{host}" if found else host
    shown = f"{parts.scheme}://{netloc}{parts.path}"
    return f"{shown}?{database}" if database else shown


def _sentinel(host: str) -> tuple[str, int]:
    parts = _split(f"//{host}", hint="name the Sentinels as host:26379,host:26379")
    if not parts.hostname:
        raise ValueError("names a Sentinel without a host; write host:26379,host:26379")
    return parts.hostname, parts.port or SENTINEL_PORT


def _check_one(text: str, more: "Mapping[str, _Option]") -> None:
    parts = _split(text, hint=_ENCODE)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"must be an address like {_FORMS}")
    if parts.fragment:
        raise ValueError(f"must have no #; {_ENCODE}")
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("names no socket; write unix:///path/to/redis.sock?db=0")
    if parts.scheme != "unix" and not _is_database(parts.path.strip("/") or "0"):
        raise ValueError("must end in the number of a database, for example /0")
    tls = _TLS_OPTIONS if parts.scheme == "rediss" else {}
    given = _check_options(parts.query, {**_OPTIONS, **tls, **more})
    if "credentials" in given and ("@" in parts.netloc or {"username", "password"} & given):
        raise ValueError("must have no user and no password beside credentials=entra")
    if "credentials" in given and more:
        raise ValueError("must name one server with credentials=entra, and not Sentinels")


def _split(text: str, hint: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not a readable address (host or port): {hint}") from None
    return parts


def _check_options(query: str, known: "Mapping[str, _Option]") -> set[str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"has an unknown option; known are {', '.join(known)}")
        if not known[name].takes(value):
            raise ValueError(f"has a wrong {name}: it must {known[name].rule}")
    if ("ssl_certfile" in given) != ("ssl_keyfile" in given):
        raise ValueError("must have both ssl_certfile and ssl_keyfile, or neither")
    return set(given)


@dataclass(frozen=True, slots=True)
class _Option:
    takes: Callable[[str], bool]
    rule: str


def _is_database(value: str) -> bool:
    return value.isdecimal()


def _is_file(value: str) -> bool:
    return Path(value).is_file() and os.access(value, os.R_OK)


_TEXT: Final = _Option(bool, "not be empty")
_DATABASE: Final = _Option(_is_database, "be a database's number")
_FILE: Final = _Option(_is_file, "name a file that exists and that this user may read")
_SWITCH: Final = _Option(lambda value: value.lower() in {"true", "false"}, "be true or false")
_VERIFIED: Final = _Option(
    lambda value: value == "required",
    "be required; to trust a private authority set SSL_CERT_FILE or ssl_ca_certs",
)
_ENTRA: Final = _Option(lambda value: value == "entra", "be entra, or left out")

# Not all that redis-py knows: leases depend on how long an answer is waited for, and how often.
_OPTIONS: Final = {"db": _DATABASE, "username": _TEXT, "password": _TEXT}
_SENTINEL_OPTIONS: Final = {"sentinel_username": _TEXT, "sentinel_password": _TEXT}
_TLS_OPTIONS: Final = {
    "ssl_ca_certs": _FILE,
    "ssl_certfile": _FILE,
    "ssl_keyfile": _FILE,
    "ssl_check_hostname": _SWITCH,
    "ssl_cert_reqs": _VERIFIED,
    "credentials": _ENTRA,  # Azure takes tokens over TLS only
}
