"""Log lines: their form, what they must never say, and that none is lost silently."""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from config.errors import SettingsError
from config.logs import NEVER_LOGGED, configure_logs
from config.settings import Settings

NOON_NS = int(datetime(2026, 12, 2, 12, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(autouse=True)
def _other_tests_unchanged() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Output:
    """A stream, and the lines that arrived in it."""

    def __init__(self, **environ: str) -> None:
        self.stream = BytesIO()
        settings = Settings.load({f"BULKRSVP_{name}": value for name, value in environ.items()})
        self.log = configure_logs(settings, self.stream, lambda: NOON_NS)

    def lines(self) -> list[dict[str, Any]]:
        """Return what has arrived so far."""
        return [orjson.loads(line) for line in self.stream.getvalue().splitlines()]


def test_a_line_begins_with_four_fields_and_is_json() -> None:
    """A line begins with the four fields that all have, and is JSON in UTF-8."""
    output = Output()
    output.log.warning("mailbox.paused", user="åsa@contoso.com", retry_after_s=2.5)
    assert output.stream.getvalue().decode() == (
        '{"timestamp":"2026-12-02T12:00:00.000000Z","level":"warning","event":"mailbox.paused",'
        '"service":"bulkrsvp","user":"åsa@contoso.com","retry_after_s":2.5}\n'
    )


def test_each_line_has_its_own_moment() -> None:
    """Lines of one second and of the next are told apart, to the microsecond."""
    stream, moments = BytesIO(), iter([NOON_NS - 1, NOON_NS, NOON_NS + 1_999, NOON_NS + 10**9])
    log = configure_logs(Settings.load({}), stream, lambda: next(moments))
    for _ in range(4):
        log.info("x")
    assert [orjson.loads(line)["timestamp"] for line in stream.getvalue().splitlines()] == [
        "2026-12-02T11:59:59.999999Z",
        "2026-12-02T12:00:00.000000Z",
        "2026-12-02T12:00:00.000001Z",
        "2026-12-02T12:00:01.000000Z",
    ]


def test_a_librarys_warning_becomes_a_line_with_its_logger() -> None:
    """What a library warns of becomes a line like ours, with the name of its logger."""
    output = Output()
    logging.getLogger("aiohttp.client").warning("lost %s", "it")
    assert output.lines() == [
        {
            "timestamp": "2026-12-02T12:00:00.000000Z",
            "level": "warning",
            "event": "lost it",
            "service": "bulkrsvp",
            "logger": "aiohttp.client",
        }
    ]


def test_a_warning_of_python_becomes_a_line() -> None:
    """A warning of Python's becomes a line too."""
    output = Output()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert [line["logger"] for line in output.lines()] == ["py.warnings"]


@pytest.mark.parametrize(
    "name", ["arq.worker", "azure.core", "aiohttp", "redis", "asyncio", "msal"]
)
def test_libraries_are_not_talkative(name: str) -> None:
    """Libraries put arguments, addresses and headers into lines below warning: none appears."""
    output = Output(LOG_LEVEL="debug")
    logging.getLogger(name).info("Authorization: Bearer xyz")
    assert output.lines() == []


def test_lines_below_the_level_do_not_appear() -> None:
    """Lines below the level do not appear, of ours or of others."""
    output = Output(LOG_LEVEL="error")
    output.log.warning("a")
    logging.getLogger("aiohttp").warning("b")
    output.log.critical("c")
    assert [line["event"] for line in output.lines()] == ["c"]


def test_an_exception_is_one_field() -> None:
    """An exception is one field of text, without the values of local variables."""
    output = Output()
    local = "eyJ0eXAi"
    try:
        int(f"{len(local)}x")
    except ValueError:
        output.log.exception("slice.failed")
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert [
        (line["exception"].endswith("'8x'"), local in line["exception"]) for line in output.lines()
    ] == [(True, False)] * 2


def test_secret_fields_are_blotted_out() -> None:
    """A field that must not appear is blotted out, whoever passes it."""
    output = Output()
    output.log.info("x", **dict.fromkeys(NEVER_LOGGED, "private"), row=1)
    assert [{"***"}, 1] == [
        {output.lines()[0][name] for name in NEVER_LOGGED},
        output.lines()[0]["row"],
    ]


def test_values_unknown_to_json_are_shown_as_text() -> None:
    """A value that JSON does not know is shown as text, and a secret keeps its mask."""
    output = Output(LOG_KEY="hunter2")
    output.log.info("x", key=Settings.load({"BULKRSVP_LOG_KEY": "hunter2"}).log_key, gone={1}.pop)
    assert (
        "*" in output.lines()[0]["key"],
        b"hunter2" in output.stream.getvalue(),
    ) == (True, False)


def test_a_hashed_user_is_the_same_in_any_letter_case() -> None:
    """A hashed user is the same for any letter case, and another with another key."""
    first = Output(LOG_USERS="hash", LOG_KEY="one")
    first.log.info("x", user="ada@contoso.com")
    first.log.info("x", user="Ada@Contoso.com")
    first.log.info("x", user="bob@contoso.com")
    ada, same, bob = (line["user"] for line in first.lines())
    second = Output(LOG_USERS="hash", LOG_KEY="two")
    second.log.info("x", user="ada@contoso.com")
    assert (ada, 39, 3) == (same, len(ada), len({ada, bob, second.lines()[0]["user"]}))


@pytest.mark.parametrize(
    "text",
    [
        "POST https://graph.microsoft.com/v1.0/users/ada%40contoso.com/events/AAMk/decline",
        "GET /users/ada@contoso.com/events",
        "no mailbox for Ada@contoso.com.",
        "'/users/ada@contoso.com'",
    ],
)
def test_users_in_free_text_have_the_same_hash(text: str) -> None:
    """Where users are hashed, a library's message and a traceback hold the same hash."""
    output = Output(LOG_USERS="hash", LOG_KEY="one")
    output.log.info("x", user="ada@contoso.com")
    logging.getLogger("aiohttp").warning(text)
    try:
        int(text)
    except ValueError:
        output.log.exception("x")
    user, message, exception = (
        output.lines()[0]["user"],
        output.lines()[1]["event"],
        output.lines()[2]["exception"].splitlines()[-1],
    )
    assert [(user in shown, "ada" in shown.lower()) for shown in (message, exception)] == [
        (True, False)
    ] * 2


def test_users_are_never_logged_plainly_for_want_of_a_key() -> None:
    """Users are never logged plainly because a key is missing."""
    with pytest.raises(SettingsError, match="BULKRSVP_LOG_KEY"):
        configure_logs(Settings(log_users="hash"), BytesIO())


def test_the_console_form_has_no_colours_off_a_terminal() -> None:
    """The console form has no colours where there is no terminal."""
    output = Output(LOG_FORMAT="console")
    output.log.info("worker.started", max_calls=512)
    shown = output.stream.getvalue()
    assert (b"max_calls=512" in shown, b"\x1b" in shown) == (True, False)


FOREIGN = "x\x1b[2J\u202e\nforged"


def test_the_console_form_escapes_foreign_text() -> None:
    """In the console form foreign text is escaped, and one line stays one line."""
    output = Output(LOG_FORMAT="console")
    output.log.info("call.finished", request_id=FOREIGN, several=[FOREIGN])
    logging.getLogger("redis").warning(FOREIGN)
    shown = output.stream.getvalue().decode()
    assert (2, 3, True) == (
        len(shown.splitlines()),
        shown.count(r"x\x1b[2J\u202e\nforged"),
        shown.replace("\n", "").isprintable(),
    )


def test_the_console_form_escapes_what_exceptions_quote() -> None:
    """In the console form an exception keeps its lines, and what it quotes is escaped."""
    output = Output(LOG_FORMAT="console")
    output.log.error("slice.failed", exc_info=ValueError(FOREIGN))
    shown = output.stream.getvalue().decode()
    assert (True, True) == (
        r"ValueError: x\x1b[2J\u202e" in shown.splitlines(),
        shown.replace("\n", "").isprintable(),
    )


def test_json_carries_everything() -> None:
    """In the JSON form nothing is shown escaped: JSON has escapes of its own."""
    output = Output()
    output.log.info("call.finished", request_id=FOREIGN)
    assert FOREIGN == output.lines()[0]["request_id"]


def terminal(environ: dict[str, str]) -> bytes:
    """Log one line to a terminal, and return what it would show."""
    ours, theirs = os.openpty()
    script = (
        "import sys; from config.logs import configure_logs; from config.settings import Settings;"
        "configure_logs(Settings.load({}), sys.stdout).info('worker.started')"
    )
    with os.fdopen(theirs, "wb", buffering=0) as out:
        subprocess.run(
            [sys.executable, "-c", script], stdout=out, check=True, env=os.environ | environ
        )
        shown = os.read(ours, 1000)
    os.close(ours)
    return shown


def test_a_terminal_gets_the_console_form_coloured() -> None:
    """On a terminal the form is the console's, coloured unless NO_COLOR says otherwise."""
    coloured, plain = terminal({"NO_COLOR": ""}), terminal({"NO_COLOR": "1"})
    assert (
        [shown.startswith(b"{") for shown in (coloured, plain)],
        [b"\x1b" in shown for shown in (coloured, plain)],
    ) == ([False] * 2, [True, False])


def test_lines_arrive_at_once() -> None:
    """Each line is flushed: a reader has it before the writer goes on."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as stream, os.fdopen(ours, "rb", buffering=0) as reader:
        configure_logs(Settings(), stream).info("x")
        assert orjson.loads(reader.read(1000))["event"] == "x"


def test_a_full_disk_is_heard_of() -> None:
    """A line of ours that cannot be written raises where it was logged."""
    with Path("/dev/full").open("wb", buffering=0) as stream:
        log = configure_logs(Settings(), stream)
        with pytest.raises(OSError, match="No space left"):
            log.info("response.settled")


def test_a_closed_pipe_is_heard_of() -> None:
    """A line of ours for a reader that has gone raises where it was logged."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb", buffering=0) as stream:
        log = configure_logs(Settings(), stream)
        with pytest.raises(BrokenPipeError):
            log.info("response.settled")
