"""
Only Graph's own word about an event is believed: what others say in its place, and what it means.

Each case is one mailbox of a batch: the faults that it meets, and how its response must end. They
come from public reports of what Graph, and what stands before it, have answered.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.program import Program
from tests.support.rarely import rarely
from tests.support.sandbox_client import SandboxClient

PAGE = "<html><body><h1>404 Not Found</h1></body></html>"
ALWAYS: dict[str, Any] = {"times": -1}
UNTAKEN: dict[str, Any] = {"method": "POST", "status": 504, "taken": False}
TAKEN: dict[str, Any] = {"method": "POST", "status": 504, "taken": True}

ACCEPTED = ("sent", "accepted")
VERIFIED = ("sent", "verified")
INFERRED = ("sent", "inferred")
UNCERTAIN = ("uncertain", None)
EXHAUSTED = ("failed", "attempts_exhausted")


@dataclass(frozen=True)
class Case:
    """One mailbox: its faults, how its response ends, and how often Graph took it."""

    faults: list[dict[str, Any]]
    end: tuple[str, str | None]
    taken: int
    row: dict[str, Any] = field(default_factory=dict)


def answers(status: int, code: str | None = None, **more: Any) -> dict[str, Any]:
    """Make a fault of the calls that send."""
    return {"method": "POST", "status": status, "code": code, **more}


def shows(status: int, code: str | None = None, **more: Any) -> dict[str, Any]:
    """Make a fault of the looks."""
    return {"method": "GET", "status": status, "code": code, **more}


def page(status: int, text: str = PAGE, **more: Any) -> dict[str, Any]:
    """Make the reply of a front door, a proxy, or nobody."""
    return {"status": status, "html": text, **more}


PASSING = {
    "page-404-first": Case([page(404, method="POST")], ACCEPTED, 1),
    "empty-404-first": Case([page(404, "", method="POST")], ACCEPTED, 1),
    "page-403-first": Case([page(403, method="POST")], ACCEPTED, 1),
    "empty-410-first": Case([page(410, "", method="POST")], ACCEPTED, 1),
    "iis-404-first": Case([answers(404, "UnknownError", message=PAGE)], ACCEPTED, 1),
    "redirect-first": Case([page(302, "", method="POST")], ACCEPTED, 1),
    "login-page-first": Case([page(200, method="POST")], ACCEPTED, 1),
    "page-202-first": Case([page(202, method="POST")], ACCEPTED, 1),
    "empty-204-first": Case([page(204, "", method="POST")], ACCEPTED, 1),
    "empty-200-taken": Case([page(200, "", method="POST", taken=True)], INFERRED, 1),
    "page-503-taken": Case(
        [page(503, method="POST", taken=True, headers={"Retry-After": "1"})], INFERRED, 1
    ),
    "conflict-409": Case([answers(409, "ErrorIrresolvableConflict")], ACCEPTED, 1),
    "conflict-412": Case([answers(412, "ErrorIrresolvableConflict")], ACCEPTED, 1),
    "conflict-503": Case([answers(503, "ConcurrentItemSave")], ACCEPTED, 1),
    "page-404-look-once": Case([UNTAKEN, page(404, method="GET")], ACCEPTED, 1),
    "tenant-look-once": Case([UNTAKEN, shows(404, "UnknownTenantId")], ACCEPTED, 1),
    "gone-look": Case([TAKEN], INFERRED, 1),
    "gone-look-lower-case": Case([UNTAKEN, shows(404, "errorItemNotFound")], INFERRED, 0),
    "occurrence-gone-look": Case(
        [TAKEN, shows(400, "ErrorCalendarOccurrenceIsDeletedFromRecurrence", **ALWAYS)], INFERRED, 1
    ),
    "done-though-refused": Case(
        [answers(400, "ErrorInvalidRecipients", taken=True, **ALWAYS)], INFERRED, 1
    ),
    "done-though-refused-tentative": Case(
        [answers(400, "ErrorInvalidRecipients", taken=True, **ALWAYS)],
        VERIFIED,
        1,
        {"action": "tentativelyAccept"},
    ),
    "no-slow-down-0": Case(
        [answers(503, "UnknownError", taken=True, headers={"Retry-After": "0"})], INFERRED, 1
    ),
    "no-slow-down-text": Case(
        [answers(503, "UnknownError", taken=True, headers={"Retry-After": "soon"})], INFERRED, 1
    ),
    "german-organizer": Case(
        [answers(400, "ErrorInvalidRequest", message="Sie sind der Organisator.", **ALWAYS)],
        ("skipped", "organizer"),
        0,
        {"event": "organizer-1"},
    ),
    "german-not-requested": Case(
        [answers(400, "ErrorInvalidRequest", message="Keine Antwort erbeten.", **ALWAYS)],
        ("skipped", "not_requested"),
        0,
        {"event": "not-requested-1"},
    ),
    "german-anything": Case(
        [answers(400, "ErrorInvalidRequest", message="Das geht nicht.", **ALWAYS)],
        ("failed", "bad_request"),
        0,
    ),
}
"""What passes, or is settled by the first look that can be made."""

LASTING = {
    "login-page": Case([page(200, method="POST", **ALWAYS)], EXHAUSTED, 0),
    "error-in-200": Case(
        [page(200, '{"error": {"code": "ErrorItemNotFound"}}', method="POST", **ALWAYS)],
        EXHAUSTED,
        0,
    ),
    "page-404-look": Case([UNTAKEN, page(404, method="GET", **ALWAYS)], UNCERTAIN, 0),
    "empty-404-look": Case([UNTAKEN, page(404, "", method="GET", **ALWAYS)], UNCERTAIN, 0),
    "mailbox-look": Case([UNTAKEN, shows(404, "resourceNotFound", **ALWAYS)], UNCERTAIN, 0),
}
OTHERS_LASTING = {
    "folder-look": Case(
        [UNTAKEN, shows(404, "ErrorFolderNotFound", **ALWAYS)], UNCERTAIN, 0, {"calendar": "CAL1"}
    ),
    "unsupported-look": Case(
        [UNTAKEN, shows(404, "MailboxNotSupportedForRESTAPI", **ALWAYS)], UNCERTAIN, 0
    ),
    "tenant-look": Case([UNTAKEN, shows(404, "UnknownTenantId", **ALWAYS)], UNCERTAIN, 0),
    "denied-look": Case([UNTAKEN, shows(403, "ErrorAccessDenied", **ALWAYS)], UNCERTAIN, 0),
    "error-in-200-look": Case(
        [UNTAKEN, page(200, '{"error": {"code": "ErrorItemNotFound"}}', method="GET", **ALWAYS)],
        UNCERTAIN,
        0,
    ),
}
"""What never becomes clear; in groups, for a worker makes only so many repetitions at once."""

CODES = {
    ("failed", "access_denied"): [(403, "errorAccessDenied"), (401, "ErrorAccessDenied")],
    ("failed", "sending_denied"): [
        (403, "ErrorSendAsDenied"),
        (403, "ErrorAccountSuspend"),
        (403, "ErrorMessageSubmissionBlocked"),
    ],
    ("failed", "quota_exceeded"): [
        (403, "ErrorQuotaExceeded"),
        (403, "ErrorSubmissionQuotaExceeded"),
    ],
    ("failed", "cancelled"): [(400, "ErrorCalendarIsCancelledForDecline")],
    ("failed", "mailbox_unavailable"): [
        (404, "MailboxNotSupportedForRESTAPI"),
        (401, "MailboxNotEnabledForRESTAPI"),
        (404, "ResourceNotFound"),
        (400, "ErrorMissingEmailAddress"),
        (403, "ErrorInvalidLicense"),
    ],
    ("failed", "calendar_not_found"): [(404, "ErrorFolderNotFound")],
    ("failed", "tenant_unavailable"): [(404, "UnknownTenantId")],
    ("failed", "other_mailbox"): [(400, "ErrorInvalidMailboxItemId")],
    ("failed", "malformed_id"): [(400, "ErrorInvalidIdMalformedEwsLegacyIdFormat")],
    ("failed", "bad_request"): [
        (402, "x"),
        (404, "x"),
        (413, "ErrorMessageSizeExceeded"),
        (414, "x"),
        (421, "x"),
        (451, "x"),
        (302, "x"),
    ],
}


def play(program: Program, sandbox: SandboxClient, cases: dict[str, Case]) -> None:
    """Run a batch of all cases, and compare how each mailbox ended and what Graph took."""
    users = {name: f"{name}@contoso.com" for name in cases}
    sandbox.faults(
        [{"user": users[name], **fault} for name, case in cases.items() for fault in case.faults]
    )
    rows = [
        {"user": users[name], "event": "G1", "action": "decline", **case.row}
        for name, case in cases.items()
    ]
    batch = program.submit(rows)
    program.burst(BULKRSVP_MAX_ATTEMPTS="3")

    lines = program.results(batch)
    ends = {line["user"]: (line["outcome"], line["reason"]) for line in lines}
    taken = dict.fromkeys(users.values(), 0)
    for entry in sandbox.taken():
        taken[entry.mailbox] += 1
    assert {users[name]: case.end for name, case in cases.items()} == ends
    assert {users[name]: case.taken for name, case in cases.items()} == taken


@pytest.mark.parametrize(
    "cases", [PASSING, LASTING, OTHERS_LASTING], ids=["passing", "lasting", "others"]
)
def test_only_graphs_own_word_is_believed(
    program: Program, sandbox: SandboxClient, cases: dict[str, Case]
) -> None:
    """What is not Graph's word is looked at, never believed, and nothing is sent twice for it."""
    play(program, sandbox, cases)


def test_what_a_code_says(program: Program, sandbox: SandboxClient) -> None:
    """A code comes before its status, in any letter case, and stands in results and log."""
    codes = [(end, status, code) for end, given in CODES.items() for status, code in given]
    sandbox.faults(
        [
            {"user": f"c{n}@contoso.com", "status": status, "code": code, **ALWAYS}
            for n, (_, status, code) in enumerate(codes)
        ]
    )
    rows = [
        {"user": f"c{n}@contoso.com", "event": "G1", "action": "decline"}
        for n, _ in enumerate(codes)
    ]
    batch = program.submit(rows)
    worker = program.burst()

    expected = [(*end, status, code) for end, status, code in codes]
    keys = ("outcome", "reason", "status", "errorCode")
    lines = program.results(batch)
    assert expected == [tuple(line[key] for key in keys) for line in lines]
    settled = {line["row"]: line["error_code"] for line in worker.events("response.settled")}
    assert [code for *_, code in codes] == [settled[n] for n, _ in enumerate(codes, start=1)]
    assert [] == worker.events("token.refused")
    header, *_ = program.here("results", batch, "--format", "csv").out.splitlines()
    assert "errorCode" in header.split(",")


def test_a_status_that_is_null(program: Program, sandbox: SandboxClient) -> None:
    """A look that shows null for the response shows none, as a page of a calendar does."""
    event = '{"id": "G1", "isOrganizer": false, "responseStatus": null}'
    sandbox.faults([page(200, event, method="GET", **ALWAYS)])
    batch = program.submit(
        [{"user": "ada@contoso.com", "event": "G1", "action": "decline"}], "--check-first"
    )
    program.burst()
    assert {"sent": 1} == program.status(batch)["outcomes"]


@pytest.mark.parametrize(
    "fault",
    [
        rarely(answers(500, "ErrorServerBusy", headers={"Retry-After": "2"}), name="busy"),
        rarely(answers(504, taken=False, headers={"Retry-After": "2"}), name="time-out"),
        pytest.param(
            answers(409, "ErrorIrresolvableConflict", headers={"Retry-After": "2"}), id="conflict"
        ),
        rarely(page(502, method="POST", headers={"Retry-After": "2"}), name="page"),
        rarely(answers(403, "ErrorAccessDenied", headers={"Retry-After": "2"}), name="refused"),
    ],
)
def test_a_retry_after_is_obeyed_with_every_status(
    program: Program, sandbox: SandboxClient, fault: dict[str, Any]
) -> None:
    """No call reaches a mailbox before the wait is over that any reply has asked for."""
    sandbox.faults([fault])
    rows = [{"user": "ada@contoso.com", "event": f"G{n}", "action": "decline"} for n in range(12)]
    batch = program.submit(rows)
    worker = program.burst()

    assert 0 == sandbox.stats().early
    assert 0 == program.status(batch)["open"]
    assert [2.0] == [each["retry_after_s"] for each in worker.log if each.get("retry_after_s")][:1]
    assert [] == sandbox.stats().duplicates
