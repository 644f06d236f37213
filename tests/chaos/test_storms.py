"""
Storms of 429: mailboxes shut for an hour, again and again, all at once, with absurd Retry-After.

What Graph received is in the sandbox's journal, what became of it in the results. The tests that
measure how much longer everybody else takes are marked `chaos`; they record it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pytest

from tests.support.awaited import awaited
from tests.support.chaos.checker import Records
from tests.support.chaos.scenario import Figure, Ordeal
from tests.support.program import Program, Worker
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import NOW, Ledger, events, ledger_at, listening
from tests.support.waiting import wait_until
from worker.sandbox import Entry
from worker.throttle.gate import STORM_MAILBOXES, Gate, Permission

ABSURD: Final = {
    "none@contoso.com": "",
    "zero@contoso.com": "0",
    "minus@contoso.com": "-1",
    "text@contoso.com": "soon",
    "past@contoso.com": "Wed, 21 Oct 2020 07:28:00 GMT",
}
"""Retry-After that asks for nothing usable, by mailbox."""

LONG: Final = {
    "hour@contoso.com": "3600",
    "day@contoso.com": "86400",
    "years@contoso.com": "99999999",
    "date@contoso.com": "date+7200",
    "century@contoso.com": "Wed, 21 Oct 2099 07:28:00 GMT",
}
"""Retry-After that lies behind the deadline of every batch here, by mailbox."""

DAY_S: Final = 86_400

LATE_S: Final = 30
"""So long after the deadline nobody had to wait for anything else, even on a busy machine."""


def rows_for(users: Iterable[str], count: int) -> list[dict[str, Any]]:
    """Make so many responses of each user."""
    return [
        {"user": user, "event": f"e{n}", "action": "decline"}
        for user in users
        for n in range(count)
    ]


def people(count: int) -> list[str]:
    """Name users whom nothing stops."""
    return [f"person{n}@contoso.com" for n in range(count)]


def shut(sandbox: SandboxClient, waits: dict[str, str], times: int = 1) -> None:
    """Have each user's first calls answered with 429 and a Retry-After; -1 times means all."""
    sandbox.faults(
        [
            {"user": user, "times": times, "status": 429, "headers": {"Retry-After": wait}}
            for user, wait in waits.items()
        ]
    )


def calls_to(journal: Iterable[Entry], users: Iterable[str]) -> Counter[str]:
    """Count the calls that reached each of these mailboxes."""
    wanted = set(users)
    return Counter(entry.mailbox for entry in journal if entry.mailbox in wanted)


def ends(records: Records, users: Iterable[str]) -> Counter[tuple[str, int]]:
    """Count how the responses of these users ended, and after how many attempts."""
    wanted = set(users)
    return Counter(
        (line["outcome"], line["attempts"]) for line in records.results if line["user"] in wanted
    )


def late_s(records: Records, outcome: str) -> list[float]:
    """Return how long after the deadline each response of one outcome was settled."""
    deadline = datetime.fromisoformat(records.status["deadline"])
    return [
        (datetime.fromisoformat(line["settledAt"]) - deadline).total_seconds()
        for line in records.results
        if line["outcome"] == outcome
    ]


def run(ordeal: Ordeal, rows: Sequence[dict[str, Any]], deadline: str, **settings: str) -> None:
    """
    Work on a batch from its first moment to its end, with two workers.

    One is there already, for a deadline does not wait until a worker has started; the other one
    stops by itself.
    """
    with ordeal.worker(**settings) as ready:
        wait_until_started([ready])
        ordeal.submit(rows, "--deadline", deadline)
        ordeal.burst(**settings)


def lines(ordeal: Ordeal, event: str) -> list[dict[str, Any]]:
    """Return the lines of one event, of all workers."""
    return [line for worker in ordeal.workers for line in worker.events(event)]


def wait_until_started(workers: Iterable[Worker]) -> None:
    """Wait until all workers are there to take something."""
    for worker in workers:
        worker.wait_for("worker.started")


@pytest.mark.chaos
def test_a_mailbox_shut_beyond_the_deadline_is_called_once(
    program: Program, sandbox: SandboxClient
) -> None:
    """A mailbox shut for an hour is called once; it expires at the deadline; it holds no slot."""
    shut(sandbox, LONG)
    others = people(20)
    ordeal = Ordeal(program, sandbox)
    settings = {"BULKRSVP_MAX_CALLS": "2", "BULKRSVP_MAILBOX_CONCURRENCY": "1"}
    run(ordeal, rows_for([*LONG, *others], 3), "4s", **settings)

    records = ordeal.records()
    assert dict.fromkeys(LONG, 1) == calls_to(records.journal, LONG)
    assert {("sent", 1): 60} == ends(records, others)
    assert {("expired", 0): 15} == ends(records, LONG)
    late = late_s(records, "expired")
    assert (0 <= min(late), max(late) < LATE_S) == (True, True), late
    asked = {line["user"]: line["retry_after_s"] for line in lines(ordeal, "mailbox.paused")}
    assert {"hour": 3600, "day": DAY_S, "years": DAY_S, "century": DAY_S} == {
        user.partition("@")[0]: seconds for user, seconds in asked.items() if "date" not in user
    }
    assert ([], 0) == (lines(ordeal, "graph.paused"), sandbox.stats().early)
    assert [] == ordeal.violations()


MOST_ROUNDS: Final = 12
"""Backoff doubles: in five seconds it takes chance beyond belief to come back more often."""


@pytest.mark.chaos
def test_being_shut_again_and_again_costs_no_attempt(
    program: Program, sandbox: SandboxClient
) -> None:
    """What is throttled for all of its batch costs no attempt, no call early, and few calls."""
    sandbox.options(early_grace_s=0)
    waits = {"one@contoso.com": "1", **ABSURD}
    shut(sandbox, waits, times=-1)
    others = people(20)
    ordeal = Ordeal(program, sandbox)
    settings = {"BULKRSVP_MAX_ATTEMPTS": "1", "BULKRSVP_MAILBOX_CONCURRENCY": "1"}
    run(ordeal, rows_for([*waits, *others], 2), "5s", **settings)

    records = ordeal.records()
    assert {("sent", 1): 40} == ends(records, others)
    assert {("expired", 0): 12} == ends(records, waits)
    late = late_s(records, "expired")
    assert (0 <= min(late), max(late) < LATE_S) == (True, True), late
    calls = calls_to(records.journal, waits)
    assert set(waits) == {user for user, count in calls.items() if 2 <= count <= MOST_ROUNDS}, calls
    assert ([], 0) == (lines(ordeal, "graph.paused"), sandbox.stats().early)
    assert [] == ordeal.violations()


def settled_s(workers: Iterable[Worker], users: Iterable[str]) -> list[float]:
    """Return when the responses of these users were settled, in seconds of Unix time, in order."""
    wanted = set(users)
    return sorted(
        datetime.fromisoformat(line["timestamp"]).timestamp()
        for worker in workers
        for line in worker.events("response.settled")
        if line["user"] in wanted
    )


@pytest.mark.chaos
def test_a_few_shut_mailboxes_hold_up_no_other(program: Program, sandbox: SandboxClient) -> None:
    """While a few of many mailboxes are shut, all others are answered; none is called early."""
    sandbox.options(latency_s=0.05)
    everybody = people(200)
    closed = everybody[::50]
    others = [user for user in everybody if user not in closed]
    shut(sandbox, dict.fromkeys(closed, "4"))
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(rows_for(everybody, 2))
    worker = ordeal.burst(BULKRSVP_MAX_CALLS="40")

    assert max(settled_s([worker], others)) < min(settled_s([worker], closed))
    assert set(closed) == {line["user"] for line in worker.events("mailbox.paused")}
    assert ([], 0) == (worker.events("graph.paused"), sandbox.stats().early)
    assert {("sent", 1): 400} == ends(ordeal.records(), everybody)
    assert [] == ordeal.violations()


# All at once

WAIT_S: Final = 2
PROBE_S: Final = 0.5
"""How long the call takes that goes through first: time enough for others to go as well."""

BEAT_LOST_S: Final = 1.5
"""So long after a storm began every worker knows of it, and what was under way has arrived."""


def unix_s(line: dict[str, Any], key: str) -> float:
    """Read a time out of a line of the log."""
    return datetime.fromisoformat(line[key]).timestamp()


def paused(workers: Iterable[Worker]) -> list[dict[str, Any]]:
    """Return the lines that tell of a pause of everything, in order."""
    found = [line for worker in workers for line in worker.events("graph.paused")]
    return sorted(found, key=lambda line: unix_s(line, "timestamp"))


def wait_for_calls_after(sandbox: SandboxClient, moment_s: float, count: int) -> None:
    """Wait until Graph has received so many calls after a moment."""
    wait_until(
        lambda: sum(entry.arrived_at > moment_s for entry in sandbox.journal()) >= count,
        "Graph was not called",
    )


def wait_for_a_pause(workers: Sequence[Worker]) -> float:
    """Wait until some worker has paused everything; return when everybody must know."""
    first = wait_until(lambda: paused(workers), "nobody paused")[0]
    return unix_s(first, "timestamp") + BEAT_LOST_S


@pytest.mark.chaos
def test_one_probe_of_all_workers_goes_first(program: Program, sandbox: SandboxClient) -> None:
    """After each pause of everything one call of all workers goes first, until one passes."""
    sandbox.options(early_grace_s=WAIT_S / 2)  # four calls of a mailbox are under way at once
    everybody = people(60)
    shut(sandbox, {"person*": str(WAIT_S)}, times=-1)
    shared = {"BULKRSVP_MAX_CALLS": "16"}
    ordeal = Ordeal(program, sandbox)
    with ordeal.worker(**shared) as first, ordeal.worker(**shared) as second:
        workers = [first, second]
        wait_until_started(workers)
        ordeal.submit(rows_for(everybody, 5))
        quiet_s = wait_for_a_pause(workers)
        wait_for_calls_after(sandbox, quiet_s, 1)
        sandbox.disarm()
        sandbox.faults([{"delay_s": PROBE_S}])
        program.wait_until_finished(ordeal.batch)
        ordeal.wait_for_the_end()

    records = ordeal.records()
    refused, probe, *rest = [call for call in records.journal if call.arrived_at > quiet_s]
    assert (429, 202) == (refused.status, probe.status)
    assert probe.arrived_at - refused.arrived_at >= WAIT_S
    assert probe.ended_at is not None
    assert [] == [call for call in rest if call.arrived_at < probe.ended_at]
    assert 1 == sum(len(worker.events("graph.resumed")) for worker in workers)
    assert all(worker.events("call.finished") for worker in workers), "they did not share the work"
    assert 0 == sandbox.stats().early
    assert {("sent", 1): 300} == ends(records, everybody)
    assert [] == ordeal.violations()


MOST_PROBES: Final = 100
"""More than backoffs leave room for in seconds, and far less than a loop without them makes."""


@pytest.mark.chaos
def test_all_at_once_with_absurd_waits(program: Program, sandbox: SandboxClient) -> None:
    """When all are throttled without a usable wait, few calls are made, and all expire in time."""
    everybody = people(60)
    absurd = list(ABSURD.values())
    shut(sandbox, {user: absurd[n % 5] for n, user in enumerate(everybody)}, times=-1)
    shared = {"BULKRSVP_MAX_CALLS": "16", "BULKRSVP_MAILBOX_CONCURRENCY": "1"}
    ordeal = Ordeal(program, sandbox)
    run(ordeal, rows_for(everybody, 5), "4s", **shared)

    records = ordeal.records()
    assert {("expired", 0): 300} == ends(records, everybody)
    late = late_s(records, "expired")
    assert (0 <= min(late), max(late) < LATE_S) == (True, True), late
    assert 10 <= len(records.journal) <= MOST_PROBES
    assert lines(ordeal, "graph.paused")
    assert 0 == sandbox.stats().early
    assert [] == ordeal.violations()


# What is a storm, and who probes: the gates of workers on one ledger

LATER_MS: Final = 30_000


class Gates:
    """Gates of two workers whose hearts do not beat, under one hand-driven clock."""

    def __init__(self, ledger: Ledger) -> None:
        self.now_ms = NOW
        log, self.heard = listening()
        self.one, self.other = (Gate(ledger.leases, lambda: self.now_ms, log) for _ in range(2))

    async def refuse(self, mailboxes: Iterable[str]) -> None:
        """Let one call of each of these be throttled, at the first worker."""
        for mailbox in mailboxes:
            await self.one.replied(Permission.OPEN, mailbox, self.now_ms + LATER_MS)

    async def call(self, mailboxes: Iterable[str], *, throttled: bool) -> None:
        """Call these mailboxes, at the first worker, and have all of them reply."""
        named = list(mailboxes)
        for mailbox in named:
            self.one.begun(mailbox)
        until_ms = self.now_ms + LATER_MS if throttled else None
        for mailbox in named:
            await self.one.replied(Permission.OPEN, mailbox, until_ms)

    async def close(self) -> None:
        """Pause everything, let both workers hear of it, and let the pause go by."""
        await self.call(people(STORM_MAILBOXES), throttled=True)
        await self.other.refresh()
        self.now_ms += LATER_MS


@awaited
async def test_refusals_that_outrun_answers(redis_url: str) -> None:
    """Many refusals, but of few of the mailboxes called meanwhile, pause nothing."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        everybody = people(50 * STORM_MAILBOXES)
        for mailbox in everybody:
            gates.one.begun(mailbox)
        await gates.refuse(everybody[::50])

        assert Permission.OPEN == await gates.one.ask("one")
    assert [] == events(gates.heard)


@awaited
async def test_a_storm_amid_unanswered_calls(redis_url: str) -> None:
    """When all that is called is refused everything pauses, whatever has still to be answered."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        for mailbox in people(500):
            gates.one.begun(mailbox)
        late = people(500 + STORM_MAILBOXES)[500:]
        for mailbox in late:
            gates.one.begun(mailbox)
        for mailbox in people(2_000)[1_000:]:
            gates.one.begun(mailbox)
        await gates.refuse(late)

        assert Permission.CLOSED == await gates.one.ask("one")
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_mailboxes_refused_again_pause_nothing(redis_url: str) -> None:
    """Mailboxes that were shut before and are still shut, and nobody else calls, pause nothing."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        shut_ones = people(3 * STORM_MAILBOXES)
        for mailbox in shut_ones:
            gates.now_ms += 1_000
            await gates.call([mailbox], throttled=True)
        gates.now_ms += LATER_MS
        await gates.call(shut_ones, throttled=True)
        again = await gates.one.ask("one")
        await gates.call(shut_ones, throttled=False)
        gates.now_ms += LATER_MS
        await gates.call(shut_ones, throttled=True)

        assert (Permission.OPEN, Permission.CLOSED) == (again, await gates.one.ask("one"))
    assert ["graph.paused"] == events(gates.heard)


@awaited
async def test_a_storm_after_a_pause_counts_again(redis_url: str) -> None:
    """What was refused before a pause of everything counts again after it."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        await gates.close()
        await gates.one.replied(await gates.one.ask("one"), "ada", None)
        await gates.call(people(STORM_MAILBOXES), throttled=True)

        assert Permission.CLOSED == await gates.one.ask("one")
    assert ["graph.paused", "graph.resumed", "graph.paused"] == events(gates.heard)


@awaited
async def test_nobody_probes_after_a_probe_unheard(redis_url: str) -> None:
    """Who has not heard that another's probe was refused makes none of its own before its time."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        await gates.close()
        probe = await gates.one.ask("one")
        await gates.one.replied(probe, "ada", gates.now_ms + LATER_MS)
        unheard = await gates.other.ask("other")
        gates.now_ms += LATER_MS

        expected = (Permission.PROBE, Permission.CLOSED, Permission.PROBE)
        assert expected == (probe, unheard, await gates.other.ask("other"))


@awaited
async def test_nobody_probes_what_is_open(redis_url: str) -> None:
    """Who has not heard that another's probe has opened everything calls as all do."""
    async with ledger_at(redis_url) as ledger:
        gates = Gates(ledger)
        await gates.close()
        await gates.one.replied(await gates.one.ask("one"), "ada", None)

        assert Permission.OPEN == await gates.other.ask("other")
        assert await ledger.leases.graph_paused_until_ms() is None


# How much longer it takes everybody else

HOUR: Final = "3600"

STORM_PATIENCE_S: Final = 240
"""Twenty-six thousand calls, on a machine that may have other tests to run."""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Of so many mailboxes with so many responses each, these answer 429, every time."""

    mailboxes: int
    responses: int
    shut: range
    waits: tuple[str, ...]
    max_calls: int = 40
    latency_s: float = 0.2

    @property
    def everybody(self) -> list[str]:
        """Name all users."""
        return people(self.mailboxes)

    @property
    def closed(self) -> dict[str, str]:
        """Name the users whose mailbox is shut, with what it asks for."""
        everybody = self.everybody
        return {everybody[n]: self.waits[n % len(self.waits)] for n in self.shut}

    def rows(self, batch: str) -> list[dict[str, Any]]:
        """Make the responses of one batch, in the order of the mailboxes."""
        return [
            {"user": user, "event": f"{batch}{n}", "action": "decline"}
            for user in self.everybody
            for n in range(self.responses)
        ]


STORMS: Final = {
    "one mailbox for an hour": Storm(
        mailboxes=200, responses=5, shut=range(100, 101), waits=(HOUR,)
    ),
    "2 % for an hour": Storm(mailboxes=200, responses=5, shut=range(0, 200, 50), waits=(HOUR,)),
    "2 % for a second, again and again": Storm(
        mailboxes=200, responses=5, shut=range(0, 200, 50), waits=("1",)
    ),
    "2 % with absurd waits": Storm(
        mailboxes=200, responses=5, shut=range(0, 200, 50), waits=tuple(ABSURD.values())
    ),
    "2 %, refused sooner than others are answered": Storm(
        mailboxes=4_000,
        responses=1,
        shut=range(0, 4_000, 50),
        waits=(HOUR,),
        max_calls=512,
        latency_s=2,
    ),
    "2 % of very many slices": Storm(
        mailboxes=26_000,
        responses=1,
        shut=range(0, 26_000, 50),
        waits=(HOUR,),
        max_calls=512,
        latency_s=0.05,
    ),
}


def others_took_s(program: Program, sandbox: SandboxClient, storm: Storm, batch: str) -> float:
    """Run a batch until all but the shut mailboxes are settled; return how long that took."""
    closed = storm.closed
    open_rows = len(closed) * storm.responses if batch == "with" else 0
    others = [user for user in storm.everybody if user not in closed]
    ordeal = Ordeal(program, sandbox)
    ordeal.submit(storm.rows(batch), "--batch", batch)
    with ordeal.worker(BULKRSVP_MAX_CALLS=str(storm.max_calls)) as worker:
        try:
            program.wait_for(batch, lambda status: status["open"] == open_rows, STORM_PATIENCE_S)
        except TimeoutError:
            pytest.fail(f"not all others were answered in {STORM_PATIENCE_S} s")
    records = ordeal.records()
    assert {("sent", 1): len(others) * storm.responses} == ends(records, others)
    assert [] == worker.events("graph.paused")
    wanted = set(others)
    began_s = min(entry.arrived_at for entry in records.journal if entry.mailbox in wanted)
    return settled_s([worker], others)[-1] - began_s


@pytest.mark.chaos
@pytest.mark.timeout(3 * STORM_PATIENCE_S)
@pytest.mark.xdist_group("measured")
@pytest.mark.parametrize("name", STORMS)
def test_how_much_longer_others_take(
    program: Program, sandbox: SandboxClient, name: str, record_property: Figure
) -> None:
    """While some mailboxes are shut, all others are answered, in about the same time."""
    storm = STORMS[name]
    sandbox.options(latency_s=storm.latency_s)
    without_s = others_took_s(program, sandbox, storm, "without")
    shut(sandbox, storm.closed, times=-1)
    with_s = others_took_s(program, sandbox, storm, "with")

    assert 0 == sandbox.stats().early
    record_property("without, s", round(without_s, 2))
    record_property("with, s", round(with_s, 2))
    record_property("times as long", round(with_s / without_s, 3))
