"""Faults by script: whom they strike, and how a reply breaks."""

import asyncio
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from tests.support.sandbox_talk import (
    ADA,
    Client,
    converse,
    until,
)
from tests.support.waiting import PATIENCE_S
from worker.sandbox import (
    Effect,
    Rule,
    Sandbox,
)


@pytest.mark.parametrize(
    ("effect", "error", "status"),
    [
        (Effect.LOST, aiohttp.ServerDisconnectedError, None),
        (Effect.CUT, aiohttp.ServerDisconnectedError, 202),
        (Effect.TRUNCATE, aiohttp.ClientPayloadError, 202),
        (Effect.RESET, aiohttp.ClientOSError, None),
        (Effect.HANG, TimeoutError, None),
    ],
)
@pytest.mark.parametrize("taken", [True, False])
def test_a_connection_breaks_in_each_way(
    effect: Effect, error: type[Exception], status: int | None, *, taken: bool
) -> None:
    """A connection breaks in each way, whether or not Graph took the call."""
    said = 202 if status and not taken else None

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(effect=effect, taken=taken, status=said))
        call = asyncio.create_task(client.tentative("e1"))
        await until(lambda: sandbox.journal)
        with pytest.raises(error):
            await asyncio.wait_for(call, 0.1 if effect is Effect.HANG else PATIENCE_S)
        [entry] = sandbox.journal
        assert (effect, taken, status) == (entry.fault, entry.taken, entry.status)
        assert not entry.delivered
        assert 202 == (await client.tentative("e1")).status

    converse(talk)


def test_hanging_call_keeps_its_slot_until_its_caller_leaves() -> None:
    """A call that hangs is in the journal while it is open, and in flight until it ends."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(effect=Effect.HANG))
        hanging = asyncio.create_task(client.decline("e1"))
        await until(lambda: sandbox.journal and sandbox.journal[0].fault)
        assert (await client.decline("e2")).status == 429
        hanging.cancel()
        await until(lambda: sandbox.journal[0].ended_s)
        assert (await client.decline("e3")).status == 202

    converse(talk, concurrency=1, retry_after="")


def test_caller_who_leaves_undoes_nothing() -> None:
    """A request that arrived whole is carried out although its caller has gone."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        leaving = asyncio.create_task(client.decline("e1"))
        await until(lambda: sandbox.journal)
        leaving.cancel()
        await until(lambda: sandbox.journal[0].ended_s)
        [entry] = sandbox.journal
        assert (True, False) == (entry.taken, entry.delivered)

    converse(talk, latency_s=0.5)


def test_scripted_status_before_and_after_graph_took_it() -> None:
    """A scripted error comes with or without the call having been carried out."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(status=503, code="ErrorMailboxStoreUnavailable", message="Down."))
        sandbox.add_fault(Rule(status=504, html="<h1>Gateway</h1>", taken=True))
        sandbox.add_fault(Rule(status=509))
        heard = [await client.decline(event) for event in ("e1", "e2", "e3", "e4")]
        assert (503, "ErrorMailboxStoreUnavailable", "Down.") == heard[0].error
        assert (504, "<h1>Gateway</h1>") == (heard[1].status, heard[1].body)
        assert heard[1].headers["Content-Type"] == "text/html"
        assert [503, 504, 509, 202] == [reply.status for reply in heard]
        assert [False, True, False, True] == [entry.taken for entry in sandbox.journal]

    converse(talk)


def test_rules_strike_whom_they_name() -> None:
    """Method, user, event and path are globs, times and skip count the calls that match."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        rule = {"status": 500, "method": "post", "user": "ADA*", "event": "e[12]", "skip": 1}
        sandbox.add_fault(Rule(**rule, path="*/decline", times=2))
        calls = [
            client.decline("e1"),
            client.look("e2"),
            client.tentative("e2"),
            client.decline("e2", user="bob@c"),
            client.decline("e3"),
            client.decline("e2"),
            client.decline("e2"),
            client.decline("e2"),
        ]
        statuses = [(await call).status for call in calls]
        assert [202, 200, 202, 202, 202, 500, 500, 202] == statuses

    converse(talk)


def test_of_several_rules_the_oldest_strikes() -> None:
    """Whether they name one user or many, rules strike in the order in which they were armed."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        for status, user in enumerate([ADA.upper(), "*", ADA, "ada*"], start=500):
            sandbox.add_fault(Rule(user=user, status=status))
        statuses = [(await client.decline("e1")).status for _ in range(5)]
        assert [500, 501, 502, 503, 202] == statuses

    converse(talk)


def test_chance_is_repeatable() -> None:
    """A rule with a probability strikes some calls, and the same ones for the same seed."""

    async def strike(sandbox: Sandbox, client: Client) -> list[int]:
        sandbox.add_fault(Rule(status=500, probability=0.5, times=-1, seed=7))
        return [(await client.decline(f"e{number}")).status for number in range(20)]

    seen: list[list[int]] = []

    async def talk(sandbox: Sandbox, client: Client) -> None:
        seen.append(await strike(sandbox, client))

    converse(talk)
    converse(talk)
    assert seen[0] == seen[1]
    assert {202, 500} == set(seen[0])


def test_redirect_leads_to_another_origin_that_the_journal_sees() -> None:
    """A 302 points at the same server under another name, so that following it shows."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(effect=Effect.REDIRECT))
        heard = await client.decline("e1")
        elsewhere = sandbox.graph_url.replace("127.0.0.1", "localhost")
        expected = f"{elsewhere}/v1.0/users/{ADA}/events/e1/decline"
        assert (302, expected) == (heard.status, heard.headers["Location"])

    converse(talk)


def test_delay_passes_the_call_on() -> None:
    """A rule with a delay alone lets the call through."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(delay_s=0.01))
        assert 202 == (await client.decline("e1")).status
        assert ["pass"] == [entry.fault for entry in sandbox.journal]

    converse(talk)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"times": 0, "status": 500},
        {"effect": "explode"},
        {"effect": "reply"},
        {"effect": "lost", "status": 500},
        {"effect": "cut", "taken": False},
        {"code": "X", "delay_s": 1},
        {"claims": "{}", "status": 401},
        {"location": "x", "effect": "lost"},
        {"status": 429, "headers": {"Retry-After": "date+soon"}},
        {"status": 429, "headers": {"Retry-After": "1\r\nX: y"}},
        {"colour": "red", "status": 500},
    ],
)
def test_wrong_rules_are_refused(rule: dict[str, Any]) -> None:
    """A rule that says nothing, or contradicts itself, is refused."""
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)


def test_latency_is_repeatable_chance_around_its_median() -> None:
    """Log-normal latency has the median that was asked for, and the same draws for a seed."""
    first, second = (Sandbox(latency_s=0.1, latency_sigma=0.5, seed=3) for _ in range(2))
    draws = [first._world.latency_s() for _ in range(2001)]
    assert draws == [second._world.latency_s() for _ in range(2001)]
    assert 0.09 < sorted(draws)[1000] < 0.11
