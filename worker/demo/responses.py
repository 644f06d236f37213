"""
The demo: a generated batch, worked by a real worker against the sandbox, with all that goes wrong.

Sandbox and worker are processes of their own, started as usual.
"""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.request import urlopen

import orjson
from rich.console import Console

from config.settings import Settings
from jobs.console import report
from jobs.console.watching import watch
from jobs.draft.draft import draft
from jobs.ledger.batches.pauses import NO_PAUSES
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Batch
from jobs.ledger.forms.entries import Entry, row_order
from jobs.operations.ledger import open_ledger
from jobs.operations.results import result
from jobs.operations.submit import Wishes, queue_batch
from jobs.rows.reading import Row
from jobs.rows.response import Response
from worker.process.children import child_environment
from worker.process.embedded import EmbeddedRedis

PROGRAM: Final = (sys.executable, "-P", "-c", "from worker.commands import main; main()")
"""This program, whatever it was started as and whatever lies in the current directory."""

WISHES: Final = Wishes(format=None, batch="demo", at_ms=0, allowed_ms=3_600_000, check_first=False)

QUIRKS: Final = (
    "organizer-",
    "not-requested-",
    "not-found-",
    "malformed-",
    "refused-",
    "lost-",
    "lost-",
)
QUIRKY_USERS: Final = ("unlicensed", "unknown", "denied", "busy", "busy.too")

SHOWN_EVENTS: Final = ("call.finished", "mailbox.paused", "response.settled", "batch.finished")
SHOWN_RESULTS: Final = 25

SHORT_TIMES: Final = {"BULKRSVP_CALL_TIMEOUT_S": "2", "BULKRSVP_SETTLE_S": "2"}
"""A demo must not take a minute to settle."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demo plays on: a sandbox and a Redis that run, and a place for the worker's log."""

    screen: Console
    environment: Mapping[str, str]
    log: Path

    @property
    def settings(self) -> Settings:
        """The settings of all who play."""
        return Settings.load(self.environment)


@contextmanager
def staged() -> Iterator[Stage]:
    """Run a sandbox and a Redis for a demo; in the end show what the simulated Graph took."""
    screen = report.messages()
    with TemporaryDirectory(prefix="bulkrsvp-demo-") as scratch, _sandbox() as simulated:
        folder = Path(scratch)
        with EmbeddedRedis(folder / "redis") as redis:
            environment = {**simulated, "REDIS_URL": redis.url, **SHORT_TIMES}
            screen.print("a simulated Entra ID and Graph, and a Redis, run on this machine only")
            yield Stage(screen, environment, folder / "worker.log")
        _show_journal(screen, simulated["BULKRSVP_GRAPH_URL"])


def show_demo(responses: int) -> None:
    """Run the demo with so many responses, and print what happens."""
    with staged() as stage:
        with working(stage):
            asyncio.run(_answer(stage.settings, rows(responses)))
        _show_log(stage.screen, stage.log)
        asyncio.run(_show_results(stage.screen, stage.settings))


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Make up the responses of a company where some mailboxes and events are difficult."""
    random = Random(7)  # noqa: S311  # the same demo each time; nothing secret
    people = [f"person{number}" for number in range(1, max(count // 8, 4))]
    for number in range(count - len(QUIRKS) - len(QUIRKY_USERS) * 2):
        yield _row(random.choice(people), f"meeting-{number}", number)
    for number, quirk in enumerate(QUIRKS):
        yield _row(random.choice(people), f"{quirk}{number}", number)
    for number, person in enumerate(QUIRKY_USERS * 2):
        yield _row(person, f"review-{number}", number)


def _row(person: str, event: str, number: int) -> dict[str, Any]:
    row = {"user": f"{person}@contoso.com", "event": event}
    if number % 5:
        return row | {"action": "decline", "comment": f"{person} has left Contoso."}
    return row | {"action": "tentativelyAccept"}


@contextmanager
def _sandbox() -> Iterator[dict[str, str]]:
    with _child("sandbox", environment={}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        yield dict(_read_exports(process.stdout))


def _read_exports(stream: Any) -> Iterator[tuple[str, str]]:
    for line in stream:
        name, _, value = shlex.split(line.decode())[1].partition("=")
        yield name, value
        if name == "BULKRSVP_GRAPH_URL":
            return


@contextmanager
def working(stage: Stage) -> Iterator[None]:
    """Run a worker until the end of the block."""
    with (
        stage.log.open("wb") as stream,
        _child("worker", environment=stage.environment, stdout=stream),
    ):
        yield


@contextmanager
def _child(
    command: str, *, environment: Mapping[str, str], stdout: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our own commands until the end of the block, and stop it as an operator would."""
    with subprocess.Popen(  # noqa: S603  # our own program
        [*PROGRAM, command],
        env=child_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        start_new_session=True,  # Ctrl-C is for us; we stop them
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


async def _answer(settings: Settings, made_up: Iterator[dict[str, Any]]) -> Batch:
    responses = (Response.from_json(row) for row in made_up)
    numbered = (Row.of(number, number, response) for number, response in enumerate(responses, 1))
    with draft(numbered) as checked:
        async with open_ledger(settings) as (redis, batches):
            await queue_batch(redis, checked, WISHES)
            return await watch(batches, "demo")


def _show_log(screen: Console, path: Path) -> None:
    """Print the first line of each kind: what an operator's log collection would get."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    screen.print("\nfrom the log, one line of each kind:", style="bold")
    for event in SHOWN_EVENTS:
        line = next((line for line in lines if line["event"] == event), None)
        if line is not None:
            print(orjson.dumps(line).decode())  # noqa: T201  # as in the log
    counts = ", ".join(f"{sum(line['event'] == e for line in lines)} {e}" for e in SHOWN_EVENTS)
    screen.print(f"in all: {counts}", style="dim")


async def _show_results(screen: Console, settings: Settings) -> None:
    async with open_ledger(settings) as (_, batches):
        batch = await batches.get("demo")
        lines = await _difficult_first(batches, batch)
        screen.print("\nresults, the difficult ones first:", style="bold")
        report.show_results(report.output(), [result(batch.id, line) for line in lines])
        screen.print(f"... and {max(batch.total - len(lines), 0)} more\n", style="dim")
        report.show_batch(report.output(), batch, NO_PAUSES)


async def _difficult_first(batches: Batches, batch: Batch) -> list[Any]:
    lines = [line async for part in batches.lines(batch) for line in part]
    lines.sort(key=lambda line: (_went_well(line), row_order(line.row)))
    return lines[:SHOWN_RESULTS]


def _went_well(line: Entry) -> tuple[bool, bool]:
    return line.record.status == HTTPStatus.ACCEPTED, not line.record.unclear


def _show_journal(screen: Console, graph_url: str) -> None:
    with urlopen(f"{graph_url}/sandbox/stats") as reply:  # noqa: S310  # our own sandbox on loopback
        stats = orjson.loads(reply.read())
    screen.print(
        f"\nthe simulated Graph took {stats['taken']} responses, "
        f"{len(stats['duplicates'])} of them twice, and answered 429 "
        f"{stats['throttled']} times; called too early: {stats['early']}"
    )
