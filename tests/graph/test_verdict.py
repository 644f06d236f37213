"""What each reply means: the whole table, for calls that send and for looks."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.outcome import REASONS, Ending, Outcome, Reason
from jobs.record import Record
from jobs.rows.response import Action, LocalTime, Response, TimeSlot
from worker.graph import codes, verdict
from worker.graph.error import REFUSALS
from worker.graph.reply import Event, Reply, TransportEnd
from worker.graph.verdict import Judgement, Verdict, judge, judge_page

ORGANIZER_TEXT = (
    "Your request can't be completed. You can't respond to this meeting because you're the"
    " meeting organizer."
)
NOT_REQUESTED_TEXT = (
    "Your request can't be completed. The meeting organizer hasn't requested a response."
)
RAOP_TEXT = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly policy."

SLOT = TimeSlot(
    start=LocalTime(date_time="2026-12-02T18:00:00", time_zone="UTC"),
    end=LocalTime(date_time="2026-12-02T19:00:00", time_zone="UTC"),
)
DECLINE = Response(user="ada@contoso.com", event="E1", action=Action.DECLINE)
TENTATIVE = DECLINE.model_copy(update={"action": Action.TENTATIVELY_ACCEPT})
SILENT = DECLINE.model_copy(update={"send_response": False})
PROPOSING = DECLINE.model_copy(update={"proposed_new_time": SLOT})

BEGUN_MS = 1_790_000_000_000
"""When the first slice of the batch was opened."""

FRESH = Record()
CHECKED = Record(seen="notResponded")
UNKNOWN = Record().unknown(BEGUN_MS + 600_000)
CHECKED_UNKNOWN = CHECKED.unknown(BEGUN_MS + 600_000)
SHOWN_AFTER_UNKNOWN = UNKNOWN.shown("notResponded")
ACCEPTED_BEFORE = Record(seen="accepted").unknown(BEGUN_MS + 600_000)

REFUSED_UNCLEARLY = Record().refused(Reason.BAD_REQUEST)
PROPOSAL_REFUSED = Record().refused(Reason.PROPOSAL_NOT_ALLOWED)

SENT_ACCEPTED = Judgement(Verdict.SENT, Ending(Outcome.SENT, Reason.ACCEPTED))
WAIT = Judgement(Verdict.WAIT)
AWAY = Judgement(Verdict.WAIT, away=True)
AGAIN = Judgement(Verdict.AGAIN)
LOOK = Judgement(Verdict.LOOK)
NEW_TOKEN = Judgement(Verdict.AGAIN, token=True)
UNCERTAIN = Judgement(Verdict.REFUSED, Ending(Outcome.UNCERTAIN))


def reply(status: int | None, code: str | None = None, **fields: Any) -> Reply:
    """Make a reply as `worker/graph/client.py` brings it."""
    arrived_at = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    return Reply(status=status, code=code, arrived_at=arrived_at, duration_ms=12.5, **fields)


def event(answer: str = "notResponded", **fields: Any) -> Reply:
    """Make the reply to a look that found the event."""
    standard: Any = {"is_organizer": False, "is_cancelled": False, "response_requested": True}
    return reply(200, event=Event(response=answer, **(standard | fields)))


def judge_look(found: Reply, response: Response, record: Record) -> Judgement:
    """Judge a look of that batch."""
    return verdict.judge_look(found, response, record, BEGUN_MS)


def answered(answer: str, after_ms: int) -> Reply:
    """Make the reply to a look at an answer that was given so long after the batch had begun."""
    given_at = datetime.fromtimestamp((BEGUN_MS + after_ms) / 1000, UTC)
    return event(answer, answered_at=given_at)


def refused(reason: Reason) -> Judgement:
    """Make the judgement that Graph refused it for good."""
    return Judgement(Verdict.REFUSED, Ending(Outcome.FAILED, reason))


def worked(reason: Reason, verdict: Verdict = Verdict.SENT) -> Judgement:
    """Make the judgement that it was carried out, though not by the word of its own reply."""
    return Judgement(verdict, Ending(Outcome.SENT, reason))


def seen(outcome: Outcome, reason: Reason | None = None) -> Judgement:
    """Make the judgement that a look has settled it."""
    return Judgement(Verdict.SEEN, Ending(outcome, reason))


def shown(answer: str = "notResponded") -> Judgement:
    """Make the judgement that the calendar shows it as not carried out."""
    return Judgement(Verdict.SEEN, shown=answer)


ANY_STATUS = [
    (202, SENT_ACCEPTED),
    *[(status, LOOK) for status in (200, 201, 203, 204, 206, 299)],
    (429, WAIT),
    (401, NEW_TOKEN),
    *[(status, LOOK) for status in (100, 199, 301, 302, 307, 400, 402, 403, 404, 405, 406, 408)],
    *[(status, LOOK) for status in (409, 410, 412, 413, 415, 418, 421, 422, 423, 424, 451, 499)],
    *[(status, LOOK) for status in (500, 501, 502, 503, 504, 505, 507, 509, 520, 599)],
]


@pytest.mark.parametrize(("status", "expected"), ANY_STATUS)
@pytest.mark.parametrize("code", [None, "UnknownError", "unknownerror"])
def test_a_bare_status_proves_nothing(status: int, expected: Judgement, code: str | None) -> None:
    """A status without Graph's own word proves nothing, but for a 202 and a 429."""
    assert expected == judge(reply(status, code), DECLINE, FRESH)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_success_with_a_body_is_looked_at(status: int) -> None:
    """Graph takes a response without a body, so whatever has one is looked at."""
    assert LOOK == judge(reply(status, has_body=True), DECLINE, FRESH)
    assert LOOK == judge(reply(status, "ErrorItemNotFound", has_body=True), DECLINE, UNKNOWN)


GRAPHS_OWN = [
    (400, refused(Reason.BAD_REQUEST)),
    (402, refused(Reason.BAD_REQUEST)),
    (403, refused(Reason.ACCESS_DENIED)),
    (404, refused(Reason.BAD_REQUEST)),
    (405, refused(Reason.BAD_REQUEST)),
    (410, refused(Reason.BAD_REQUEST)),
    (413, refused(Reason.BAD_REQUEST)),
    (414, refused(Reason.BAD_REQUEST)),
    (421, refused(Reason.BAD_REQUEST)),
    (422, refused(Reason.BAD_REQUEST)),
    (451, refused(Reason.BAD_REQUEST)),
    (302, refused(Reason.BAD_REQUEST)),
    (501, refused(Reason.BAD_REQUEST)),
    *[(status, LOOK) for status in (200, 408, 409, 412, 423, 424, 425, 499)],
    *[(status, LOOK) for status in (500, 502, 503, 504, 507, 509, 599)],
]


@pytest.mark.parametrize(("status", "expected"), GRAPHS_OWN)
def test_a_code_that_nobody_has_met(status: int, expected: Judgement) -> None:
    """With a code in Graph's JSON the status counts; time-outs and conflicts are looked at."""
    assert expected == judge(reply(status, "UnheardOf", has_body=True), DECLINE, FRESH)


REFUSED = [
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT, Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT.replace("'", "\u2019"), Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT.upper(), Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT, Reason.NOT_REQUESTED),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT.replace("'", "\u2019"), Reason.NOT_REQUESTED),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT.replace("n't", " not"), Reason.NOT_REQUESTED),
    (400, "ErrorInvalidParameter", "'SendResponse' must be true when ...", Reason.BAD_REQUEST),
    (400, "ErrorInvalidIdMalformed", "Id is malformed.", Reason.MALFORMED_ID),
    (400, "RequestBroker--ParseUri", "Resource not found for the segment.", Reason.MALFORMED_ID),
    (400, "BadRequest", "/me request is only valid with delegated flow.", Reason.BAD_REQUEST),
    (400, "TimeZoneNotSupportedException", None, Reason.BAD_REQUEST),
    (400, "ErrorCalendarIsOrganizerForDecline", None, Reason.ORGANIZER),
    (400, "ErrorCalendarIsOrganizerForTentative", None, Reason.ORGANIZER),
    (404, "ErrorItemNotFound", "The specified object was not found.", Reason.NOT_FOUND),
    (404, "MailboxNotEnabledForRESTAPI", "The mailbox is inactive.", Reason.MAILBOX_UNAVAILABLE),
    (404, "ResourceNotFound", "Resource could not be discovered.", Reason.MAILBOX_UNAVAILABLE),
    (404, "ErrorNonExistentMailbox", None, Reason.MAILBOX_UNAVAILABLE),
    (403, "ErrorAccountDisabled", None, Reason.MAILBOX_UNAVAILABLE),
    (404, "ErrorInvalidUser", "The requested user is invalid.", Reason.USER_NOT_FOUND),
    (404, "Request_ResourceNotFound", "Resource does not exist.", Reason.USER_NOT_FOUND),
    (403, "ErrorAccessDenied", RAOP_TEXT, Reason.ACCESS_DENIED),
    (403, "ErrorAccessDenied", "Access is denied. Check credentials.", Reason.ACCESS_DENIED),
    (403, "Authorization_RequestDenied", "Insufficient privileges.", Reason.ACCESS_DENIED),
    (403, "errorAccessDenied", None, Reason.ACCESS_DENIED),
    (401, "AuthOMMissingRequiredPermissions", None, Reason.ACCESS_DENIED),
    (404, "resourceNotFound", None, Reason.MAILBOX_UNAVAILABLE),
    (404, "MailboxNotSupportedForRESTAPI", None, Reason.MAILBOX_UNAVAILABLE),
    (401, "MailboxNotEnabledForRESTAPI", None, Reason.MAILBOX_UNAVAILABLE),
    (503, "MailboxNotEnabledForRESTAPI", None, Reason.MAILBOX_UNAVAILABLE),
    (400, "ErrorMissingEmailAddress", None, Reason.MAILBOX_UNAVAILABLE),
    (403, "ErrorInvalidLicense", None, Reason.MAILBOX_UNAVAILABLE),
    (404, "ErrorFolderNotFound", None, Reason.CALENDAR_NOT_FOUND),
    (404, "UnknownTenantId", None, Reason.TENANT_UNAVAILABLE),
    (404, "OrganizationFromTenantGuidNotFound", None, Reason.TENANT_UNAVAILABLE),
    (400, "ErrorInvalidMailboxItemId", None, Reason.OTHER_MAILBOX),
    (403, "ErrorQuotaExceeded", None, Reason.QUOTA_EXCEEDED),
    (403, "ErrorSubmissionQuotaExceeded", None, Reason.QUOTA_EXCEEDED),
    (403, "ErrorSendAsDenied", None, Reason.SENDING_DENIED),
    (403, "ErrorAccountSuspend", None, Reason.SENDING_DENIED),
    (403, "ErrorMessageSubmissionBlocked", None, Reason.SENDING_DENIED),
    (400, "ErrorCalendarIsCancelledForDecline", None, Reason.CANCELLED),
    (400, "ErrorCalendarOccurrenceIsDeletedFromRecurrence", None, Reason.NOT_FOUND),
]


@pytest.mark.parametrize(("status", "code", "message", "reason"), REFUSED)
@pytest.mark.parametrize("table", [judge, judge_look])
def test_refusals_are_told_apart_by_code_or_text(
    table: Any, status: int, code: str, message: str | None, reason: Reason
) -> None:
    """A refusal is told apart by its code, or by its text where two share a code."""
    assert refused(reason) == table(reply(status, code, message=message), DECLINE, FRESH)


@pytest.mark.parametrize(
    ("code", "message", "response", "reason"),
    [
        (
            "ErrorInvalidRequest",
            "No new time proposals here.",
            PROPOSING,
            Reason.PROPOSAL_NOT_ALLOWED,
        ),
        ("Unheard", "New time proposals are off.", PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
        ("Unheard", None, PROPOSING, Reason.BAD_REQUEST),
        ("ErrorInvalidRequest", ORGANIZER_TEXT, PROPOSING, Reason.ORGANIZER),
        ("ErrorInvalidRequest", NOT_REQUESTED_TEXT, PROPOSING, Reason.NOT_REQUESTED),
        ("ErrorInvalidIdMalformed", "Id is malformed.", PROPOSING, Reason.MALFORMED_ID),
        ("ErrorInvalidParameter", None, DECLINE, Reason.BAD_REQUEST),
    ],
)
def test_only_a_proposed_time_can_be_refused_for_it(
    code: str, message: str | None, response: Response, reason: Reason
) -> None:
    """Only who proposes a time can be refused for it, and only if nothing better is known."""
    assert refused(reason) == judge(reply(400, code, message=message), response, FRESH)


def looked_at(reason: Reason) -> Judgement:
    """Make the judgement that one look may find a better reason than this."""
    return Judgement(Verdict.LOOK, refusal=reason)


UNCLEAR_TEXTS = [
    ("ErrorInvalidRequest", None, DECLINE, Reason.BAD_REQUEST),
    ("ErrorInvalidRequest", "Sie sind der Organisator.", DECLINE, Reason.BAD_REQUEST),
    ("errorinvalidrequest", "New time proposals are off.", DECLINE, Reason.BAD_REQUEST),
    ("ErrorInvalidRequest", None, PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
    ("ErrorInvalidParameter", "Ungültig.", PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
]


@pytest.mark.parametrize(("code", "message", "response", "reason"), UNCLEAR_TEXTS)
def test_a_text_that_cannot_be_read(
    code: str, message: str | None, response: Response, reason: Reason
) -> None:
    """Where only a text would tell two refusals apart, and says nothing known, one look decides."""
    assert looked_at(reason) == judge(reply(400, code, message=message), response, FRESH)
    assert refused(Reason.BAD_REQUEST) == judge_look(reply(400, code), response, FRESH)


AFTER_AN_UNCLEAR_REFUSAL = [
    (event(is_organizer=True), DECLINE, REFUSED_UNCLEARLY, seen(Outcome.SKIPPED, Reason.ORGANIZER)),
    (event(is_cancelled=True), DECLINE, REFUSED_UNCLEARLY, seen(Outcome.SKIPPED, Reason.CANCELLED)),
    (
        event(response_requested=False),
        DECLINE,
        REFUSED_UNCLEARLY,
        seen(Outcome.SKIPPED, Reason.NOT_REQUESTED),
    ),
    (event("declined"), DECLINE, REFUSED_UNCLEARLY, seen(Outcome.ALREADY)),
    (event(), DECLINE, REFUSED_UNCLEARLY, seen(Outcome.FAILED, Reason.BAD_REQUEST)),
    (
        event(proposals_allowed=False),
        PROPOSING,
        PROPOSAL_REFUSED,
        seen(Outcome.FAILED, Reason.PROPOSAL_NOT_ALLOWED),
    ),
    (event(), PROPOSING, PROPOSAL_REFUSED, seen(Outcome.FAILED, Reason.BAD_REQUEST)),
    (reply(403, "ErrorAccessDenied"), DECLINE, REFUSED_UNCLEARLY, refused(Reason.BAD_REQUEST)),
    (reply(404, "ErrorItemNotFound"), DECLINE, REFUSED_UNCLEARLY, refused(Reason.BAD_REQUEST)),
    (reply(404), DECLINE, REFUSED_UNCLEARLY, AGAIN),
]


@pytest.mark.parametrize(("found", "response", "record", "expected"), AFTER_AN_UNCLEAR_REFUSAL)
def test_the_look_that_decides(
    found: Reply, response: Response, record: Record, expected: Judgement
) -> None:
    """After a refusal without a clear reason, a look names it, or the refusal stands."""
    assert expected == judge_look(found, response, record)


DOUBTFUL = [
    (409, "ErrorIrresolvableConflict"),
    (412, "ErrorIrresolvableConflict"),
    (400, "ErrorIrresolvableConflict"),
    (503, "ConcurrentItemSave"),
    (400, "ErrorInvalidRecipients"),
    (403, "errorInvalidRecipients"),
    (404, "ErrorInternalServerTransientError"),
]


@pytest.mark.parametrize(("status", "code"), DOUBTFUL)
def test_what_may_have_been_done(status: int, code: str) -> None:
    """Conflicts, and mail that could not be delivered, are looked at; a look is made again."""
    assert LOOK == judge(reply(status, code), DECLINE, FRESH)
    assert LOOK == judge(reply(status, code, retry_after_s=3.0), DECLINE, FRESH)
    assert AGAIN == judge_look(reply(status, code), DECLINE, UNKNOWN)


AWAY_CODES = [
    (503, "ErrorMailboxMoveInProgress"),
    (404, "ErrorMailboxMoveInProgress"),
    (500, "ErrorMailboxStoreUnavailable"),
    (503, "MailboxInfoStale"),
    (400, "mailboxInfoStale"),
    (401, "ErrorServerBusy"),
    (200, "ErrorServerBusy"),
]


@pytest.mark.parametrize(("status", "code"), AWAY_CODES)
def test_a_mailbox_that_is_away(status: int, code: str) -> None:
    """A mailbox that says that it is away is waited for, under whatever status it says so."""
    if status >= 300:
        assert AWAY == judge(reply(status, code), DECLINE, FRESH)
    assert AWAY == judge_look(reply(status, code), DECLINE, UNKNOWN)
    assert AWAY == judge_page(reply(status, code))


NOT_FOUND = reply(404, "ErrorItemNotFound")
GONE_AFTER = [
    (DECLINE, FRESH, refused(Reason.NOT_FOUND)),
    (DECLINE, CHECKED, refused(Reason.NOT_FOUND)),
    (DECLINE, UNKNOWN, worked(Reason.INFERRED)),
    (DECLINE, CHECKED_UNKNOWN, worked(Reason.INFERRED)),
    (DECLINE, SHOWN_AFTER_UNKNOWN, worked(Reason.INFERRED)),
    (TENTATIVE, FRESH, refused(Reason.NOT_FOUND)),
    (TENTATIVE, UNKNOWN, refused(Reason.NOT_FOUND)),
    (TENTATIVE, SHOWN_AFTER_UNKNOWN, refused(Reason.NOT_FOUND)),
]


@pytest.mark.parametrize(("response", "record", "expected"), GONE_AFTER)
@pytest.mark.parametrize("gone", [NOT_FOUND, reply(404, "erroritemnotfound")])
def test_not_found_when_sending(
    gone: Reply, response: Response, record: Record, expected: Judgement
) -> None:
    """An event that is gone was declined if a decline of unknown outcome came before, else not."""
    assert expected == judge(gone, response, record)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("MailboxNotEnabledForRESTAPI", Reason.MAILBOX_UNAVAILABLE),
        ("ResourceNotFound", Reason.MAILBOX_UNAVAILABLE),
        ("resourceNotFound", Reason.MAILBOX_UNAVAILABLE),
        ("MailboxNotSupportedForRESTAPI", Reason.MAILBOX_UNAVAILABLE),
        ("ErrorInvalidUser", Reason.USER_NOT_FOUND),
        ("ErrorFolderNotFound", Reason.CALENDAR_NOT_FOUND),
        ("UnknownTenantId", Reason.TENANT_UNAVAILABLE),
        ("UnheardOf", Reason.BAD_REQUEST),
    ],
)
def test_only_one_code_proves_a_decline(code: str, reason: Reason) -> None:
    """A 404 that speaks of mailbox, calendar or tenant says nothing about the event in it."""
    assert refused(reason) == judge(reply(404, code), DECLINE, CHECKED_UNKNOWN)
    expected = AGAIN if reason in codes.ELSEWHERE else UNCERTAIN
    assert expected == judge_look(reply(404, code), DECLINE, CHECKED_UNKNOWN)


@pytest.mark.parametrize("code", [None, "UnknownError"])
@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_page_of_somebody_else_proves_nothing(status: int, code: str | None) -> None:
    """What is not Graph's own JSON neither proves a decline nor ends anything."""
    assert LOOK == judge(reply(status, code), DECLINE, SHOWN_AFTER_UNKNOWN)
    assert AGAIN == judge_look(reply(status, code), DECLINE, UNKNOWN)
    assert AGAIN == judge_page(reply(status, code))


THROTTLED = [
    (reply(429), WAIT),
    (reply(429, "ApplicationThrottled", retry_after_s=2.128), WAIT),
    (reply(429, "TooManyRequests"), WAIT),
    (reply(503, "UnknownError", retry_after_s=1.0), WAIT),
    (reply(503, "ServiceUnavailable", retry_after_s=30.0), WAIT),
    (reply(509, "BandwidthExceeded", retry_after_s=120.0), WAIT),
    (reply(400, "ErrorExceededMessageLimit"), WAIT),
    (reply(403, "ErrorExceededMessageLimit"), WAIT),
    (reply(429, "ErrorExceededMessageLimit"), WAIT),
]


@pytest.mark.parametrize(("throttled", "expected"), THROTTLED)
@pytest.mark.parametrize("record", [FRESH, UNKNOWN, CHECKED_UNKNOWN])
def test_whoever_is_throttled_waits(throttled: Reply, expected: Judgement, record: Record) -> None:
    """Whoever is throttled waits, whether sending or looking, and whatever came before."""
    assert expected == judge(throttled, DECLINE, record)
    assert expected == judge_look(throttled, DECLINE, record)


@pytest.mark.parametrize("status", [500, 502, 504, 507])
def test_a_retry_after_proves_nothing_elsewhere(status: int) -> None:
    """A Retry-After beside another error of the server does not say that nothing was done."""
    assert LOOK == judge(reply(status, "UnknownError", retry_after_s=1.0), DECLINE, FRESH)


def test_a_retry_after_of_somebody_else_proves_nothing() -> None:
    """A 503 that is not Graph's own JSON may come after the call was carried out."""
    assert LOOK == judge(reply(503, retry_after_s=1.0, has_body=True), DECLINE, FRESH)
    assert LOOK == judge(reply(503, "UnknownError"), DECLINE, FRESH)


@pytest.mark.parametrize("end", list(TransportEnd))
def test_a_call_that_left_is_unknown_and_one_that_did_not_is_sent_again(end: TransportEnd) -> None:
    """What left this machine is unknown until it is looked at; what did not is sent again."""
    assert LOOK == judge(reply(None, end, reached=True), DECLINE, FRESH)
    assert AGAIN == judge(reply(None, end, reached=False), DECLINE, FRESH)
    assert AGAIN == judge_look(reply(None, end, reached=True), DECLINE, UNKNOWN)
    assert AGAIN == judge_look(reply(None, end, reached=False), DECLINE, UNKNOWN)


LOOKS = [
    (event("declined"), DECLINE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event("declined"), DECLINE, FRESH, seen(Outcome.ALREADY)),
    (event("declined"), TENTATIVE, UNKNOWN, seen(Outcome.UNCERTAIN)),
    (event("tentativelyAccepted"), TENTATIVE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event("tentativelyAccepted"), TENTATIVE, FRESH, seen(Outcome.ALREADY)),
    (event("tentativelyAccepted"), DECLINE, FRESH, shown("tentativelyAccepted")),
    (event(), DECLINE, FRESH, shown()),
    (event(), DECLINE, UNKNOWN, shown()),
    (event("none"), DECLINE, UNKNOWN, shown("none")),
    (event(), TENTATIVE, CHECKED_UNKNOWN, shown()),
    (event("accepted"), DECLINE, FRESH, shown("accepted")),
    (event("accepted"), DECLINE, UNKNOWN, seen(Outcome.UNCERTAIN)),
    (event("accepted"), DECLINE, CHECKED_UNKNOWN, seen(Outcome.UNCERTAIN)),
    (answered("accepted", -61_000), DECLINE, UNKNOWN, shown("accepted")),
    (answered("accepted", -59_000), DECLINE, UNKNOWN, seen(Outcome.UNCERTAIN)),
    (answered("accepted", 300_000), DECLINE, UNKNOWN, seen(Outcome.UNCERTAIN)),
    (answered("accepted", 659_000), DECLINE, UNKNOWN, seen(Outcome.UNCERTAIN)),
    (
        answered("accepted", 661_000),
        DECLINE,
        UNKNOWN,
        seen(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE),
    ),
    (answered("accepted", -61_000), DECLINE, CHECKED_UNKNOWN, shown("accepted")),
    (answered("accepted", 661_000), DECLINE, ACCEPTED_BEFORE, shown("accepted")),
    (answered("declined", -61_000), DECLINE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event("accepted"), DECLINE, ACCEPTED_BEFORE, shown("accepted")),
    (event("declined"), DECLINE, ACCEPTED_BEFORE, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event(is_organizer=True), DECLINE, FRESH, seen(Outcome.SKIPPED, Reason.ORGANIZER)),
    (
        event("organizer", is_organizer=True),
        DECLINE,
        UNKNOWN,
        seen(Outcome.SKIPPED, Reason.ORGANIZER),
    ),
    (event(is_cancelled=True), DECLINE, FRESH, seen(Outcome.SKIPPED, Reason.CANCELLED)),
    (event("declined", is_cancelled=True), DECLINE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event(response_requested=False), DECLINE, FRESH, seen(Outcome.SKIPPED, Reason.NOT_REQUESTED)),
    (event(response_requested=False), SILENT, FRESH, shown()),
    (event("declined", response_requested=False), DECLINE, FRESH, seen(Outcome.ALREADY)),
    (NOT_FOUND, DECLINE, FRESH, refused(Reason.NOT_FOUND)),
    (NOT_FOUND, DECLINE, UNKNOWN, worked(Reason.INFERRED, Verdict.SEEN)),
    (NOT_FOUND, DECLINE, CHECKED_UNKNOWN, worked(Reason.INFERRED, Verdict.SEEN)),
    (NOT_FOUND, TENTATIVE, FRESH, refused(Reason.NOT_FOUND)),
    (NOT_FOUND, TENTATIVE, UNKNOWN, UNCERTAIN),
    (reply(403, "ErrorAccessDenied"), DECLINE, FRESH, refused(Reason.ACCESS_DENIED)),
    (reply(403, "ErrorAccessDenied"), DECLINE, UNKNOWN, UNCERTAIN),
    (reply(410), DECLINE, UNKNOWN, AGAIN),
    (reply(410, "UnheardOf"), DECLINE, UNKNOWN, UNCERTAIN),
    (reply(404, "MailboxNotEnabledForRESTAPI"), DECLINE, UNKNOWN, AGAIN),
    (
        reply(400, "ErrorCalendarOccurrenceIsDeletedFromRecurrence"),
        DECLINE,
        UNKNOWN,
        worked(Reason.INFERRED, Verdict.SEEN),
    ),
    (reply(200, "ErrorItemNotFound"), DECLINE, UNKNOWN, AGAIN),
    (reply(401), DECLINE, UNKNOWN, NEW_TOKEN),
    (reply(200), DECLINE, UNKNOWN, AGAIN),
    (reply(204), DECLINE, FRESH, AGAIN),
    (reply(302), DECLINE, UNKNOWN, AGAIN),
    (reply(408), DECLINE, UNKNOWN, AGAIN),
    (reply(500), DECLINE, UNKNOWN, AGAIN),
    (reply(503), DECLINE, UNKNOWN, AGAIN),
    (reply(504, "UnknownError"), DECLINE, FRESH, AGAIN),
]


@pytest.mark.parametrize(("found", "response", "record", "expected"), LOOKS)
def test_a_look_settles_a_response_or_lets_it_be_sent(
    found: Reply, response: Response, record: Record, expected: Judgement
) -> None:
    """What the calendar shows settles a response, or lets it be sent, or says nothing yet."""
    assert expected == judge_look(found, response, record)


def test_every_status_is_judged() -> None:
    """Whatever status comes, with whatever record, both tables say something that can be obeyed."""
    records = [FRESH, CHECKED, UNKNOWN, CHECKED_UNKNOWN, SHOWN_AFTER_UNKNOWN]
    for status in range(100, 600):
        for record in records:
            for response in (DECLINE, TENTATIVE, PROPOSING):
                sending = judge(reply(status), response, record)
                looking = judge_look(reply(status), response, record)
                assert Verdict.SEEN is not sending.verdict
                assert looking.verdict not in {Verdict.SENT, Verdict.LOOK}
                assert (sending.ending is None) == (
                    sending.verdict in {Verdict.WAIT, Verdict.AGAIN, Verdict.LOOK}
                )


texts = st.none() | st.text(max_size=40)
events = st.builds(
    Event,
    response=st.text(min_size=1, max_size=20)
    | st.sampled_from(["declined", "tentativelyAccepted", "accepted", "none", "notResponded"]),
    is_organizer=st.booleans(),
    is_cancelled=st.booleans(),
    response_requested=st.booleans(),
)
known_codes = st.sampled_from(
    sorted({*codes.REASONS, *codes.AWAY, *codes.DOUBTFUL, "unknownerror"})
)
replies = st.builds(
    reply,
    st.none() | st.integers(100, 599),
    texts | known_codes,
    message=texts,
    reached=st.booleans(),
    retry_after_s=st.none() | st.floats(0.1, 100),
    has_body=st.booleans(),
    event=st.none() | events,
)


@given(
    replies,
    st.sampled_from([DECLINE, TENTATIVE, SILENT, PROPOSING]),
    st.sampled_from([FRESH, CHECKED, UNKNOWN, CHECKED_UNKNOWN, SHOWN_AFTER_UNKNOWN]),
)
def test_nothing_is_refused_without_proof(met: Reply, response: Response, record: Record) -> None:
    """Whatever comes, no look ends as accepted, and nothing unknown as failed."""
    sending, looking = judge(met, response, record), judge_look(met, response, record)

    if sending.verdict is Verdict.AGAIN:
        assert met.status == 401 if met.status else not met.reached
    if looking.ending is not None and looking.ending.outcome is Outcome.SENT:
        assert record.unclear
        assert looking.ending.reason is not Reason.ACCEPTED
    if looking.ending is not None and looking.ending.outcome is Outcome.FAILED:
        assert not record.unknown_since_ms
    for ending in (sending.ending, looking.ending):
        assert ending is None or ending.reason is None or ending.reason in REASONS[ending.outcome]


@given(
    replies,
    st.sampled_from([DECLINE, TENTATIVE, SILENT, PROPOSING]),
    st.sampled_from([FRESH, CHECKED, UNKNOWN, CHECKED_UNKNOWN, SHOWN_AFTER_UNKNOWN]),
)
def test_each_end_rests_on_graphs_own_word(met: Reply, response: Response, record: Record) -> None:
    """An end rests on a code of Graph's, on a 202 without a body, or on an event that was seen."""
    word = (met.code or "").casefold()
    for each in (judge(met, response, record), judge_look(met, response, record)):
        if each.verdict is Verdict.REFUSED:
            assert met.status in REFUSALS or codes.REASONS[word] in codes.ANYWHERE
        match each.ending and each.ending.reason:
            case Reason.ACCEPTED:
                assert (202, False) == (met.status, met.has_body)
            case Reason.VERIFIED:
                assert met.event is not None
            case Reason.INFERRED:
                assert word in codes.GONE
            case None:
                pass
            case _:
                assert met.event is not None or word not in {"", "unknownerror"}
