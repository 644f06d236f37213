"""
The demo of offboarding: a company is made up, and those who leave are planned for, and answered.

The same steps as an administrator's: a plan, a look at it, `apply`.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from urllib.request import Request, urlopen

import orjson

from jobs.console import report
from jobs.console.watching import watch
from jobs.draft.draft import Draft, draft
from jobs.ledger.batches.pauses import NO_PAUSES
from jobs.operations.ledger import open_ledger
from jobs.operations.plans import read_plan
from jobs.operations.results import read_results
from jobs.operations.submit import Wishes, queue_batch
from jobs.rows.reading import Row
from jobs.rows.selection import Selection
from worker.demo.responses import Stage, staged, working

PEOPLE: Final = 200
SHOWN: Final = 25
ALLOWED_MS: Final = 3_600_000


def show_leavers() -> None:
    """Offboard the leavers of a made-up company, and print what happens."""
    with staged() as stage:
        leavers = _make_up_company(stage.environment["BULKRSVP_GRAPH_URL"])
        stage.screen.print(f"a company of {PEOPLE}, of whom {len(leavers)} leave")
        with working(stage):
            asyncio.run(_offboard(stage, leavers))


def _make_up_company(graph_url: str) -> list[dict[str, Any]]:
    order = orjson.dumps({"people": PEOPLE, "seed": 1})
    request = Request(f"{graph_url}/sandbox/company", data=order)  # noqa: S310  # our own sandbox on loopback
    with urlopen(request) as reply:  # noqa: S310  # as above
        people: list[dict[str, Any]] = orjson.loads(reply.read())["people"]
    return [person for person in people if person["leaver"]]


async def _offboard(stage: Stage, leavers: list[dict[str, Any]]) -> None:
    with draft(_selections(leavers), plan=True) as selections:
        await _carry_out(stage, selections, "plan")
    await _show(stage, "plan", "the plan, its beginning; nothing was sent:")
    async with open_ledger(stage.settings) as (_, batches):
        planned = await read_plan(batches, "plan")
    with planned:
        await _carry_out(stage, planned, "applied")
    await _show(stage, "applied", "the plan was applied:")


def _selections(leavers: list[dict[str, Any]]) -> Iterator[Row]:
    for number, leaver in enumerate(leavers, start=1):
        comment = f"{leaver['name']} has left Contoso."
        row = {"user": leaver["address"], "events": {}, "action": "decline", "comment": comment}
        yield Row.of(number, number, Selection.from_json(row))


async def _carry_out(stage: Stage, checked: Draft, batch: str) -> None:
    wishes = Wishes(
        format=None,
        batch=batch,
        at_ms=0,
        allowed_ms=ALLOWED_MS,
        check_first=False,
        plan=batch == "plan",
    )
    async with open_ledger(stage.settings) as (redis, batches):
        await queue_batch(redis, checked, wishes)
        await watch(batches, batch)


async def _show(stage: Stage, batch_id: str, title: str) -> None:
    async with open_ledger(stage.settings) as (_, batches):
        found = await read_results(batches, batch_id)
        stage.screen.print(f"\n{title}", style="bold")
        report.show_results(report.output(), found[:SHOWN])
        stage.screen.print(f"... and {max(len(found) - SHOWN, 0)} more\n", style="dim")
        report.show_batch(report.output(), await batches.get(batch_id), NO_PAUSES)
