"""A pause of every call is never long: it is tried, shown, and can be ended by hand."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.ledger import keys
from jobs.ledger.batches.pauses import LIFTED_MS, lift_graph_pause
from jobs.ledger.queue import job_id
from jobs.operations.graph_pause import who
from jobs.times import now_ms, write_moment
from tests.support.awaited import awaited
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import NOW, Ledger, events, ledger_at, listening
from worker.commands import main
from worker.process.children import child_environment
from worker.throttle.gate import STORM_MAILBOXES, Gate, Permission

DAY_MS = 86_400_000
FIVE_MINUTES_MS = 300_000
ROWS = [{"user": f"person{n}@contoso.com", "event": "e", "action": "decline"} for n in range(36)]


class Workers:
    """The gates of two workers on one ledger, under one hand-driven clock."""

    def __init__(self, ledger: Ledger) -> None:
        self.now_ms = NOW
        log, self.heard = listening()
        self.gates = [Gate(ledger.leases, lambda: self.now_ms, log) for _ in range(2)]

    async def beat(self) -> None:
        """Have both hearts beat."""
        for gate in self.gates:
            await gate.refresh()

    async def storm(self) -> None:
        """Let so many mailboxes be throttled for a day that everything pauses."""
        for number in range(STORM_MAILBOXES):
            await self.gates[0].replied(Permission.OPEN, f"user{number}", self.now_ms + DAY_MS)
        await self.beat()

    async def ask(self) -> list[Permission]:
        """Have both ask for leave to call."""
        return [await gate.ask(f"worker {number}") for number, gate in enumerate(self.gates)]


@awaited
async def test_a_day_is_tried_after_five_minutes(redis_url: str) -> None:
    """However long Graph says, one call of one worker tries every five minutes, and opens."""
    async with ledger_at(redis_url) as ledger:
        workers = Workers(ledger)
        await workers.storm()
        workers.now_ms += FIVE_MINUTES_MS - 1
        early = await workers.ask()
        workers.now_ms += 1
        first = await workers.ask()
        await workers.gates[0].replied(first[0], "ada", workers.now_ms + DAY_MS)
        workers.now_ms += FIVE_MINUTES_MS - 1
        between = await workers.ask()
        workers.now_ms += 1
        second = await workers.ask()
        await workers.gates[0].replied(second[0], "grace", None)
        await workers.beat()

        assert [Permission.CLOSED] * 2 == early == between
        assert [Permission.PROBE, Permission.CLOSED] == first == second
        assert [Permission.OPEN] * 2 == await workers.ask()
    assert ["graph.paused", "graph.paused", "graph.resumed"] == events(workers.heard)
    line = workers.heard.calls[0].kwargs
    assert (86_400.0, write_moment(NOW + FIVE_MINUTES_MS)) == (line["retry_after_s"], line["until"])


@awaited
async def test_an_older_pause_becomes_shorter(redis_url: str, redis: Any) -> None:
    """A day that an older version has paused everything for ends in five minutes, too."""
    async with ledger_at(redis_url) as ledger:
        workers = Workers(ledger)
        redis.set(keys.GRAPH, NOW + DAY_MS)
        await workers.beat()
        workers.now_ms += 1_000
        await workers.beat()
        workers.now_ms = NOW + FIVE_MINUTES_MS

        assert [Permission.PROBE, Permission.CLOSED] == await workers.ask()


@awaited
async def test_what_is_open_is_not_paused_by_shortening(redis_url: str, redis: Any) -> None:
    """Who shortens a pause that has been ended meanwhile changes nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.leases.shorten_graph_pause(NOW)

        assert None is redis.get(keys.GRAPH)


@awaited
async def test_a_pause_that_is_lifted(redis_url: str) -> None:
    """Ended by hand, all workers call again from the next beat on; one of them says by whom."""
    async with ledger_at(redis_url) as ledger:
        workers = Workers(ledger)
        await workers.storm()
        lifted = [await lift_graph_pause(ledger.redis, "ada@desk") for _ in range(2)]
        await workers.beat()
        await workers.beat()

        assert [True, False] == lifted
        assert [Permission.OPEN] * 2 == await workers.ask()
    assert ["graph.paused", "graph.resumed"] == events(workers.heard)
    assert "ada@desk" == workers.heard.calls[1].kwargs["by"]


@awaited
async def test_a_pause_that_is_lifted_while_nobody_works(redis_url: str) -> None:
    """A worker that starts later says who has ended the pause."""
    async with ledger_at(redis_url) as ledger:
        await ledger.leases.pause_graph(NOW + DAY_MS)
        await lift_graph_pause(ledger.redis, "ada@desk")
        workers = Workers(ledger)
        await workers.beat()

    assert ["graph.resumed"] == events(workers.heard)


@awaited
async def test_a_new_pause_is_not_told_as_lifted(redis_url: str, redis: Any) -> None:
    """A note that no worker has read is not taken for the end of a later pause."""
    async with ledger_at(redis_url) as ledger:
        await ledger.leases.pause_graph(NOW + DAY_MS)
        await lift_graph_pause(ledger.redis, "ada@desk")
        kept_ms = redis.pttl(keys.LIFTED)
        await ledger.leases.pause_graph(NOW + DAY_MS)

        assert (True, None) == (0 < kept_ms <= LIFTED_MS, redis.get(keys.LIFTED))


def ask(program: Program, *arguments: str) -> Result:
    """Run a command without a process for it."""
    return CliRunner().invoke(main, arguments, env=child_environment(program.environment))


def test_status_shows_it_and_resume_ends_it(program: Program, redis: Any) -> None:
    """`status` says that every call waits, and what to do; that done, slices are due at once."""
    batch = program.submit(ROWS)
    before = json.loads(program.ask("status", batch, "--json"))
    until_ms = now_ms() + DAY_MS
    redis.set(keys.GRAPH, until_ms)
    redis.zadd(keys.QUEUE, {job_id(batch, 0): until_ms})
    text, everything = ask(program, "status", batch), ask(program, "status")
    (listed,) = json.loads(program.ask("status", "--json"))
    during = [json.loads(program.ask("status", batch, "--json")), listed]
    lifted, again = ask(program, "resume", "--graph"), ask(program, "resume", "--graph")

    assert None is before["graphPausedUntil"]
    assert [write_moment(until_ms)] * 2 == [each["graphPausedUntil"] for each in during]
    assert "\ngraph      paused until " in text.stdout
    for shown in (text, everything):
        assert "To continue at once: bulkrsvp resume --graph" in shown.stderr
    assert (0, 0) == (lifted.exit_code, again.exit_code)
    assert "every batch continues" in lifted.stderr
    assert "nothing was changed" in again.stderr
    assert None is redis.get(keys.GRAPH)
    assert who().encode() == redis.get(keys.LIFTED)
    assert (redis.zscore(keys.QUEUE, job_id(batch, 0)) or until_ms) <= now_ms()


@pytest.mark.parametrize("arguments", [[], ["b", "--graph"]])
def test_resume_wants_one_of_both(arguments: list[str]) -> None:
    """What is to go on is named: a batch, or everything."""
    refused = CliRunner().invoke(main, ["resume", *arguments])
    assert 2 == refused.exit_code
    assert "name a BATCH, or --graph" in refused.stderr


def test_a_day_for_some_is_no_day_for_all(program: Program, sandbox: SandboxClient) -> None:
    """Twelve mailboxes that are shut for a day hold up the others until somebody has had enough."""
    day = {"status": 429, "headers": {"Retry-After": "86400"}}
    sandbox.faults([{"user": "person*", "times": 12, **day}])
    batch = program.submit(ROWS)
    shared = {"BULKRSVP_MAX_CALLS": "12", "BULKRSVP_MAILBOX_CONCURRENCY": "1"}
    with program.worker(**shared) as worker:
        worker.wait_for("graph.paused")
        program.wait_for(batch, _is_paused)
        program.ask("resume", "--graph")
        end = program.wait_for(batch, lambda status: status["open"] == status["throttled"])
        resumed = worker.wait_for("graph.resumed")

    assert ({"sent": 24}, 12, None) == (end["outcomes"], end["open"], end["graphPausedUntil"])
    assert who() == resumed["by"]
    assert 0 == sandbox.stats().early


def _is_paused(status: dict[str, object]) -> bool:
    return status["graphPausedUntil"] is not None
