"""Selections in calendars that are not as documented: odd events, lost series, endless pages."""

import json
from collections import Counter
from typing import Any

import pytest
from redis import Redis

from jobs.ledger import keys
from jobs.ledger.slices.writes import CALLS_BURST, CALLS_PER_S
from jobs.times import now_ms
from tests.support.program import Program, Worker
from tests.support.rarely import first_always, rarely
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import wait_until

ADA = "ada@contoso.com"
VIEW = "*calendarView*"
FEW = {"BULKRSVP_MAX_ATTEMPTS": "2"}
SENT = ("sent", "accepted")
UNREADABLE = ("failed", "unreadable_event")
MALFORMED = {"status": 400, "code": "ErrorInvalidIdMalformed"}


def row(**events: Any) -> dict[str, Any]:
    """Make a selection of December."""
    window = {"from": "2026-12-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
    return {"user": ADA, "events": window | events, "action": "decline"}


def shown(name: str, day: int = 2, **changes: Any) -> dict[str, Any]:
    """Make an event as Graph shows it."""
    return {
        "id": name,
        "type": "singleInstance",
        "seriesMasterId": None,
        "subject": f"About {name}",
        "start": {"dateTime": f"2026-12-{day:02}T10:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": f"2026-12-{day:02}T11:00:00.0000000", "timeZone": "UTC"},
        "isAllDay": False,
        "organizer": {"emailAddress": {"name": "Olga", "address": "olga@fabrikam.com"}},
        "attendees": [{"emailAddress": {"name": "Ada", "address": ADA}}],
        "isOrganizer": False,
        "isCancelled": False,
        "responseRequested": True,
        "responseStatus": {"response": "notResponded", "time": "0001-01-01T00:00:00Z"},
        **changes,
    }


def occurrence(name: str, day: int, series: str, **changes: Any) -> dict[str, Any]:
    """Make an occurrence as Graph shows it."""
    return shown(name, day, type="occurrence", seriesMasterId=series, **changes)


def body(*items: Any, link: str | None = None, mark: str = "") -> str:
    """Write a page as Graph does."""
    page: dict[str, Any] = {"value": items}
    return mark + json.dumps(page if link is None else page | {"@odata.nextLink": link})


def paged(sandbox: SandboxClient, *pages: tuple[Any, ...], last_link: str | None = None) -> None:
    """Have a view show these pages, one linked to the next, whatever is asked for."""
    link = view_url(sandbox)
    for number, items in enumerate(pages):
        following = f"{link}{number + 1}" if number < len(pages) - 1 else last_link
        path = f"*calendarView?page={number}" if number else "*calendarView?start*"
        sandbox.faults([rule(path=path, status=200, html=body(*items, link=following))])


def view_url(sandbox: SandboxClient) -> str:
    """Return the address of a page of Ada's calendar, without its number."""
    root = sandbox.environment["BULKRSVP_GRAPH_URL"]
    return f"{root}/v1.0/users/{ADA}/calendarView?page="


def rule(**changes: Any) -> dict[str, Any]:
    """Make a rule for what is read, for ever."""
    return {"method": "GET", "times": -1, **changes}


def settled(program: Program, batch: str) -> list[tuple[str | None, str, str | None]]:
    """Return event, outcome and reason of each response, in the order of rows."""
    lines = program.results(batch)
    return [(line.get("event"), line["outcome"], line["reason"]) for line in lines]


def ends(program: Program, batch: str) -> dict[str | None, tuple[str, str | None]]:
    """Return how each event ended."""
    return {event: (outcome, reason) for event, outcome, reason in settled(program, batch)}


def masters_read(sandbox: SandboxClient) -> list[str | None]:
    """Return the series that were read, each as often as it was."""
    return [entry.event for entry in sandbox.journal() if entry.method == "GET" and entry.event]


# Odd events


def test_odd_events_are_lines_of_their_own(program: Program, sandbox: SandboxClient) -> None:
    """What cannot be read is told, logged and never sent, on however many pages; the rest goes."""
    odd = shown("odd", start=None)
    page = (shown("one"), odd, shown("text", responseStatus="none"), {"subject": "no id"}, None)
    paged(sandbox, page, (odd, shown("number", subject=7), shown("two", 3), None))
    batch = program.submit([row(subject="about")])
    worker = program.burst()

    told = settled(program, batch)
    assert [("one", *SENT), ("two", *SENT), ("odd", *UNREADABLE)] == told[:3]
    assert {"odd", "text", "number"} == {event for event, *_ in told if "~" not in str(event)} - {
        "one",
        "two",
    }
    made_up = [event for event, *_ in told if str(event).startswith("~unreadable~")]
    assert (7, 2) == (len(told), len(made_up))
    assert {"one", "two"} == {entry.event for entry in sandbox.taken()}
    lines = worker.events("event.unreadable")
    assert {"odd", "text", "number", *made_up} == {line["event_id"] for line in lines}
    assert {("warning", 1, ADA)} == {(ln["level"], ln["row"], ln["user"]) for ln in lines}
    (found,) = worker.events("selection.found")
    assert (2, {"unreadable_event": 5}) == (found["found"], found["passed_over"])
    assert 1 == program.here("status", batch, "--watch").code


def test_a_retry_sends_nothing_unreadable(program: Program, sandbox: SandboxClient) -> None:
    """A line of an event that could not be read ends so again, though its id may be a real one."""
    paged(sandbox, (shown("odd", end=None), {}))
    batch = program.submit([row()])
    program.burst()
    first = settled(program, batch)
    sandbox.disarm()
    assert "queued 2" in program.here("retry", batch).err
    program.burst()

    assert [UNREADABLE] * 2 == [(outcome, reason) for _, outcome, reason in first]
    assert first == settled(program, batch)
    assert [] == sandbox.taken()


@pytest.mark.chaos
def test_a_plan_shows_odd_events_and_apply_leaves_them_out(
    program: Program, sandbox: SandboxClient
) -> None:
    """A plan shows as much of an unreadable event as there is, and apply leaves it out."""
    paged(sandbox, (shown("one"), shown("odd", end=7), {}))
    plan = program.submit([row()], "--plan")
    program.burst()
    one, *odd = program.results(plan)
    table = program.here("results", plan, COLUMNS="200").out
    applied = program.here("apply", plan, "--json")
    program.burst()

    assert "planned" == one["outcome"]
    told = [tuple(line[name] for name in ("subject", "start", "organizer")) for line in odd]
    assert [("About odd", "2026-12-02T10:00:00Z", "olga@fabrikam.com"), (None, None, None)] == told
    assert "~unreadable~" in table
    assert 1 == applied.json["total"]
    assert ["one"] == [entry.event for entry in sandbox.taken()]


def test_a_page_may_begin_with_a_byte_order_mark(program: Program, sandbox: SandboxClient) -> None:
    """A page may begin with a byte order mark, and hold half a character."""
    text = body(shown("one", subject="\ud83d"), mark="\ufeff")
    sandbox.faults([rule(path=VIEW, status=200, html=text)])
    batch = program.submit([row()])
    program.burst()
    assert {"one": SENT} == ends(program, batch)


def test_who_is_asked_is_invited(program: Program, sandbox: SandboxClient) -> None:
    """An empty list of attendees keeps nobody from answering what somebody else organizes."""
    nobody = {"emailAddress": {"address": ""}}
    paged(
        sandbox,
        (
            shown("theirs", attendees=[]),
            shown("own", attendees=[], isOrganizer=True),
            shown("nobody", attendees=[], organizer=nobody),
            occurrence("m.1", 3, "m", attendees=[]),
        ),
    )
    sandbox.plant(ADA, [{"id": "theirs", "start": "2026-12-02T10:00:00Z"}, series("m")])
    batch = program.submit([row()])
    program.burst()
    skipped = ("skipped", "no_attendees")
    expected = {"theirs": SENT, "own": skipped, "nobody": skipped, "m": SENT}
    assert expected == ends(program, batch)


# Series


def series(name: str, **changes: Any) -> dict[str, Any]:
    """Make a series of three in December, for planting."""
    return {
        "id": name,
        "start": "2026-12-03T10:00:00Z",
        "organizer": "olga@fabrikam.com",
        "series": {"everyDays": 7, "count": 3},
        **changes,
    }


def test_each_series_is_read_once(program: Program, sandbox: SandboxClient) -> None:
    """The master of every series in the window is read, once; for occurrences, none is."""
    early = series("early", start="2026-11-01T10:00:00Z")
    sandbox.plant(ADA, [series("a"), series("b", organizer=ADA), early])
    whole = program.submit([row()])
    program.burst()
    assert {"a": SENT, "b": ("skipped", "organizer")} == ends(program, whole)
    assert ["a", "b"] == masters_read(sandbox)

    sandbox.clear()
    sandbox.plant(ADA, [series("a")])
    apart = program.submit([row(series="occurrences")])
    program.burst()
    assert SENT == ends(program, apart)["a.2"]
    assert {"a.0", "a.1", "a.2"} == {entry.event for entry in sandbox.taken()}
    assert [] == masters_read(sandbox)


@pytest.mark.parametrize(
    "code", first_always(["ErrorItemNotFound", "errorItemNotFound", "ERRORITEMNOTFOUND"])
)
def test_orphans_are_answered_by_their_own_ids(
    program: Program, sandbox: SandboxClient, code: str
) -> None:
    """Where the master is gone each event in the window is answered by its own id."""
    events = [occurrence(f"m.{n}", day, "gone") for n, day in enumerate((1, 8, 15))]
    outside = occurrence("m.9", 30, "gone")
    outside["start"]["dateTime"] = outside["end"]["dateTime"] = "2027-01-01T00:00:00"
    paged(sandbox, (*events, outside, shown("one")))
    sandbox.faults([rule(event="gone", status=404, code=code)])
    batch = program.submit([row()])
    program.burst()
    assert dict.fromkeys(("m.0", "m.1", "m.2", "one"), SENT) == ends(program, batch)
    assert ["gone"] == masters_read(sandbox)


REFUSED: list[dict[str, Any]] = [
    {"status": 403, "code": "ErrorAccessDenied"},
    MALFORMED,
    {"status": 410, "code": "ErrorItemNotFound"},
    {"status": 200, "html": json.dumps(shown("private", start=None))},
    {"status": 200, "html": json.dumps(shown("another"))},
    {"status": 200, "html": json.dumps(occurrence("private", 2, "another"))},
]


@pytest.mark.parametrize("reply", first_always(REFUSED))
def test_a_series_that_is_refused(
    program: Program, sandbox: SandboxClient, reply: dict[str, Any]
) -> None:
    """A master that Graph refuses for good, or that cannot be read, costs itself alone, at once."""
    paged(sandbox, (occurrence("p.1", 1, "private"), occurrence("p.2", 8, "private"), shown("one")))
    sandbox.faults([rule(event="private", **reply)])
    batch = program.submit([row()])
    worker = program.burst()
    assert {"one": SENT, "private": UNREADABLE} == ends(program, batch)
    assert ["private"] == masters_read(sandbox)
    assert ["private"] == [line["event_id"] for line in worker.events("event.unreadable")]


FAILING: list[dict[str, Any]] = [
    {"status": 500, "code": "ErrorInternalServerError"},
    {"status": 503, "html": "<html>The service is unavailable.</html>"},
    {"status": 200, "html": "<html>Sign in</html>"},
    {"status": 200, "html": body(shown("failing"))},
    {"status": 500, "html": json.dumps(shown("failing"))},
    {"effect": "reset"},
]


@pytest.mark.parametrize("reply", first_always(FAILING))
def test_a_series_that_fails(
    program: Program, sandbox: SandboxClient, reply: dict[str, Any]
) -> None:
    """A master that fails is tried again with the selection; at last it costs itself alone."""
    paged(sandbox, (occurrence("f.1", 1, "failing"), occurrence("w.1", 2, "weak"), shown("one")))
    sandbox.faults([rule(event="failing", **reply), rule(event="weak", **reply, times=1)])
    batch = program.submit([row()])
    program.burst(BULKRSVP_MAX_ATTEMPTS="3")
    assert {"one": SENT, "weak": SENT, "failing": UNREADABLE} == ends(program, batch)
    assert Counter(failing=3, weak=3) == Counter(masters_read(sandbox))


def test_what_concerns_the_mailbox_ends_the_whole_selection(
    program: Program, sandbox: SandboxClient
) -> None:
    """Throttling waits with the whole selection, and a mailbox that is gone ends all of it."""
    paged(sandbox, (occurrence("m.1", 1, "m"), shown("one")))
    throttled = {"status": 429, "headers": {"Retry-After": "1"}}
    sandbox.faults([rule(event="m", **throttled, times=1)])
    first = program.submit([row()])
    program.burst()
    assert {"one": SENT, "m": SENT} == ends(program, first)
    assert 0 == sandbox.stats().early

    sandbox.faults([rule(event="m", status=404, code="MailboxNotEnabledForRESTAPI")])
    second = program.submit([row()], "--batch", "second")
    program.burst()
    assert {None: ("failed", "mailbox_unavailable")} == ends(program, second)


# Pages


@pytest.mark.parametrize(
    "reply",
    [
        {"status": 503, "code": "UnknownError"},
        rarely({"status": 504, "html": "<html>Gateway Timeout</html>"}),
        {"status": 200, "html": "{}"},
        rarely({"status": 200, "html": json.dumps(shown("one"))}),
        rarely({"status": 500, "html": '{"value": []}'}),
        rarely({"status": 200, "html": body(shown("one"))[:-1]}),
        rarely({"effect": "hang"}),
    ],
)
def test_heavy_pages_are_asked_for_smaller(
    program: Program, sandbox: SandboxClient, reply: dict[str, Any]
) -> None:
    """After 5xx, a time-out or a reply that is not Graph's a page is asked for smaller."""
    sandbox.plant(ADA, [{"id": "one", "start": "2026-12-02T10:00:00Z"}])
    sandbox.faults([rule(path=f"*top={size}", **reply) for size in (500, 100)])
    batch = program.submit([row()])
    program.burst(BULKRSVP_MAX_ATTEMPTS="3", BULKRSVP_CALL_TIMEOUT_S="1")
    assert {"one": SENT} == ends(program, batch)
    asked = [entry.path.rpartition("top=")[2] for entry in sandbox.journal() if "top" in entry.path]
    assert ["500", "100", "25"] == asked


def test_a_page_that_never_comes(program: Program, sandbox: SandboxClient) -> None:
    """A calendar whose pages fail at every size ends as one line."""
    sandbox.faults([rule(path=VIEW, status=500, code="ErrorInternalServerError")])
    batch = program.submit([row()])
    program.burst(**FEW)
    assert {None: ("failed", "attempts_exhausted")} == ends(program, batch)


def test_an_empty_page_that_links_to_itself_is_the_end(
    program: Program, sandbox: SandboxClient
) -> None:
    """It is the end of the calendar; with events on it, or leading back, it is a bad link."""
    here = view_url(sandbox)
    bad: dict[str | None, Any] = {None: ("failed", "bad_link")}
    cases: dict[str, tuple[list[tuple[Any, ...]], str, dict[str | None, Any]]] = {
        "end": ([(shown("one"),), ()], f"{here}1", {"one": SENT}),
        "self": ([(shown("one"),), (shown("two"),)], f"{here}1", bad),
        "back": ([(shown("one"),), (shown("two"),), ()], f"{here}1", bad),
    }
    for name, (pages, link, expected) in cases.items():
        sandbox.disarm()
        paged(sandbox, *pages, last_link=link)
        batch = program.submit([row()], "--batch", name)
        program.burst()
        assert expected == ends(program, batch)


def test_ten_pages_that_bring_nothing_new_end_the_reading(
    program: Program, sandbox: SandboxClient
) -> None:
    """Some empty or repeated pages are passed over; after ten in a row no more are read."""
    stale: list[tuple[Any, ...]] = [(), (shown("one"),)] * 5
    paged(sandbox, (shown("one"),), *stale[:9], (shown("two", 3),), *stale, (shown("three", 4),))
    batch = program.submit([row()])
    worker = program.burst()
    assert {"one": SENT, "two": SENT} == ends(program, batch)
    assert [("warning", 10)] == [
        (line["level"], line["pages"]) for line in worker.events("selection.stale")
    ]


@pytest.mark.parametrize("item", first_always(['{"id": "e"}', "null", "{}"]))
def test_too_many_events_end_the_selection_unanswered(
    program: Program, sandbox: SandboxClient, item: str
) -> None:
    """More events than a calendar can be believed to hold end the selection, unanswered."""
    items = ",".join(item.replace('"id": "e"', f'"id": "e{n}"') for n in range(50_001))
    sandbox.faults([rule(path=VIEW, status=200, html=f'{{"value": [{items}]}}')])
    batch = program.submit([row()])
    program.burst()
    assert {None: ("failed", "too_many_events")} == ends(program, batch)
    assert [] == sandbox.taken()


# What ends a reading


def endless(program: Program, sandbox: SandboxClient, *arguments: str) -> str:
    """Submit a selection whose calendar has a thousand small pages."""
    sandbox.options(page_size=1, latency_s=0.02)
    daily = {"everyDays": 1, "count": 1_000}
    sandbox.plant(ADA, [{"id": "daily", "start": "2026-12-01T10:00:00Z", "series": daily}])
    events = {"from": "2026-12-01T00:00:00Z", "to": "2029-12-01T00:00:00Z"}
    return program.submit([row(**events)], *arguments)


def reading(worker: Worker) -> int:
    """Return how many pages have been read."""
    return len(worker.events("call.finished"))


@pytest.mark.parametrize(("flag", "outcome"), [("cancel", "cancelled"), rarely("pause", None)])
def test_flags_count_between_pages(
    program: Program, sandbox: SandboxClient, flag: str, outcome: str | None
) -> None:
    """Who cancels or pauses a batch does not wait until a long calendar has been read."""
    batch = endless(program, sandbox)
    with program.worker("--burst") as worker:
        wait_until(lambda: reading(worker) > 3, "no pages")
        program.here(flag, batch)
        assert 0 == worker.process.wait(60)
    (line,) = program.results(batch)
    assert outcome == line["outcome"]
    assert reading(worker) < 1_000
    assert [] == sandbox.taken()


def test_the_deadline_counts_between_pages(program: Program, sandbox: SandboxClient) -> None:
    """A batch that is over while a calendar is read ends as expired, before the last page."""
    batch = endless(program, sandbox, "--deadline", "3s")
    worker = program.burst()
    assert {None: ("expired", None)} == ends(program, batch)
    assert reading(worker) < 1_000


@pytest.mark.chaos
def test_a_reading_waits_for_the_allowance(
    program: Program, sandbox: SandboxClient, redis: Redis
) -> None:
    """A reading that has begun does not begin anew where the mailbox may be called again soon."""
    sandbox.options(page_size=1)
    days = range(1, 13)
    sandbox.plant(ADA, [{"id": f"e{n}", "start": f"2026-12-{n:02}T10:00:00Z"} for n in days])
    batch = program.submit([row()])
    overdrawn_ms = now_ms() + CALLS_BURST * 1_000 // CALLS_PER_S + 8_000
    redis.set(keys.bucket(ADA), overdrawn_ms)
    worker = program.burst()
    assert {f"e{n}": SENT for n in days} == ends(program, batch)
    read = [line for line in worker.events("call.finished") if line["method"] == "GET"]
    assert len(days) == len(read)
