"""Responses begun one by one: who died in one is known, and nobody else is blamed for it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.ledger.slices.writes import Kind
from jobs.outcome import Ending, Outcome, Reason
from jobs.steps import Next, Step
from jobs.times import now_ms
from tests.support.awaited import awaited
from tests.support.harness import Harness, harnessed
from worker.slice.lane import Lane
from worker.slice.quarantine import TRIES, answer_singly, answer_suspect
from worker.slice.shared_lock import SharedLock
from worker.slice.shift import Shift
from worker.slice.takeover import take_over
from worker.slice.walk import DEATHS
from worker.slice.work import work

EXHAUSTED = Ending(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED)


async def reopened(harness: Harness) -> tuple[Shift, OpenSlice]:
    """Open the only slice anew in another process, as after a death; return a shift of it."""
    part = await harness.context.ledger.slices.open(harness.worker, "b", 0)
    assert part is not None
    calls = replace(harness.context.calls, process_lock=SharedLock())
    return Shift(replace(harness.context, calls=calls), part), part


async def lives(_: Lane, __: Entry) -> None:
    """Take a response, and come to an end with it."""


async def dying_in(take: Any, shift: Shift, entry: Entry) -> "asyncio.Task[None]":
    """Begin a response and never come back from it."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def dies(_: Lane, __: Entry) -> None:
        begun.set()
        await never.wait()

    shift.context.calls.process_lock._join()  # as a slice that is worked on
    task = asyncio.create_task(take(shift, dies, Lane("m", [], 1), entry))
    await begun.wait()
    return task


@awaited
async def test_a_drain_begins_nothing(redis_url: str) -> None:
    """A poisoned slice that is left because its worker ends has tried none of its responses."""
    async with harnessed(redis_url) as harness:
        await harness.submit(3, not_before_ms=now_ms(), allowed_ms=86_400_000)
        for _ in range(DEATHS):
            await harness.ledger.open()
        harness.context.signals.draining.set()
        for _ in range(DEATHS):
            await harness.ledger.open()
            await work(harness.context, "b", 0)

        assert {} == (await harness.ledger.batches.get("b")).outcomes
        assert {} == (await harness.ledger.open()).suspects


@awaited
async def test_who_dies_leaves_a_suspect(redis_url: str) -> None:
    """The response that was begun when somebody died is known; those that lived are not blamed."""
    async with harnessed(redis_url) as harness:
        await harness.submit(3, not_before_ms=now_ms(), allowed_ms=86_400_000)
        shift, part = await reopened(harness)
        await answer_singly(shift, lives, Lane("m", [], 1), part.entries[0])
        dead = await dying_in(answer_singly, shift, part.entries[1])
        _, after = await reopened(harness)
        dead.cancel()

        assert {"2": 0} == after.suspects


@awaited
async def test_a_suspect_is_given_up_after_some_tries(redis_url: str) -> None:
    """Only who has been begun alone and not lived through, again and again, is given up."""
    tries = list[dict[str, int]]()
    async with harnessed(redis_url) as harness:
        await harness.submit(2, not_before_ms=now_ms(), allowed_ms=86_400_000)
        shift, part = await reopened(harness)
        dead = [await dying_in(answer_singly, shift, part.entries[0])]
        for _ in range(TRIES):
            shift, part = await reopened(harness)
            dead.append(await dying_in(answer_suspect, shift, part.entries[0]))
            tries.append(part.suspects)
        shift, part = await reopened(harness)
        await answer_suspect(shift, lives, Lane("m", [], 1), part.entries[0])
        _, after = await reopened(harness)
        for task in dead:
            task.cancel()

    assert [{"1": 0}, {"1": 1}, {"1": 2}] == tries
    assert ({}, {2}) == (after.suspects, {entry.row for entry in after.entries})
    assert (EXHAUSTED, TRIES) == (after.lines[1].record.ending, after.lines[1].record.attempts)


@awaited
async def test_who_lives_is_suspected_no_more(redis_url: str) -> None:
    """A response that was lived through once has all its tries before it again."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=86_400_000)
        _, part = await reopened(harness)
        await harness.context.ledger.slices.suspect(part, 1, TRIES - 1)
        shift, part = await reopened(harness)
        async with shift.context.calls.process_lock.shared():
            await answer_suspect(shift, lives, Lane("m", [], 1), part.entries[0])
        _, after = await reopened(harness)

        assert ({"1": TRIES - 1}, {}) == (part.suspects, after.suspects)


@pytest.mark.parametrize(("cleared", "deaths"), [(False, 2), (True, 0)])
@awaited
async def test_deaths_count_on(redis_url: str, *, cleared: bool, deaths: int) -> None:
    """A slice that is opened and left keeps its deaths: it need not be the one that kills."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=86_400_000)
        await harness.ledger.open()
        await harness.ledger.open()
        part = await harness.ledger.open()
        part.cleared = cleared
        await harness.context.ledger.slices.close(part)
        assert deaths == (await harness.ledger.open()).deaths


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize("known", [None, TRIES - 1])
@awaited
async def test_who_ends_in_order_blames_nobody(
    redis_url: str, known: int | None, *, cut_off: bool
) -> None:
    """Told to end, or cut off, a worker leaves neither a death nor a try behind."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1, not_before_ms=now_ms(), allowed_ms=86_400_000)
        _, part = await reopened(harness)
        if known is not None:
            await harness.context.ledger.slices.suspect(part, 1, known)
        shift, part = await reopened(harness)
        take = answer_singly if known is None else answer_suspect
        dead = await dying_in(take, shift, part.entries[0])
        await shift.excuse()
        if cut_off:
            dead.cancel()
            await asyncio.gather(dead, return_exceptions=True)
            await shift.abandon()
        after = await harness.ledger.open()
        dead.cancel()

        assert (0, {} if known is None else {"1": known}) == (after.deaths, after.suspects)


@awaited
async def test_what_ended_is_suspected_no_more(redis_url: str) -> None:
    """Killed between the end of a response and the note of that, a worker leaves no blame."""
    async with harnessed(redis_url) as harness:
        await harness.submit(1)
        _, part = await reopened(harness)
        await harness.context.ledger.slices.suspect(part, 1, 0)
        await harness.ledger.settle(part, part.entries[0], EXHAUSTED)
        await work(harness.context, "b", 0)

        assert {} == (await harness.ledger.open()).suspects


@awaited
async def test_deaths_use_up_no_last_attempt(redis_url: str) -> None:
    """However many workers die while a response is sent beside others, one attempt is left."""
    async with harnessed(redis_url) as harness:
        await harness.submit(2, not_before_ms=now_ms(), allowed_ms=86_400_000)
        for number in range(harness.context.calls.max_attempts + 2):
            shift, part = await reopened(harness)
            await take_over(shift)
            first, _ = part.entries
            marked = first.record.marked(f"call {number}")
            await harness.context.ledger.slices.write(part, Kind.MARK, first, marked)
        shift, part = await reopened(harness)
        await take_over(shift)
        seen = part.entries[0].record.shown("notResponded")
        await harness.context.ledger.slices.write(part, Kind.NOTE, part.entries[0], seen)

        assert harness.context.calls.max_attempts - 1 == part.entries[0].record.attempts
        assert Next(Step.SEND) == shift.next_step(part.entries[0])


@awaited
async def test_who_comes_too_late_blames_and_clears_nobody(redis_url: str) -> None:
    """What a worker says of itself after its slice was opened anew changes nothing there."""
    async with harnessed(redis_url) as harness:
        await harness.submit(2, not_before_ms=now_ms(), allowed_ms=86_400_000)
        _, late = await reopened(harness)
        for _ in range(DEATHS):
            _, part = await reopened(harness)
        await harness.context.ledger.slices.suspect(part, 1, 1)
        await harness.context.ledger.slices.excuse(late, 1)
        await harness.context.ledger.slices.acquit(late, 1)
        await harness.context.ledger.slices.suspect(late, 2, 0)
        late.cleared = True
        await harness.context.ledger.slices.close(late)
        _, after = await reopened(harness)

        assert ({"1": 1}, DEATHS + 1) == (after.suspects, after.deaths)
