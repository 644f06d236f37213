"""One slice from start to end, as far as no reply decides it: held back, ended, put right."""

from typing import Any

import pytest

from jobs.outcome import Outcome
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import harnessed
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import FAILED, events
from worker.graph.reply import Reply
from worker.slice.calls.event_call import Sending
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.slice.takeover import take_over
from worker.slice.work import work
from worker.throttle.gate import STORM_MAILBOXES, Permission

HOUR_MS = 3_600_000


@awaited
async def test_a_slice_before_its_time_makes_no_call(
    redis_url: str, sandbox: SandboxClient
) -> None:
    """Whoever opens a slice too early does not even log in, and comes back when it is due."""
    async with harnessed(redis_url, sandbox.environment) as harness:
        due_ms = now_ms() + HOUR_MS
        await harness.ledger.submit(3, not_before_ms=due_ms)
        comeback_ms = await work(harness.context, "b", 0)

        assert due_ms == comeback_ms
        assert 3 == (await harness.ledger.batches.get("b")).open
    assert "token.refused" not in events(harness.heard)


@awaited
async def test_a_slice_of_a_paused_batch_makes_no_call(
    redis_url: str, sandbox: SandboxClient
) -> None:
    """A slice opened during a pause does not even log in; after it (the control) it does."""
    async with harnessed(redis_url, sandbox.environment) as harness:
        await harness.ledger.submit(3, not_before_ms=now_ms())
        await harness.ledger.batches.pause("b", paused=True)
        before_ms = now_ms()
        comeback_ms = await work(harness.context, "b", 0)
        during = events(harness.heard)
        await harness.ledger.batches.pause("b", paused=False)
        await work(harness.context, "b", 0)

        assert comeback_ms is not None
        assert before_ms < comeback_ms <= now_ms() + Shift.PAUSED_MS
        assert 3 == (await harness.ledger.batches.get("b")).open
    assert "token.refused" not in during
    # Nobody trusts the sandbox's certificate here: a login is as far as a call gets.
    assert [*during, "token.refused"] == events(harness.heard)


@pytest.mark.parametrize("held", ["paused", "for later"])
@awaited
async def test_what_is_held_back_can_still_be_cancelled(
    redis_url: str, sandbox: SandboxClient, held: str
) -> None:
    """A batch that is cancelled before it may call ends at once, and without a call."""
    async with harnessed(redis_url, sandbox.environment) as harness:
        later_ms = HOUR_MS if held == "for later" else 0
        await harness.ledger.submit(2, not_before_ms=now_ms() + later_ms)
        await harness.ledger.batches.pause("b", paused=held == "paused")
        await harness.ledger.batches.cancel("b")
        comeback_ms = await work(harness.context, "b", 0)

        assert comeback_ms is None
        assert {Outcome.CANCELLED: 2} == (await harness.ledger.batches.get("b")).outcomes
    assert "token.refused" not in events(harness.heard)


@awaited
async def test_a_pause_holds_nothing_past_the_deadline(redis_url: str) -> None:
    """What is still paused at the deadline expires."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(2, not_before_ms=now_ms() - HOUR_MS, allowed_ms=1)
        await harness.ledger.batches.pause("b", paused=True)

        assert await work(harness.context, "b", 0) is None
        assert {Outcome.EXPIRED: 2} == (await harness.ledger.batches.get("b")).outcomes


@awaited
async def test_a_retry_before_the_next_opening_hides_no_line(redis_url: str) -> None:
    """A retry between a worker's death and the next opening neither breaks nor hides a line."""
    async with harnessed(redis_url) as harness:
        batch = await harness.ledger.submit(2, not_before_ms=now_ms() - HOUR_MS, allowed_ms=1)
        part = await harness.ledger.open()
        await harness.ledger.settle(
            part, part.entries[0], FAILED
        )  # and dies before it has logged it
        (lines,) = [lines async for lines in harness.ledger.batches.lines(batch)]
        reopened = await harness.ledger.retries.reopen(batch, 0, lines, now_ms() - 1)
        await work(harness.context, "b", 0)
        settled: list[Any] = [
            call.kwargs for call in harness.heard.calls if "outcome" in call.kwargs
        ]

        assert (0, 1) == reopened
        assert {1: "failed", 2: "expired"} == {each["row"]: each["outcome"] for each in settled}
        assert 2 == len(settled)
    assert 1 == events(harness.heard).count("batch.finished")


class Crashing(Sending):
    """A call at which the program fails."""

    async def _find_token(self) -> str:
        return "a token"

    async def _exchange(self, token: str) -> Reply:
        raise KeyError(token)


@awaited
async def test_a_probe_at_which_the_program_fails_is_given_back(redis_url: str) -> None:
    """Whatever happens in the one call that may open the gate, another one can be made."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=HOUR_MS)
        part = await harness.context.ledger.slices.open(harness.worker, "b", 0)
        assert part is not None
        for number in range(STORM_MAILBOXES):
            await harness.context.calls.gate.replied(Permission.OPEN, f"user{number}", now_ms())
        (entry,) = part.entries
        lane = Lane(entry.given.mailbox, [], 1)
        with pytest.raises(KeyError):
            await Crashing(Shift(harness.context, part), lane, entry).make()

        assert Permission.PROBE is await harness.context.calls.gate.ask(harness.worker)


@pytest.mark.parametrize(
    ("changes", "doubted"),
    [({"plan": True}, False), ({"not_before_ms": now_ms() + HOUR_MS}, False), ({}, True)],
    ids=["a plan", "for later", "any other"],
)
@awaited
async def test_only_what_may_have_been_marked_is_doubted(
    redis_url: str, changes: dict[str, Any], *, doubted: bool
) -> None:
    """A plan makes no mark, and neither does a batch before its time: Redis can forget none."""
    async with harnessed(redis_url) as harness:
        await harness.ledger.submit(2, **changes)
        part = await harness.context.ledger.slices.open(
            harness.context.ledger.worker_lease.name, "b", 0
        )
        assert part is not None
        part.doubted_ms = now_ms()
        await take_over(Shift(harness.context, part))
        assert [doubted] * 2 == [entry.record.unclear for entry in part.entries]
