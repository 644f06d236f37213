"""The main job, end to end: the console command, a real Redis, the simulated Graph."""

import json
from collections import Counter
from typing import Any

from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient

COMMENT = "canary-comment-7f3a"
SLOT = {
    "start": {"dateTime": "2026-12-02T08:00:00", "timeZone": "Pacific Standard Time"},
    "end": {"dateTime": "2026-12-02T18:00:00", "timeZone": "Europe/Oslo"},
}
CALENDARS: list[dict[str, str]] = [
    {},
    {"calendar": "default"},
    {"calendar": "AAMkCal="},
    {"calendar": "AAMkCal=", "calendarGroup": "AAMkGroup="},
]
FORMS = [
    "/events/",
    "/calendar/events/",
    "/calendars/AAMkCal%3D/events/",
    "/calendarGroups/AAMkGroup%3D/calendars/AAMkCal%3D/events/",
]
EXTRAS: list[dict[str, Any]] = [
    {},
    {"comment": COMMENT},
    {"sendResponse": False},
    {
        "comment": COMMENT,
        "proposedNewTime": SLOT | {"end": SLOT["start"] | {"dateTime": "2026-12-02T20:00:00"}},
    },
    {"comment": ""},
]


def mixed_rows(count: int) -> list[dict[str, Any]]:
    """Make rows of every form: both actions, four URLs, all bodies, guests among the users."""
    return [
        {
            "user": f"person{number % 7}@contoso.com"
            if number % 10
            else f"guest{number}#EXT#@c.com",
            "event": f"AAMkAGI2{number}==",
            "action": "decline" if number % 2 else "tentativelyAccept",
            **CALENDARS[number % 4],
            **EXTRAS[number % 5],
        }
        for number in range(count)
    ]


def expected_call(number: int, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the path and the body that Graph is to receive for a row."""
    user = row["user"].replace("#", "%23")
    event = row["event"].replace("=", "%3D")
    body = {"sendResponse": row.get("sendResponse", True)}
    if row.get("comment"):
        body["comment"] = row["comment"]
    if "proposedNewTime" in row:
        body["proposedNewTime"] = row["proposedNewTime"]
    return f"/v1.0/users/{user}{FORMS[number % 4]}{event}/{row['action']}", body


def hashable(calls: Any) -> Counter[tuple[str, str]]:
    """Return calls as a multiset."""
    return Counter((path, json.dumps(body, sort_keys=True)) for path, body in calls)


def test_sixty_mixed_responses_are_taken_once_each(
    program: Program, sandbox: SandboxClient
) -> None:
    """Sixty mixed responses are taken once each, exactly as asked, and each is accounted for."""
    rows = mixed_rows(60)
    submitted = program.here("submit", program.write("rows.jsonl", rows), "--json").json
    worker = program.burst()

    assert worker.process.returncode == 0
    expected = hashable(expected_call(number, row) for number, row in enumerate(rows))
    assert expected == hashable((entry.path, entry.body) for entry in sandbox.taken())
    by_the_clock = {"token.refreshed", "worker.alive"}
    assert Counter(e["event"] for e in worker.log if e["event"] not in by_the_clock) == {
        "worker.started": 1,
        "worker.settle_short": 1,  # the tests are in a hurry, on a Graph of their own
        "batch.submitted": 1,
        "call.finished": 60,
        "response.settled": 60,
        "batch.finished": 1,
        "worker.draining": 1,
        "worker.stopped": 1,
    }
    results = program.results(submitted["batch"])
    ids = {entry.client_request_id: entry.request_id for entry in sandbox.taken()}
    assert ids == {line["clientRequestId"]: line["requestId"] for line in results}
    assert list(range(1, 61)) == [line["row"] for line in results]
    assert {("sent", "accepted", 202, 1)} == {
        (line["outcome"], line["reason"], line["status"], line["attempts"]) for line in results
    }


def test_the_same_file_in_another_format_is_one_batch(
    program: Program, sandbox: SandboxClient
) -> None:
    """The same responses are one batch, in whatever format they come, and are sent once."""
    rows = [{"user": "ada@contoso.com", "event": f"e{n}", "action": "decline"} for n in range(5)]
    first = program.here("submit", program.write("rows.jsonl", rows), "--json").json
    program.burst()
    text = "event,user,action\n" + "".join(f"e{n},ada@contoso.com,decline\n" for n in range(5))
    (program.folder / "rows.csv").write_text(text)
    again = program.here("submit", "rows.csv", "--json")
    program.burst()

    assert (0, {**first, "created": False}) == (again.code, again.json)
    assert "submitted before" in again.err
    assert 5 == len(sandbox.journal())


def test_nothing_secret_is_logged(program: Program, sandbox: SandboxClient) -> None:
    """Neither comments nor tokens nor secrets stand in the log, at the lowest level."""
    sandbox.faults([{"times": 3, "status": 500, "message": "canary-reply"}])
    program.submit(mixed_rows(20))
    worker = program.burst(BULKRSVP_LOG_LEVEL="debug")

    text = "\n".join(json.dumps(line) for line in worker.log) + worker.errors
    secrets = (COMMENT, "canary-reply", sandbox.environment["AZURE_CLIENT_SECRET"], "eyJ", "Bearer")
    assert [] == [secret for secret in secrets if secret in text]


REFUSALS = [
    ("ada@contoso.com", "not-found-1", "not_found", 404),
    ("unknown@contoso.com", "e", "user_not_found", 404),
    ("nobody@contoso.com", "e", "user_not_found", 404),
    ("unlicensed@contoso.com", "e", "mailbox_unavailable", 404),
    ("undiscovered@contoso.com", "e", "mailbox_unavailable", 404),
    ("denied@contoso.com", "e", "access_denied", 403),
    ("ada@contoso.com", "organizer-1", "organizer", 400),
    ("ada@contoso.com", "not-requested-1", "not_requested", 400),
    ("ada@contoso.com", "no-proposals-1", "proposal_not_allowed", 400),
    ("ada@contoso.com", "malformed-1", "malformed_id", 400),
    ("ada@contoso.com", "refused-1", "bad_request", 400),
]
EVENTS = {event for _, event, *_ in REFUSALS if event != "e"}


def test_each_refusal_comes_out_with_its_reason(program: Program, sandbox: SandboxClient) -> None:
    """Each refusal comes out with its reason after one call, or one look at a text of its own."""
    rows = [
        {"user": user, "event": event, "action": "decline"}
        | ({"proposedNewTime": SLOT} if reason == "proposal_not_allowed" else {})
        for user, event, reason, _ in REFUSALS
    ]
    batch = program.submit(rows)
    worker = program.burst()

    settled = sorted(worker.events("response.settled"), key=lambda line: line["row"])
    keys = ("user", "event_id", "reason", "status", "outcome", "attempts")
    expected = [(*refusal, "failed", 1) for refusal in REFUSALS]
    assert expected == [tuple(line[key] for key in keys) for line in settled]
    calls = worker.events("call.finished")
    verdicts = {event: [c["verdict"] for c in calls if c["event_id"] == event] for event in EVENTS}
    assert {event: ["refused"] for event in EVENTS} | {"refused-1": ["look", "refused"]} == verdicts
    assert len(REFUSALS) + 1 == len(sandbox.journal())
    assert 1 == program.here("submit", "rows.jsonl", "--watch").code
    assert {"failed": len(REFUSALS)} == program.status(batch)["outcomes"]
