"""Who may call: widths, slots, and the gate that all workers share."""

import asyncio
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from jobs.ledger import keys
from tests.support.awaited import awaited
from tests.support.redis.redis_proxy import redis_proxy
from tests.support.small_ledger import NOW, Ledger, events, ledger_at, listening
from worker.throttle.gate import PROBE_AGAIN_MS, STORM_MAILBOXES, Gate, Permission
from worker.throttle.slots import AHEAD_OVERBOOKED, OVERBOOKED, Slots
from worker.throttle.widths import NARROW_MS, NARROWED_KEPT, Widths

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
    """Some minutes after the last refusal a mailbox has all its calls again, and loses one anew."""
    moments = [NOW]
    widths = Widths(4, lambda: moments[-1])
    widths.narrow("ada")
    moments.append(NOW + 5)
    widths.narrow("ada")
    seen = []
    for passed_ms in (NARROW_MS, NARROW_MS + 4, NARROW_MS + 5):
        moments.append(NOW + passed_ms)
        seen.append(widths.of("ada"))
    widths.narrow("ada")

    assert ([2, 2, 4], 3) == (seen, widths.of("ada"))


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
    rooms = [slots.room()]
    slots.want("a", 100)
    rooms.append(slots.room())
    slots.want("b", int(100 * OVERBOOKED) - 100)
    rooms.append(slots.room())
    slots.change("a", -1)
    rooms.append(slots.room())
    slots.want("a", 1_000)
    slots.unwant("a")
    slots.unwant("a")
    slots.change("a", -5_000)
    rooms.append(slots.room())

    assert [150, 50, 0, 1, 100] == rooms


@awaited
async def test_slices_that_go_ahead_find_more_room() -> None:
    """They are taken while others have to wait for room, but not without any end."""
    slots = Slots(100)
    slots.want("others", int(100 * OVERBOOKED))
    rooms = [(slots.room(), slots.room(ahead=True))]
    slots.want("first", int(100 * AHEAD_OVERBOOKED) - int(100 * OVERBOOKED))
    rooms.append((slots.room(), slots.room(ahead=True)))

    assert [(0, 75), (0, 0)] == rooms


class Gates:
    """Gates of several workers on one ledger, under one hand-driven clock."""

    def __init__(self, ledger: Ledger, count: int) -> None:
        self.now_ms = NOW
        log, self.heard = listening()
        self.all = [Gate(ledger.leases, lambda: self.now_ms, log) for _ in range(count)]

    async def beat(self) -> None:
        """Have every worker's heart beat."""
        for gate in self.all:
            await gate.refresh()

    async def ask(self) -> list[Permission]:
        """Have every worker ask for leave, in turn."""
        return [await gate.ask(f"worker {number}") for number, gate in enumerate(self.all)]

    async def try_all(self) -> list[Permission]:
        """Let all hearts beat and all workers ask, but none of them call."""
        await self.beat()
        leaves = await self.ask()
        for gate, leave in zip(self.all, leaves, strict=True):
            gate.give_back(leave)
        return leaves

    async def storm(self, gate: Gate, mailboxes: int = STORM_MAILBOXES) -> None:
        """Let one call of each of so many mailboxes be throttled."""
        for number in range(mailboxes):
            await gate.replied(Permission.OPEN, f"user{number}", UNTIL)

    async def probe(self) -> list[Permission]:
        """Close all gates, let the pause go by, and have all workers ask."""
        await self.storm(self.all[0])
        self.now_ms = UNTIL
        await self.beat()
        return await self.ask()


@awaited
async def test_a_storm_closes_for_all(redis_url: str) -> None:
    """Many mailboxes throttled within a second close the gate here at once, there at a beat."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 3)
        before = await gates.try_all()
        await gates.storm(gates.all[0])
        at_once = await gates.ask()
        after = await gates.try_all()

        assert [Permission.OPEN] * 3 == before
        assert [Permission.CLOSED, Permission.OPEN, Permission.OPEN] == at_once
        assert [Permission.CLOSED] * 3 == after
        assert [UNTIL] * 3 == [gate.reopens_ms() for gate in gates.all]
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_a_storm_is_told_once(redis_url: str) -> None:
    """Of all the throttled replies that arrive together, one closes the gate."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 1)
        (gate,) = gates.all
        replies = [(f"user{number}", UNTIL) for number in range(3 * STORM_MAILBOXES)]
        await asyncio.gather(*(gate.replied(Permission.OPEN, *reply) for reply in replies))

        assert [Permission.CLOSED] == await gates.try_all()
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_what_is_no_storm(redis_url: str) -> None:
    """Few mailboxes, one mailbox often, slow refusals, or mostly good replies close nothing."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 4)
        few, one, slow, good = gates.all
        await gates.storm(few, STORM_MAILBOXES - 1)
        for _ in range(3 * STORM_MAILBOXES):
            await one.replied(Permission.OPEN, "ada", UNTIL)
        for number in range(3 * STORM_MAILBOXES):
            gates.now_ms += 200
            await slow.replied(Permission.OPEN, f"user{number}", UNTIL)
        for number in range(3 * STORM_MAILBOXES):
            await good.replied(Permission.OPEN, "ada", None)
            await good.replied(Permission.OPEN, "ada", None)
            await good.replied(Permission.OPEN, f"user{number}", UNTIL)

        assert [Permission.OPEN] * 4 == await gates.try_all()
    assert [] == events(gates.heard)


@awaited
async def test_one_probe_goes_first(redis_url: str) -> None:
    """When the pause is over one call of one worker is let through, and when it worked, all are."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 3)
        await gates.storm(gates.all[1])
        gates.now_ms = UNTIL - 1
        early = await gates.try_all()
        gates.now_ms = UNTIL
        await gates.beat()
        first, second = await gates.ask(), await gates.ask()
        await gates.all[0].replied(first[0], "ada", None)

        assert [Permission.CLOSED] * 3 == early
        assert [Permission.PROBE, Permission.CLOSED, Permission.CLOSED] == first
        assert [Permission.CLOSED] * 3 == second
        assert [Permission.OPEN] * 3 == await gates.try_all()
        assert await ledger.leases.graph_paused_until_ms() is None
    assert ["graph.paused", "graph.resumed"] == events(gates.heard)


@awaited
async def test_a_probe_that_is_throttled(redis_url: str) -> None:
    """A probe that is throttled closes the gate for as long again, and then one goes first anew."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        leaves = await gates.probe()
        await gates.all[0].replied(leaves[0], "ada", UNTIL + 5_000)
        closed = await gates.try_all()
        gates.now_ms = UNTIL + 5_000
        again = await gates.try_all()

        assert [Permission.PROBE, Permission.CLOSED] == leaves == again
        assert [Permission.CLOSED] * 2 == closed
    assert ["graph.paused"] * 2 == events(gates.heard)


@awaited
async def test_a_probe_that_shows_nothing(redis_url: str) -> None:
    """A probe that nobody answered, or not Graph, opens nothing; another one is made soon."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        leaves = await gates.probe()
        await gates.all[0].replied(leaves[0], "ada", None, went_through=False)
        at_once = await gates.try_all()
        gates.now_ms += PROBE_AGAIN_MS
        await gates.beat()
        again = await gates.ask()

        assert [Permission.PROBE, Permission.CLOSED] == leaves == again
        assert [Permission.CLOSED] * 2 == at_once
    assert ["graph.paused"] * 2 == events(gates.heard)


@awaited
async def test_a_probe_that_was_not_made(redis_url: str) -> None:
    """A probe whose mark was refused is given back, and its worker's next call may be it."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        before = await gates.probe()
        gates.all[0].give_back(Permission.PROBE)

        assert [Permission.PROBE, Permission.CLOSED] == before == await gates.ask()


@awaited
async def test_only_the_probe_gives_a_probe_back(redis_url: str) -> None:
    """A call that passed earlier, or not at all, gives back nothing of the probe under way."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 1)
        await gates.probe()
        for leave in (Permission.OPEN, Permission.CLOSED):
            gates.all[0].give_back(leave)

        assert [Permission.CLOSED] == await gates.ask()


@awaited
async def test_only_who_asks_claims_the_probe(redis_url: str, redis: "Redis") -> None:
    """An idle worker whose heart beats leaves the probe to the one that has a call to make."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        await gates.storm(gates.all[0])
        gates.now_ms = UNTIL
        for _ in range(3):
            await gates.beat()
        unclaimed = redis.exists(keys.PROBE)
        leave = await gates.all[1].ask("busy")

        assert (0, Permission.PROBE, b"busy") == (unclaimed, leave, redis.get(keys.PROBE))


@awaited
async def test_a_prober_that_died(redis_url: str, redis: "Redis") -> None:
    """When the worker that was to probe is gone for long, another one probes, and only that one."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 3)
        dead, *living = await gates.probe()
        redis.delete(keys.PROBE)  # its lease has run out
        heirs = await gates.ask()

        assert [Permission.PROBE, Permission.CLOSED, Permission.CLOSED] == [dead, *living]
        assert [Permission.CLOSED, Permission.PROBE, Permission.CLOSED] == heirs


@awaited
async def test_a_claim_that_ran_out_is_not_used(redis_url: str, redis: "Redis") -> None:
    """Who had the probe, did not make it and lost it to another worker does not make it too."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        before = await gates.probe()
        gates.all[0].give_back(before[0])
        redis.delete(keys.PROBE)  # its lease has run out
        other = await gates.all[1].ask("worker 1")

        assert (Permission.PROBE, Permission.PROBE) == (before[0], other)
        assert [Permission.CLOSED] * 2 == await gates.ask()


@awaited
async def test_calls_that_ask_together_make_one_probe(redis_url: str) -> None:
    """Of all calls that one worker wants to make when the pause is over, one is let through."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 1)
        (gate,) = gates.all
        await gates.storm(gate)
        gates.now_ms = UNTIL
        leaves = await asyncio.gather(*(gate.ask("w") for _ in range(9)))

        assert [Permission.CLOSED] * 8 + [Permission.PROBE] == sorted(leaves)


@awaited
async def test_replies_to_older_calls_do_not_open(redis_url: str) -> None:
    """Calls that were in flight when the gate closed may end as they like, it stays closed."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        await gates.storm(gates.all[0])
        await gates.beat()
        for gate in gates.all:
            await gate.replied(Permission.OPEN, "ada", None)
            await gates.storm(gate)
            await gate.replied(Permission.OPEN, "bob", UNTIL + 1)

        assert [Permission.CLOSED] * 2 == await gates.try_all()
        assert [UNTIL, UNTIL] == [gate.reopens_ms() for gate in gates.all]
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_replies_to_older_calls_do_not_end_a_probe(redis_url: str) -> None:
    """While the probe is under way, what was sent before it lets nobody else through."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger, 2)
        leaves = await gates.probe()
        for gate in gates.all:
            await gate.replied(Permission.OPEN, "ada", None)
            await gate.replied(Permission.OPEN, "bob", UNTIL + 1)
        meanwhile = await gates.ask()
        await gates.all[0].replied(leaves[0], "ada", None)

        assert [Permission.CLOSED] * 2 == meanwhile
        assert [Permission.OPEN] * 2 == await gates.try_all()


@awaited
async def test_a_closing_that_redis_did_not_hear(redis_url: str, tmp_path: Path) -> None:
    """When Redis fails while a storm closes the gate, saying it again closes it for all."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(proxy.url) as ledger:
        gates = Gates(ledger, 2)
        gate = gates.all[0]
        await gates.storm(gate, STORM_MAILBOXES - 1)
        proxy.fail(keys.GRAPH)
        with pytest.raises(RedisError):
            await gate.replied(Permission.OPEN, "ada", UNTIL)
        proxy.fail(None)
        await gate.replied(Permission.OPEN, "ada", UNTIL)

        assert [Permission.CLOSED] * 2 == await gates.try_all()
    assert ["graph.paused"] == events(gates.heard)


@pytest.mark.parametrize(
    ("throttled_until_ms", "expected"), [(None, Permission.OPEN), (UNTIL + 1, Permission.CLOSED)]
)
@awaited
async def test_a_probe_that_redis_did_not_hear(
    redis_url: str, tmp_path: Path, throttled_until_ms: int | None, expected: Permission
) -> None:
    """When Redis fails while the reply to a probe is told, telling it again does what it says."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(proxy.url) as ledger:
        gates = Gates(ledger, 2)
        leaves = await gates.probe()
        proxy.fail(keys.GRAPH)
        with pytest.raises(RedisError):
            await gates.all[0].replied(leaves[0], "ada", throttled_until_ms)
        meanwhile = await gates.all[0].ask("worker 0")
        proxy.fail(None)
        await gates.all[0].replied(leaves[0], "ada", throttled_until_ms)

        assert Permission.CLOSED is meanwhile
        assert [expected] * 2 == await gates.try_all()
        assert throttled_until_ms == await ledger.leases.graph_paused_until_ms()


@awaited
async def test_a_claim_that_redis_did_not_hear(redis_url: str, tmp_path: Path) -> None:
    """When Redis fails while the probe is claimed, the next call may claim it."""
    async with redis_proxy(redis_url, tmp_path) as proxy, ledger_at(proxy.url) as ledger:
        gates = Gates(ledger, 1)
        (gate,) = gates.all
        await gates.storm(gate)
        gates.now_ms = UNTIL
        proxy.fail(keys.PROBE)
        with pytest.raises(RedisError):
            await gate.ask("w")
        proxy.fail(None)

        assert Permission.PROBE is await gate.ask("w")
