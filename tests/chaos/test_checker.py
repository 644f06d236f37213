"""
The checker's negative controls: forged records, and workers that are broken on purpose.

A checker that never finds anything proves nothing. So each of its invariants is violated here on
paper, and workers that lack one thing the promise rests on are run through the fault that the
thing is there for.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.outcome import Ending, Outcome, Reason
from jobs.record import QUEUED, Record
from tests.support import SUPPORT
from tests.support.chaos.checker import INVARIANTS, Log, Records, violations
from tests.support.chaos.scenario import Ordeal, rows_of
from tests.support.program import COMMAND, Program
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until
from worker.sandbox import Entry

BROKEN = SUPPORT / "chaos" / "broken_worker.py"

NOW = "2026-01-05T09:00:02.000000Z"
BEFORE = "2026-01-05T09:00:01.000000Z"

SENT = Ending(Outcome.SENT, Reason.ACCEPTED)
FAILED = Ending(Outcome.FAILED, Reason.NOT_FOUND)


def entry(number: int, **changes: Any) -> Entry:
    """Write an entry of the journal: the answer to event e1, e2, ... of one user."""
    event = f"e{number}"
    facts: dict[str, Any] = {
        "sequence": number,
        "arrived_s": 0.0,
        "arrived_at": 0.0,
        "method": "POST",
        "path": f"/v1.0/users/Ada/events/{event}/decline",
        "client_request_id": f"id{number}",
        "request_id": f"graph{number}",
        "mailbox": "ada",
        "user": "Ada",
        "event": event,
        "action": "decline",
        "body": {},
        "authorized": True,
        "in_flight": 1,
        "early": False,
        "status": 202,
        "code": None,
        "fault": None,
        "taken": True,
        "delivered": True,
        "ended_s": 1.0,
        "ended_at": 1.0,
    }
    return Entry(**(facts | changes))


def called(number: int, **changes: Any) -> dict[str, Any]:
    """Write the line of a call."""
    facts = {
        "event": "call.finished",
        "batch": "b",
        "timestamp": NOW,
        "user": "Ada",
        "client_request_id": f"id{number}",
        "status": 202,
        "error_code": None,
        "retry_after_s": None,
        "duration_ms": 10.0,
        "verdict": "sent",
    }
    return facts | changes


def settled(row: int, ending: Ending = SENT) -> dict[str, Any]:
    """Write the line of a response's end."""
    return {"event": "response.settled", "batch": "b", "row": row} | told(ending)


def result(row: int, ending: Ending = SENT) -> dict[str, Any]:
    """Write a line of the results."""
    return {"row": row} | told(ending)


def told(ending: Ending) -> dict[str, Any]:
    """Write an ending."""
    return {"outcome": ending.outcome.value, "reason": ending.reason and ending.reason.value}


def record(number: int, ending: Ending = SENT) -> Record:
    """Write a record of the ledger that has ended."""
    return QUEUED._replace(client_request_id=f"id{number}").settled(ending, 1_700_000_000_000)


def finished(**counts: int) -> dict[str, Any]:
    """Write the last line of a batch."""
    none = {outcome.value: 0 for outcome in Outcome}
    return {"event": "batch.finished", "batch": "b", "total": 2} | none | counts


def log(*lines: dict[str, Any], text: bytes = b"", killed: bool = False) -> Log:
    """Write a worker's log."""
    return Log(lines, text, killed)


LINES = (called(1), settled(1), called(2), settled(2), finished(sent=2))

STATUS = {"open": 0, "finishedAt": "then", "outcomes": {"sent": 2}}

SOUND = Records(
    batch="b",
    rows={1: ("Ada", "e1"), 2: ("Ada", "e2")},
    results=[result(1), result(2)],
    status=STATUS,
    records={1: record(1), 2: record(2)},
    marks=frozenset({"id1", "id2"}),
    leftovers=[],
    journal=[entry(1), entry(2)],
    logs=[log(*LINES)],
    canaries=["a comment"],
)

REFUSED = {"client_request_id": "id3", "status": 429, "taken": False}
WITHOUT_CALL_2 = (called(1), settled(1), settled(2), finished(sent=2))
FAILED_LINES = (called(1), settled(1, FAILED), called(2), settled(2), finished(sent=1, failed=1))

FORGED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a row is missing": (
        {"results": [result(1)]},
        {"each_row_has_one_outcome", "counts_agree"},
    ),
    "a row is there twice": (
        {"results": [result(1), result(2), result(2)]},
        {"each_row_has_one_outcome", "counts_agree"},
    ),
    "a row has not ended": (
        {"results": [result(1), {"row": 2, "outcome": None, "reason": None}]},
        {"each_row_has_one_outcome", "results_are_the_records", "each_end_is_logged"}
        | {"counts_agree"},
    ),
    "Redis says otherwise": (
        {"records": {1: record(1), 2: record(2, FAILED)}},
        {"results_are_the_records"},
    ),
    "a mark still stands": (
        {"records": {1: record(1), 2: QUEUED.marked("id2")}},
        {"results_are_the_records"},
    ),
    "an end is not logged": (
        {"logs": [log(called(1), settled(1), called(2), finished(sent=2))]},
        {"each_end_is_logged"},
    ),
    "another end is logged": (
        {"logs": [log(*LINES, settled(2, FAILED))]},
        {"each_end_is_logged"},
    ),
    "an end is logged twice": (
        {"logs": [log(*LINES, settled(2))]},
        {"each_end_is_logged"},
    ),
    "taken twice": (
        {
            "journal": [entry(1), entry(2), entry(2, client_request_id="id3", mailbox="ada")],
            "logs": [log(*LINES, called(3))],
        },
        {"nothing_is_taken_twice", "outcomes_are_true"},
    ),
    "sent and not taken": (
        {"journal": [entry(1), entry(2, taken=False)]},
        {"outcomes_are_true"},
    ),
    "failed and taken": (
        {
            "results": [result(1, FAILED), result(2)],
            "records": {1: record(1, FAILED), 2: record(2)},
            "status": STATUS | {"outcomes": {"sent": 1, "failed": 1}},
            "logs": [log(*FAILED_LINES)],
        },
        {"outcomes_are_true"},
    ),
    "somebody else is answered": (
        {
            "journal": [entry(1), entry(2), entry(3, mailbox="bob")],
            "logs": [log(*LINES, called(3))],
        },
        {"nobody_else_is_answered"},
    ),
    "no mark, and killed": (
        {"marks": frozenset({"id1"}), "logs": [log(*WITHOUT_CALL_2, killed=True)]},
        {"each_post_is_marked", "each_post_is_logged"},
    ),
    "a call is not logged": (
        {"logs": [log(*WITHOUT_CALL_2)]},
        {"each_post_is_logged"},
    ),
    "a call is logged twice": (
        {"logs": [log(*LINES, called(2))]},
        {"each_post_is_logged"},
    ),
    "a call is logged twice by those that live": (
        {"logs": [log(*LINES, called(2)), log(killed=True)]},
        {"each_post_is_logged"},
    ),
    "a call is logged and was not made": (
        {"logs": [log(*LINES, called(3))]},
        {"logged_calls_were_made"},
    ),
    "two calls under one id": (
        {"journal": [entry(1), entry(2), entry(2, taken=False)]},
        {"logged_calls_were_made"},
    ),
    "five in flight": (
        {"journal": [entry(1), entry(2, in_flight=5)]},
        {"never_too_many_in_flight"},
    ),
    "called early": (
        {
            "journal": [entry(1), entry(2, early=True), entry(1, **REFUSED)],
            "logs": [log(*LINES, called(3, verdict="wait", retry_after_s=5, timestamp=BEFORE))],
        },
        {"never_early"},
    ),
    "a comment in a log": (
        {"logs": [log(*LINES, text=b'{"comment": "a comment"}')]},
        {"nothing_is_betrayed"},
    ),
    "a token in a log": (
        {"logs": [log(*LINES, text=b'{"token": "eyJhbGciOi"}')]},
        {"nothing_is_betrayed"},
    ),
    "a row is still open": (
        {"status": STATUS | {"open": 1}},
        {"nothing_is_left_open"},
    ),
    "the batch is not finished": (
        {"status": STATUS | {"finishedAt": None}},
        {"nothing_is_left_open"},
    ),
    "a slice is left over": (
        {"leftovers": ["released 0"]},
        {"nothing_is_left_open"},
    ),
    "the status counts otherwise": (
        {"status": STATUS | {"outcomes": {"sent": 1}}},
        {"counts_agree"},
    ),
    "the last line counts otherwise": (
        {"logs": [log(*LINES[:-1], finished(sent=1, failed=1))]},
        {"counts_agree"},
    ),
    "there is no last line": (
        {"logs": [log(*LINES[:-1])]},
        {"counts_agree"},
    ),
    "there are two last lines": (
        {"logs": [log(*LINES, finished(sent=2))]},
        {"counts_agree"},
    ),
}


def test_sound_records_violate_nothing() -> None:
    """Nothing is violated by a run without a fault, a dead worker's lines, a call on its way."""
    found = called(2, status=None, error_code="worker_lost")
    died = replace(SOUND, logs=[log(*LINES, killed=True), log(found, settled(2))])
    waiting = called(3, verdict="wait", retry_after_s=5, timestamp=NOW)
    on_its_way = replace(
        SOUND,
        journal=[entry(1), entry(2, early=True), entry(1, **REFUSED)],
        logs=[log(*LINES, waiting)],
    )
    assert [[], [], []] == [violations(SOUND), violations(died), violations(on_its_way)]


@pytest.mark.parametrize("name", FORGED)
def test_each_forged_record_is_caught_by_its_invariant(name: str) -> None:
    """Each forged record is caught by the invariant that is there for it, and by no other."""
    changes, caught = FORGED[name]
    records = replace(SOUND, **changes)
    assert caught == {each.__name__ for each in INVARIANTS if list(each(records))}


def test_each_invariant_has_a_control() -> None:
    """No invariant stands there that has never caught anything."""
    caught = set[str]().union(*(names for _, names in FORGED.values()))
    assert {each.__name__ for each in INVARIANTS} == caught


def test_a_log_that_is_cut_off() -> None:
    """A log may end inside a line if its worker was killed, and only then."""
    assert [{"event": "x"}] == Log.read(b'{"event":"x"}\n{"a"', b"", killed=True).lines
    with pytest.raises(ValueError, match="inside a line"):
        Log.read(b'{"event":"x"}\n{"a"', b"", killed=False)


Command = Sequence[str | Path]


def lose_replies(ordeal: Ordeal, command: Command) -> None:
    """Take some answers, and lose the replies."""
    ordeal.sandbox.faults([{"method": "POST", "effect": "lost", "taken": True, "times": 3}])
    ordeal.submit(rows_of(6, 2))
    ordeal.burst(command=command)


def take_late(ordeal: Ordeal, command: Command) -> None:
    """Take some answers when the caller has given up long ago."""
    ordeal.sandbox.faults([{"method": "POST", "effect": "pass", "delay_s": 1.0, "times": 2}])
    ordeal.submit(rows_of(6, 2))
    ordeal.burst(command=command, BULKRSVP_CALL_TIMEOUT_S="0.3", BULKRSVP_SETTLE_S="1.5")


def throttle(ordeal: Ordeal, command: Command) -> None:
    """Close a mailbox for some time."""
    ordeal.sandbox.faults([{"method": "POST", "status": 429, "headers": {"Retry-After": "0.7"}}])
    ordeal.submit(rows_of(6, 2))
    with ordeal.worker(command=command):
        # Whoever calls early keeps the mailbox closed, and would never come to an end.
        wait_until(lambda: ordeal.sandbox.stats().early or ordeal.finished, "it goes on for ever")


def show_pages(ordeal: Ordeal, command: Command) -> None:
    """Lose some answers, and put the page of a front door in the place of a look."""
    page = {"method": "GET", "status": 404, "html": "<html>404</html>", "times": 3}
    ordeal.sandbox.faults([{"method": "POST", "status": 504, "taken": False, "times": 3}, page])
    ordeal.submit(rows_of(6, 6))
    ordeal.burst(command=command)


def welcome(ordeal: Ordeal, command: Command) -> None:
    """Put the login page of a proxy in the place of some replies."""
    page = {"status": 200, "html": "<html>Welcome</html>", "times": 3}
    ordeal.sandbox.faults([{"method": "POST", **page}])
    ordeal.submit(rows_of(6, 2))
    ordeal.burst(command=command)


def refuse_what_was_done(ordeal: Ordeal, command: Command) -> None:
    """Take some answers, and say that there is nobody to be told."""
    refusal = {"status": 400, "code": "ErrorInvalidRecipients", "taken": True, "times": 3}
    ordeal.sandbox.faults([{"method": "POST", **refusal}])
    ordeal.submit(rows_of(6, 2))
    ordeal.burst(command=command)


def slow_down_what_was_done(ordeal: Ordeal, command: Command) -> None:
    """Take some answers, and put a busy front door in the place of the replies."""
    busy = {"status": 503, "html": "<html>Busy</html>", "headers": {"Retry-After": "0.3"}}
    ordeal.sandbox.faults([{"method": "POST", "taken": True, "times": 3, **busy}])
    ordeal.submit(rows_of(6, 6))
    ordeal.burst(command=command)


def time_out_for_a_while(ordeal: Ordeal, command: Command) -> None:
    """Fail, and ask for some time."""
    failure = {"status": 504, "taken": False, "headers": {"Retry-After": "3"}}
    ordeal.sandbox.faults([{"method": "POST", **failure}])
    ordeal.submit(rows_of(6, 1))
    with ordeal.worker(command=command, BULKRSVP_MAILBOX_CONCURRENCY="1"):
        wait_until(lambda: ordeal.sandbox.stats().early or ordeal.finished, "it goes on for ever")


def kill(ordeal: Ordeal, command: Command) -> None:
    """Kill a worker while Graph is at its calls."""
    ordeal.sandbox.options(latency_s=0.3)
    ordeal.submit(rows_of(12, 2))
    with ordeal.worker(command=command) as worker:
        ordeal.wait_for_calls(8)
        ordeal.kill(worker)
    ordeal.burst(command=command)


def stop_and_continue(ordeal: Ordeal, command: Command) -> None:
    """Stop a worker until another one is at its work, and let it go on."""
    ordeal.sandbox.options(latency_s=0.15, concurrency=20)
    ordeal.submit(rows_of(60, 2))
    with ordeal.worker(command=command) as first:
        ordeal.wait_for_calls(9)
        first.process.send_signal(signal.SIGSTOP)
        with ordeal.worker(command=command):
            ordeal.wait_for_calls(30)
            first.process.send_signal(signal.SIGCONT)
            first.wait_for("worker.lease_lost")
            # What has been sent twice is caught; such a batch may never come to an end.
            wait_until(
                lambda: ordeal.sandbox.stats().duplicates or ordeal.finished, "it goes on for ever"
            )


FAULTS: dict[str, Callable[[Ordeal, Command], None]] = {
    "no_look": lose_replies,
    "no_settle_time": take_late,
    "no_wait": throttle,
    "no_mark": kill,
    "no_fence": stop_and_continue,
    "believes_pages": show_pages,
    "believes_successes": welcome,
    "believes_refusals": refuse_what_was_done,
    "believes_slow_downs": slow_down_what_was_done,
    "heeds_throttling_only": time_out_for_a_while,
}
"""The fault in which each variant shows."""

CAUGHT = {
    "no_look": "taken 2 times",
    "no_settle_time": "taken 2 times",
    "no_wait": "early: POST",
    "no_mark": "no mark for",
    "no_fence": "taken 2 times",
    "believes_pages": "was taken 0 times",
    "believes_successes": "was taken 0 times",
    "believes_refusals": "is failed, and was taken",
    "believes_slow_downs": "taken",
    "heeds_throttling_only": "early: ",
}


QUICK = {"no_mark", "no_look", "believes_pages", "believes_successes", "believes_refusals"}


@pytest.mark.parametrize(
    "variant",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.chaos) for name in FAULTS],
)
def test_a_worker_broken_in_one_way_is_caught(
    variant: str, program: Program, sandbox: SandboxClient
) -> None:
    """A worker that lacks one thing the promise rests on is caught."""
    ordeal = Ordeal(program, sandbox)
    FAULTS[variant](ordeal, [sys.executable, BROKEN, variant])
    found = ordeal.violations()
    assert any(CAUGHT[variant] in violation for violation in found), found


@pytest.mark.chaos
@pytest.mark.parametrize("variant", FAULTS)
def test_the_worker_as_it_is_violates_nothing(
    variant: str, program: Program, sandbox: SandboxClient
) -> None:
    """The worker as it is goes through the same faults without a violation."""
    ordeal = Ordeal(program, sandbox)
    FAULTS[variant](ordeal, [COMMAND, "worker"])
    assert [] == ordeal.violations()
