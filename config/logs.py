"""
Log lines: the program's own and every library's go through one chain, as one JSON object per line.

Each line is written and flushed at once, and a line that cannot be written raises `OSError` where
it was logged: a worker that cannot account for itself must not continue. What a line says is
decided where it is logged; this module decides only what a line must never say.
"""

import hmac
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import IO, Any, BinaryIO, cast
from urllib.parse import unquote

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from config.errors import SettingsError
from config.escaping import escaped, escaped_lines
from config.settings import Settings

SERVICE = "bulkrsvp"

HEAD = {"timestamp": "", "level": "", "event": "", "service": SERVICE}
"""The beginning of each line, in this order; filled in later, a field keeps its place."""

NEVER_LOGGED = frozenset(
    {
        "access_token",
        "authorization",
        "Authorization",
        "body",
        "client_secret",
        "comment",
        "password",
        "secret",
        "subject",
        "token",
    }
)
"""Fields that no line may carry: a safety net, since callers should not pass them at all."""

_OF_LINES = frozenset({"exception", "stack"})
"""Fields that span several lines, written by Python."""

_USER_IN_PATH = re.compile(r"(?<=/users/)[^/\s?'\"]+", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.!$&+~%#'-]+@[\w-]+(?:\.[\w-]+)+")


def configure_logs(
    settings: Settings,
    stream: IO[bytes] | IO[str],
    clock: Callable[[], int] = time.time_ns,
) -> FilteringBoundLogger:
    """
    Send all lines of this process to the stream, and return the logger to hand to its parts.

    A text stream must have a `buffer`. Libraries log from `WARNING` up: below that they log
    addresses, headers and arguments. Their lines carry their logger's name as `logger`. `clock`
    returns nanoseconds since the epoch.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    chain = _chain(settings, stream, clock)
    binary = cast("BinaryIO", getattr(stream, "buffer", stream))
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(binary),
        cache_logger_on_first_use=True,
    )
    _listen_to_libraries(_LibraryHandler(chain, structlog.BytesLogger(binary)), level)
    return structlog.get_logger(**HEAD).bind()  # type: ignore[no-any-return]


def _chain(
    settings: Settings, stream: IO[bytes] | IO[str], clock: Callable[[], int]
) -> list[Processor]:
    console = settings.log_format == "console" or (settings.log_format is None and stream.isatty())
    return [
        structlog.processors.format_exc_info,
        *_user_policy(settings),
        _without_forbidden,
        _Stamp(clock),
        *(_console(colours=stream.isatty()) if console else [_as_json]),
    ]


def _listen_to_libraries(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _LibraryHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    hush_credentials()
    logging.captureWarnings(capture=True)


def hush_credentials() -> None:
    """Silence azure-identity: a refusal is logged once by the worker, without its long text."""
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)


class _LibraryHandler(logging.Handler):
    """Turn a record of the standard library into a line of the log."""

    def __init__(self, chain: Sequence[Processor], output: structlog.BytesLogger) -> None:
        super().__init__()
        self._chain = chain
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line; a failure does not reach the library, as `logging` demands."""
        try:
            self._output.msg(self._line(record))
        except Exception:  # noqa: BLE001  # the contract of `logging.Handler.emit`
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> Any:
        line: Any = HEAD | {"event": record.getMessage(), "logger": record.name}
        if record.exc_info:
            line["exc_info"] = record.exc_info
        for processor in self._chain:
            line = processor(self._output, record.levelname.lower(), line)
        return line


class _Stamp:
    """Fill in when a line was written, and its level."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._latest = (-1, "")  # thousands of lines share one second

    def __call__(self, _: WrappedLogger, level: str, line: EventDict) -> EventDict:
        second, rest_ns = divmod(self._clock(), 1_000_000_000)
        latest, text = self._latest
        if latest != second:
            text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._latest = second, text
        line["timestamp"] = f"{text}.{rest_ns // 1000:06d}Z"
        line["level"] = level
        return line


def _without_forbidden(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    if NEVER_LOGGED.isdisjoint(line):
        return line
    return {name: "***" if name in NEVER_LOGGED else value for name, value in line.items()}


def _as_json(_: WrappedLogger, __: str, line: EventDict) -> bytes:
    return orjson.dumps(line, default=str)


def _console(*, colours: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colours and not os.environ.get("NO_COLOR"),
        # The other formatters show local variables, and one of those may be a token.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_shown, renderer, _encoded]


def _shown(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Escape foreign text, so that it cannot control the terminal; an exception keeps its lines."""
    return {
        name: _safe(name, value) if isinstance(value, str) else value  # the renderer shows reprs
        for name, value in line.items()
    }


def _safe(name: str, text: str) -> str:
    return escaped_lines(text) if name in _OF_LINES else escaped(text)


def _encoded(_: WrappedLogger, __: str, line: Any) -> bytes:
    return str(line).encode()


def _user_policy(settings: Settings) -> list[Processor]:
    if settings.log_users == "plain":
        return []
    if settings.log_key is None:
        raise SettingsError("BULKRSVP_LOG_KEY: is not set, but BULKRSVP_LOG_USERS=hash needs it")
    return [_HashedUsers(settings.log_key.get_secret_value().encode())]


class _HashedUsers:
    """
    Replace users by a keyed hash, the same for the same user in any letter case.

    The field `user` always; in free text (a library's message, a traceback) what follows `/users/`
    in an address of Graph, and what looks like a user principal name. An object id alone in free
    text is not recognized.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        if isinstance(user := line.get("user"), str):
            line["user"] = self.hashed(user)
        if "logger" in line:
            line["event"] = self._masked(line["event"])
        if "exception" in line:
            line["exception"] = self._masked(line["exception"])
        return line

    def hashed(self, user: str) -> str:
        """Return 128 bits of HMAC-SHA-256, enough that two users never collide."""
        return f"sha256:{hmac.digest(self._key, user.casefold().encode(), 'sha256').hex()[:32]}"

    def _masked(self, text: str) -> str:
        text = _USER_IN_PATH.sub(self._replaced, text)
        return _ADDRESS.sub(self._replaced, text)

    def _replaced(self, found: re.Match[str]) -> str:
        return self.hashed(unquote(found[0]))
