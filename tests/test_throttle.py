"""Who may call: widths, slots, and the gate that all workers share."""

import asyncio
from typing import Any

from awaited import awaited
from redis import Redis
from small_ledger import NOW, Ledger, events, ledger_at, listening

from jobs.ledger import keys
from worker.throttle import (
    NARROW_MS,
    NARROWED_KEPT,
    OVERBOOKED,
    STORM_MAILBOXES,
    Gate,
    Slots,
    Widths,
)

UNTIL = NOW + 30_000


def test_lanes_become_narrower() -> None:
    """Each refusal for concurrency costs a mailbox one call, but the last one stays."""
    widths = Widths(4, lambda: NOW)
    seen = []
    for _ in range(5):
        seen.append(widths.of("ada"))
        widths.narrow("ada")

    assert [4, 3, 2, 1, 1] == seen
    assert 4 == widths.of("bob")


def test_lanes_become_wide_again() -> None:
    """Some minutes after the last refusal a mailbox has all its calls again."""
    moments = [NOW]
    widths = Widths(4, lambda: moments[-1])
    widths.narrow("ada")
    widths.narrow("ada")
    seen = []
    for passed_ms in (NARROW_MS - 1, NARROW_MS):
        moments.append(NOW + passed_ms)
        seen.append(widths.of("ada"))

    assert [2, 4] == seen


def test_narrower_lanes_are_forgotten() -> None:
    """Of very many narrowed mailboxes the one that was narrowed longest ago is forgotten."""
    widths = Widths(4, lambda: NOW)
    for number in range(NARROWED_KEPT + 1):
        widths.narrow(f"user{number}")
        widths.narrow("ada")

    assert (1, 4, 3) == (widths.of("ada"), widths.of("user0"), widths.of(f"user{NARROWED_KEPT}"))


@awaited
async def test_slots_have_room_until_they_are_wanted() -> None:
    """There is room for another slice while what is wanted does not exceed what there is by far."""
    slots = Slots(100)
    rooms = [slots.room]
    slots.want("a", 100)
    rooms.append(slots.room)
    slots.want("b", int(100 * OVERBOOKED) - 100)
    rooms.append(slots.room)
    slots.less("a", 1)
    rooms.append(slots.room)
    slots.want("a", 1_000)
    slots.unwant("a")
    slots.unwant("a")
    slots.less("a", 5_000)
    rooms.append(slots.room)

    assert [True, True, False, True, True] == rooms


@awaited
async def test_slots_bound_the_calls() -> None:
    """No more calls get a slot at once than the process may have in flight."""
    slots = Slots(3)
    now = most = 0

    async def call() -> None:
        nonlocal now, most
        async with slots.free:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(call() for _ in range(9)))
    assert 3 == most


class Gates:
    """Gates of several workers on one ledger, under one hand-driven clock."""

    def __init__(self, ledger: Ledger, count: int) -> None:
        self.now_ms = NOW
        log, self.heard = listening()
        self.all = [Gate(ledger.leases, lambda: self.now_ms, log) for _ in range(count)]

    async def refresh(self) -> list[bool]:
        """Have every worker's heart beat; return who would admit a call, without making one."""
        for number, gate in enumerate(self.all):
            await gate.refresh(f"worker {number}")
        admitted = [gate.admits() for gate in self.all]
        for gate in self.all:
            gate.give_back()
        return admitted

    async def storm(self, gate: Gate, mailboxes: int = STORM_MAILBOXES) -> None:
        """Let one call of each of so many mailboxes be throttled."""
        for number in range(mailboxes):
            await gate.replied(f"user{number}", UNTIL)


@awaited
async def test_a_storm_closes_for_all(redis_url: str) -> None:
    """Many mailboxes throttled within a second close the gate here at once, there at a beat."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 3)
        before = await gates.refresh()
        await gates.storm(gates.all[0])
        at_once = [gate.admits() for gate in gates.all]
        after = await gates.refresh()

        assert [True] * 3 == before
        assert [False, True, True] == at_once
        assert [False] * 3 == after
        assert [UNTIL] * 3 == [gate.reopens_ms() for gate in gates.all]
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_what_is_no_storm(redis_url: str) -> None:
    """Few mailboxes, one mailbox often, slow refusals, or mostly good replies close nothing."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 4)
        few, one, slow, good = gates.all
        await gates.storm(few, STORM_MAILBOXES - 1)
        for _ in range(3 * STORM_MAILBOXES):
            await one.replied("ada", UNTIL)
        for number in range(3 * STORM_MAILBOXES):
            gates.now_ms += 200
            await slow.replied(f"user{number}", UNTIL)
        for number in range(3 * STORM_MAILBOXES):
            await good.replied("ada", None)
            await good.replied("ada", None)
            await good.replied(f"user{number}", UNTIL)

        assert [True] * 4 == await gates.refresh()
    assert [] == events(gates.heard)


@awaited
async def test_one_probe_goes_first(redis_url: str) -> None:
    """When the pause is over one call of one worker is let through, and when it worked, all are."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 3)
        await gates.storm(gates.all[0])
        gates.now_ms = UNTIL - 1
        early = await gates.refresh()
        gates.now_ms = UNTIL
        probing = [await gates.refresh() for _ in range(2)]
        (prober,) = [gate for gate, admits in zip(gates.all, probing[0], strict=True) if admits]
        calls = [prober.admits(), prober.admits()]
        beats = await gates_that_admit(gates)
        await prober.replied("ada", None)

        assert [False] * 3 == early
        assert ([True, False, False], probing[0]) == (sorted(probing[0], reverse=True), probing[1])
        assert ([True, False], 0) == (calls, beats)
        assert [True] * 3 == await gates.refresh()
    assert ["graph.paused", "graph.resumed"] == events(gates.heard)


async def gates_that_admit(gates: Gates) -> int:
    """Count the workers that would let a call through, the probe being out."""
    for number, gate in enumerate(gates.all):
        await gate.refresh(f"worker {number}")
    return sum(gate.admits() for gate in gates.all)


@awaited
async def test_a_probe_that_is_throttled(redis_url: str) -> None:
    """A probe that is throttled closes the gate for as long again, and then one goes first anew."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        await gates.storm(gates.all[0])
        gates.now_ms = UNTIL
        await gates.refresh()
        (prober,) = [gate for gate in gates.all if gate.admits()]
        await prober.replied("ada", UNTIL + 5_000)
        closed = await gates.refresh()
        gates.now_ms = UNTIL + 5_000
        probing = await gates.refresh()

        assert ([False, False], 1) == (closed, sum(probing))


@awaited
async def test_a_probe_that_was_not_made(redis_url: str) -> None:
    """A probe whose mark was refused is given back, and the next call may be it."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 1)
        (gate,) = gates.all
        await gates.storm(gate)
        gates.now_ms = UNTIL
        await gate.refresh("w")
        first, second = gate.admits(), gate.admits()
        gate.give_back()

        assert [True, False, True] == [first, second, gate.admits()]


@awaited
async def test_a_prober_that_died(redis_url: str, redis: "Redis") -> None:
    """When the worker that was to probe is gone for long, another one probes."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        await gates.storm(gates.all[0])
        gates.now_ms = UNTIL
        await gates.all[0].refresh("dies")
        other: Any = gates.all[1]
        await other.refresh("lives")
        before = other.admits()
        redis.delete(keys.PROBE)  # its lease has run out
        await other.refresh("lives")

        assert [False, True] == [before, other.admits()]


@awaited
async def test_replies_to_older_calls_do_not_open(redis_url: str) -> None:
    """Calls that were in flight when the gate closed may end as they like, it stays closed."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        await gates.storm(gates.all[0])
        await gates.refresh()
        for gate in gates.all:
            await gate.replied("ada", None)
            await gate.replied("bob", UNTIL + 1)

        assert [False, False] == await gates.refresh()
        assert [UNTIL, UNTIL] == [gate.reopens_ms() for gate in gates.all]
