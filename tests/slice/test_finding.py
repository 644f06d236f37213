"""Selections: found page by page, chosen, answered once, whatever happens on the way."""

import signal
from collections import Counter
from typing import Any

import pytest

from tests.support.chaos.scenario import Ordeal
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient

ADA = "ada@contoso.com"
OLGA = "olga@fabrikam.com"
WINDOW = {"from": "2026-12-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
COMMENT = "Ada has left Contoso."


def selection(user: str = ADA, **changes: Any) -> dict[str, Any]:
    """Make a selection of December."""
    events = WINDOW | changes.pop("events", {})
    return {"user": user, "events": events, "action": "decline", "comment": COMMENT, **changes}


def planted(name: str, day: int, **changes: Any) -> dict[str, Any]:
    """Make an invitation of an hour, in December."""
    start = f"2026-12-{day:02}T10:00:00Z"
    people = [ADA, OLGA, "grace@contoso.com"]
    return {
        "id": name,
        "subject": f"About {name}",
        "start": start,
        "organizer": OLGA,
        "attendees": people,
        **changes,
    }


CALENDAR = [
    planted("single", 2),
    planted("second", 3),
    planted("own", 4, organizer=ADA),
    planted("off", 5, isCancelled=True),
    planted("lonely", 6, isOrganizer=True, attendees=[]),
    planted("said", 7, response="declined"),
    planted("quiet", 8, responseRequested=False),
    planted(
        "weekly",
        9,
        series={"everyDays": 7, "count": 3, "exceptions": {"1": {"subject": "Moved"}}},
    ),
    planted("past", 2, start="2026-11-02T10:00:00Z"),
    planted("owned-too", 10, organizer=ADA),
    planted("later", 2, start="2027-02-01T10:00:00Z"),
]
"""Eleven ids, and thirteen entries: three of a series, of which one is an exception."""

ANSWERED = {"single", "second", "quiet", "weekly"}


def results(program: Program, batch: str) -> list[dict[str, Any]]:
    """Return the results of a batch."""
    return program.results(batch)


def ends(program: Program, batch: str) -> dict[str, tuple[str, str | None]]:
    """Return how each event ended."""
    return {
        line.get("event", "-"): (line["outcome"], line["reason"])
        for line in results(program, batch)
    }


def test_a_calendar_is_answered(program: Program, sandbox: SandboxClient) -> None:
    """What is to be answered is, once; what must not be is passed over, with its reason."""
    sandbox.options(page_size=3)
    sandbox.plant(ADA, CALENDAR)
    batch = program.submit([selection()])
    before = program.status(batch)
    worker = program.burst()

    assert ("finding", 1, 1) == (before["state"], before["total"], before["open"])
    sent, status = ("sent", "accepted"), program.status(batch)
    assert ends(program, batch) == dict.fromkeys(ANSWERED, sent) | {
        "own": ("skipped", "organizer"),
        "owned-too": ("skipped", "organizer"),
        "off": ("skipped", "cancelled"),
        "lonely": ("skipped", "no_attendees"),
        "said": ("already", None),
    }
    assert (9, 0, "finished") == (status["total"], status["open"], status["state"])
    assert {entry.event for entry in sandbox.taken()} == ANSWERED
    bodies = {entry.event: entry.body for entry in sandbox.taken()}
    assert {"sendResponse": False} == bodies["quiet"]
    assert {"sendResponse": True, "comment": COMMENT} == bodies["weekly"]
    (found,) = worker.events("selection.found")
    assert (4, 0) == (found["found"], found["duplicates"])
    assert {"organizer": 2, "cancelled": 1, "no_attendees": 1, "declined": 0} | found[
        "passed_over"
    ] == {"organizer": 2, "cancelled": 1, "no_attendees": 1, "declined": 0, "already": 1}
    assert {f"1.{n}" for n in range(1, 10)} == {
        line["row"] for line in worker.events("response.settled")
    }


def test_a_plan_sends_nothing(program: Program, sandbox: SandboxClient) -> None:
    """A plan lists exactly what would be sent; applied, exactly that is sent, and once."""
    sandbox.options(page_size=3)
    sandbox.plant(ADA, CALENDAR)
    plan = program.submit([selection()], "--plan")
    planner = program.burst()
    listed = {line["event"]: line for line in results(program, plan)}

    assert ANSWERED == {name for name, line in listed.items() if line["outcome"] == "planned"}
    assert [] == sandbox.taken()
    told = {key: listed["single"][key] for key in ("subject", "start", "organizer")}
    expected = {"subject": "About single", "start": "2026-12-02T10:00:00Z", "organizer": OLGA}
    assert expected == told
    assert "About" not in planner.written.decode()

    sandbox.plant(ADA, [*CALENDAR, planted("appeared", 11)])
    first = program.here("apply", plan)
    second = program.here("apply", plan)
    program.burst()
    assert (0, 0) == (first.code, second.code), first.err + second.err
    assert first.out == second.out != plan
    assert "submitted before" in second.err
    assert sorted(ANSWERED) == sorted(entry.event or "" for entry in sandbox.taken())
    bodies = {entry.event: entry.body for entry in sandbox.taken()}
    assert {"sendResponse": False} == bodies["quiet"]


def test_a_plan_can_be_edited(program: Program, sandbox: SandboxClient) -> None:
    """The results of a plan, with a line taken out, are a file that can be submitted."""
    sandbox.plant(ADA, CALENDAR)
    plan = program.submit([selection()], "--plan")
    program.burst()
    for form in ("jsonl", "csv"):
        sandbox.clear()
        sandbox.plant(ADA, CALENDAR)
        listed = program.here("results", plan, "--outcome", "planned", "--format", form).out
        kept = [line for line in listed.splitlines() if "second" not in line]
        (program.folder / f"edited.{form}").write_text("\n".join(kept) + "\n")
        submitted = program.here("submit", f"edited.{form}", "--batch", form)
        assert 0 == submitted.code, submitted.err
        program.burst()
        assert ANSWERED - {"second"} == {entry.event for entry in sandbox.taken()}


def test_a_plan_of_nothing_is_applied_to_nothing(program: Program, sandbox: SandboxClient) -> None:
    """A plan without anything to send is applied to nothing, which is no error."""
    sandbox.plant(ADA, CALENDAR[2:6])
    plan = program.submit([selection()], "--plan")
    early = program.here("apply", plan)
    program.burst()
    applied = program.here("apply", plan, "--json")

    assert (2, "") == (early.code, early.out)
    assert "is not finished" in early.err
    assert (0, None, 0) == (applied.code, applied.json["batch"], applied.json["total"])
    given = program.submit([{"user": ADA, "event": "e", "action": "decline"}])
    assert "is not a plan" in program.here("apply", given).err


def test_rows_with_ids_can_be_planned(program: Program, sandbox: SandboxClient) -> None:
    """A plan of given events looks at each, shows it, and sends nothing."""
    sandbox.plant(ADA, CALENDAR)
    names = ("single", "own", "said", "nowhere")
    rows = [{"user": ADA, "event": name, "action": "decline"} for name in names]
    plan = program.submit(rows, "--plan")
    program.burst()

    expected = {
        "single": ("planned", None),
        "own": ("skipped", "organizer"),
        "said": ("already", None),
        "nowhere": ("failed", "not_found"),
    }
    assert expected == ends(program, plan)
    assert ("About single", OLGA) == tuple(
        results(program, plan)[0][key] for key in ("subject", "organizer")
    )
    assert [] == sandbox.taken()
    applied = program.here("apply", plan)
    program.burst()
    assert 0 == applied.code, applied.err
    assert ["single"] == [entry.event for entry in sandbox.taken()]


def test_each_occurrence_is_answered_by_itself(program: Program, sandbox: SandboxClient) -> None:
    """Each occurrence in the window is answered by itself, one after the other in a series."""
    sandbox.options(latency_s=0.05)
    sandbox.plant(ADA, [planted("daily", 1, series={"everyDays": 1, "count": 40}), *CALENDAR[:2]])
    batch = program.submit([selection(events={"series": "occurrences"})])
    program.burst()

    taken = sandbox.taken()
    assert {f"daily.{n}" for n in range(30)} | {"single", "second"} == {e.event for e in taken}
    daily = sorted((e.arrived_at, e.ended_s) for e in taken if (e.event or "").startswith("daily"))
    arrived = [e for e in sandbox.journal() if (e.event or "").startswith("daily")]
    assert len(arrived) == len(daily) == 30
    assert {"sent": 32} == program.status(batch)["outcomes"]


def test_filters_find_only_what_they_name(program: Program, sandbox: SandboxClient) -> None:
    """Only events by these organizers, and with this in the subject, are found at all."""
    calendar = [
        planted("inside", 2, organizer="grace@contoso.com"),
        planted("outside", 3),
        planted("partner", 4, organizer="p@partner.example", subject="Budget Review"),
    ]
    wanted: dict[str, dict[str, Any]] = {
        "internal@contoso.com": {"organizer": "internal"},
        "external@contoso.com": {"organizer": "external"},
        "domain@contoso.com": {"organizer": "@Fabrikam.com"},
        "address@contoso.com": {"organizer": ["P@partner.example", "internal"]},
        "subject@contoso.com": {"subject": "budget"},
    }
    for user in wanted:
        sandbox.plant(user, calendar)
    program.submit([selection(user, events=events) for user, events in wanted.items()])
    program.burst()

    taken = {user: set[str | None]() for user in wanted}
    for entry in sandbox.taken():
        taken[entry.mailbox].add(entry.event)
    assert taken == {
        "internal@contoso.com": {"inside"},
        "external@contoso.com": {"outside", "partner"},
        "domain@contoso.com": {"outside"},
        "address@contoso.com": {"partner", "inside"},
        "subject@contoso.com": {"partner"},
    }


def test_an_all_day_event_is_found_on_its_own_day(program: Program, sandbox: SandboxClient) -> None:
    """An all-day event is found on its day as the window's zone has it, and not a day beside."""
    sandbox.plant(ADA, [planted(f"d{n}", n, start=f"2026-12-{n:02}") for n in range(1, 6)])
    window = {"from": "2026-12-02T17:00:00-08:00", "to": "2026-12-04T00:00:00-08:00"}
    program.submit([selection(events=window)])
    program.burst()

    assert {"d2", "d3"} == {entry.event for entry in sandbox.taken()}


def test_what_cannot_be_read(program: Program, sandbox: SandboxClient) -> None:
    """A mailbox that cannot be read is one failed line; `retry` finds its events after repair."""
    sandbox.plant(ADA, CALENDAR)
    sandbox.faults(
        [{"user": ADA, "method": "GET", "status": 403, "code": "ErrorAccessDenied", "times": -1}]
    )
    rows = [selection(), selection("nothing@contoso.com")]
    sandbox.plant("nothing@contoso.com", [planted("past", 2, start="2026-11-02T10:00:00Z")])
    batch = program.submit(rows)
    program.burst()
    lines = results(program, batch)
    assert [("failed", "access_denied"), ("skipped", "nothing_found")] == [
        (line["outcome"], line["reason"]) for line in lines
    ]
    assert [1, 2] == [line["row"] for line in lines]
    assert 1 == program.here("status", batch, "--watch").code

    sandbox.disarm()
    assert "queued 1" in program.here("retry", batch).err
    program.burst()
    assert ANSWERED == {entry.event for entry in sandbox.taken()}
    assert 10 == program.status(batch)["total"]


def test_a_link_that_leads_elsewhere(program: Program, sandbox: SandboxClient) -> None:
    """A next page at another origin, or one read before, is not followed; the selection fails."""
    for options in ({"next_link_origin": "http://127.0.0.2:9"}, {"page_overlap": 3}):
        sandbox.options(page_size=3, **options)
        sandbox.plant(ADA, CALENDAR)
        batch = program.submit([selection()], "--batch", next(iter(options)))
        worker = program.burst()

        assert {"-": ("failed", "bad_link")} == ends(program, batch)
        assert ["error"] == [line["level"] for line in worker.events("selection.bad_link")]
        sandbox.options(next_link_origin="")
    assert [] == sandbox.taken()


def test_an_event_found_twice_has_one_response(program: Program, sandbox: SandboxClient) -> None:
    """An event that two selections find, or that is also given, has one response."""
    sandbox.plant(ADA, CALENDAR)
    rows = [
        {"user": ADA, "event": "single", "action": "decline"},
        selection(),
        selection(events={"subject": "About"}),
    ]
    batch = program.submit(rows)
    program.burst()

    assert [] == sandbox.stats().duplicates
    assert ANSWERED == {entry.event for entry in sandbox.taken()}
    lines = Counter(line.get("event") for line in results(program, batch))
    assert {1} == set(lines.values())
    assert {"own", "off", *ANSWERED} <= lines.keys()
    assert 0 == program.status(batch)["open"]


def test_finding_obeys_throttling(program: Program, sandbox: SandboxClient) -> None:
    """A 429 while pages are read costs a wait and no attempt; nothing is called early."""
    sandbox.options(page_size=3)
    sandbox.plant(ADA, CALENDAR)
    sandbox.faults(
        [
            {
                "path": "*calendarView*",
                "skip": 1,
                "times": 2,
                "status": 429,
                "headers": {"Retry-After": "1"},
            },
            {"path": "*calendarView*", "skip": 1, "status": 500},
        ]
    )
    batch = program.submit([selection()])
    worker = program.burst()

    assert ANSWERED == {entry.event for entry in sandbox.taken()}
    assert 0 == sandbox.stats().early
    reading = [line for line in worker.events("call.finished") if line["method"] == "GET"]
    assert {"seen": 2, "wait": 2} == Counter(
        line["verdict"] for line in reading[:4]
    ) or "again" in {line["verdict"] for line in reading}
    assert len(reading) == sum(e.method == "GET" for e in sandbox.journal())
    assert {1} == {line["row"] for line in reading}
    assert {"finished"} == {program.status(batch)["state"]}


def test_an_unknown_decline_of_what_was_found(program: Program, sandbox: SandboxClient) -> None:
    """An event that finding has read, and that is gone after a lost reply, was declined."""
    sandbox.plant(ADA, CALENDAR[:1])
    sandbox.faults([{"method": "POST", "effect": "lost", "taken": True}])
    batch = program.submit([selection()])
    program.burst()

    assert {"single": ("sent", "inferred")} == ends(program, batch)
    assert 1 == len(sandbox.taken())


def test_an_unread_selection_ends_as_one_line(program: Program, sandbox: SandboxClient) -> None:
    """A selection that was never read ends as one line: cancelled, or expired."""
    sandbox.plant(ADA, CALENDAR)
    late = program.submit([selection()], "--deadline", "1s", "--batch", "late")
    early = program.submit([selection()], "--at", "2099-01-01T00:00:00Z", "--batch", "early")
    assert "finding" != program.status(early)["state"]
    program.here("cancel", early)
    sandbox.faults([{"method": "GET", "status": 429, "headers": {"Retry-After": "60"}}])
    program.burst()

    assert {"-": ("cancelled", None)} == ends(program, early)
    assert {"-": ("expired", None)} == ends(program, late)
    assert [] == sandbox.taken()


EARLY, LATE = (pytest.param(n, marks=pytest.mark.chaos) for n in (2, 9))


@pytest.mark.parametrize("calls", [EARLY, 5, LATE])
def test_killed_while_finding_and_answering(
    program: Program, sandbox: SandboxClient, calls: int
) -> None:
    """Whenever the worker is killed, nothing is answered twice, and nothing is missed."""
    sandbox.options(page_size=3, latency_s=0.05)
    users = [f"p{n}@contoso.com" for n in range(3)]
    for user in users:
        sandbox.plant(user, CALENDAR[:2] + CALENDAR[3:8])
    ordeal = Ordeal(program, sandbox)
    ordeal.batch = program.submit([selection(user) for user in users])
    with ordeal.worker() as first:
        ordeal.wait_for_calls(calls)
        first.stop(signal.SIGKILL)
    ordeal.burst()

    taken = Counter((entry.mailbox, entry.event) for entry in sandbox.taken())
    assert {(user, name): 1 for user in users for name in ANSWERED} == taken
    assert 0 == program.status(ordeal.batch)["open"]
