"""How many calls a simulated mailbox takes, and what it says to more."""

import asyncio

import pytest

from tests.support.sandbox_talk import (
    ADA,
    Client,
    FrozenTime,
    converse,
    until,
)
from worker.sandbox import (
    Effect,
    Rule,
    Sandbox,
)


def test_fifth_call_in_flight_is_throttled() -> None:
    """With four calls in flight the fifth gets 429 with Retry-After, and another user none."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(effect=Effect.HANG, times=4))
        open_calls = [asyncio.create_task(client.decline(f"e{number}")) for number in range(4)]
        await until(lambda: sandbox.stats().faults == {"hang": 4})
        fifth = await client.decline("e4")
        other = await client.decline("e4", user="bob@contoso.com")
        for call in open_calls:
            call.cancel()
        assert (429, "1", 202) == (fifth.status, fifth.headers["Retry-After"], other.status)
        assert [1, 2, 3, 4, 5, 1] == [entry.in_flight for entry in sandbox.journal]
        assert {ADA: 5, "bob@contoso.com": 1} == sandbox.stats().max_in_flight

    converse(talk)


def test_slot_is_free_when_the_reply_was_sent() -> None:
    """Calls that follow each other's replies never meet in flight."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        for number in range(20):
            assert 202 == (await client.decline(f"e{number}")).status
        assert {ADA: 1} == sandbox.stats().max_in_flight

    converse(talk, concurrency=1)


def test_early_calls_are_recorded_and_refused_again() -> None:
    """A call inside a Retry-After is early, gets 429, and starts the wait anew."""
    time = FrozenTime()

    async def talk(sandbox: Sandbox, client: Client) -> None:
        statuses = []
        for now_s in (0.0, 9.0, 18.0, 28.0):
            time.now_s = 1000 + now_s
            statuses.append((await client.decline(f"e{now_s:.0f}")).status)
        assert [429, 429, 429, 202] == statuses
        assert [False, True, True, False] == [entry.early for entry in sandbox.journal]

    sandbox_options = {"retry_after": "10", "early_grace_s": 0}
    fault = Rule(status=429, code="ApplicationThrottled", headers={"retry-after": "10"})

    async def armed(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(fault)
        await talk(sandbox, client)

    converse(armed, clock=time.clock, **sandbox_options)


@pytest.mark.parametrize(
    ("retry_after", "header", "closed_s"),
    [
        ("2", "2", 2),
        ("2.128", "2.128", 2.128),
        ("30,120", "30,120", 120),
        ("date+5", "Fri, 15 Jan 2027 08:16:45 GMT", 5),
        ("0", "0", 0),
        ("soon", "soon", 0),
        ("", None, 0),
    ],
)
def test_retry_after_is_sent_in_every_shape(
    retry_after: str, header: str | None, closed_s: float
) -> None:
    """The header is sent as it was set, and the mailbox is closed for as long as it says."""
    time = FrozenTime()

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard = await client.decline("e1", user="busy@c")
        time.now_s += closed_s - 0.001
        await client.decline("e1", user="busy@c")
        if closed_s:
            time.now_s += closed_s + 1  # a date is rounded up to a whole second
        await client.decline("e1", user="busy@c")
        assert header == heard.headers.get("Retry-After")
        assert [False, closed_s > 0, False] == [entry.early for entry in sandbox.journal]

    converse(talk, clock=time.clock, retry_after=retry_after, busy_times=1, early_grace_s=0)


def test_quota_of_a_window_is_held() -> None:
    """After the quota a mailbox gets 429 until its oldest call has left the window."""
    time = FrozenTime()

    async def talk(sandbox: Sandbox, client: Client) -> None:
        statuses = []
        for now_s in (0, 10, 20, 610):
            time.now_s = 1000.0 + now_s
            statuses.append((await client.decline(f"e{now_s}")).status)
        assert [202, 202, 429, 202] == statuses
        assert 0 == sandbox.stats().early

    converse(talk, clock=time.clock, quota=2)
