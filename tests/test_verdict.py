"""What each reply means: the whole table, for calls that send and for looks."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.outcome import REASONS, Ending, Outcome, Reason
from jobs.record import Record
from jobs.response import Action, LocalTime, Response, TimeSlot
from worker.reply import Event, Reply, TransportEnd
from worker.verdict import REFUSALS, Judgement, Verdict, judge, judge_look

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

FRESH = Record()
CHECKED = Record(seen="notResponded")
UNKNOWN = Record().unknown(1_000)
CHECKED_UNKNOWN = CHECKED.unknown(1_000)
SHOWN_AFTER_UNKNOWN = UNKNOWN.shown("notResponded")
ACCEPTED_BEFORE = Record(seen="accepted").unknown(1_000)

SENT_ACCEPTED = Judgement(Verdict.SENT, Ending(Outcome.SENT, Reason.ACCEPTED))
WAIT = Judgement(Verdict.WAIT)
AGAIN = Judgement(Verdict.AGAIN)
LOOK = Judgement(Verdict.LOOK)
NEW_TOKEN = Judgement(Verdict.AGAIN, token=True)
UNCERTAIN = Judgement(Verdict.REFUSED, Ending(Outcome.UNCERTAIN))


def reply(status: int | None, code: str | None = None, **fields: Any) -> Reply:
    """Make a reply as `worker/graph.py` brings it."""
    arrived_at = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    return Reply(status=status, code=code, arrived_at=arrived_at, duration_ms=12.5, **fields)


def event(answer: str = "notResponded", **fields: bool) -> Reply:
    """Make the reply to a look that found the event."""
    standard: Any = {"is_organizer": False, "is_cancelled": False, "response_requested": True}
    return reply(200, event=Event(response=answer, **(standard | fields)))


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
    (200, SENT_ACCEPTED),
    (202, SENT_ACCEPTED),
    (204, SENT_ACCEPTED),
    (299, SENT_ACCEPTED),
    (429, WAIT),
    (401, NEW_TOKEN),
    (400, refused(Reason.BAD_REQUEST)),
    (403, refused(Reason.ACCESS_DENIED)),
    (404, refused(Reason.NOT_FOUND)),
    (405, refused(Reason.BAD_REQUEST)),
    (409, refused(Reason.BAD_REQUEST)),
    (410, refused(Reason.NOT_FOUND)),
    (412, refused(Reason.BAD_REQUEST)),
    (413, refused(Reason.BAD_REQUEST)),
    (415, refused(Reason.BAD_REQUEST)),
    (422, refused(Reason.BAD_REQUEST)),
    (501, refused(Reason.BAD_REQUEST)),
    *[(status, LOOK) for status in (100, 199, 301, 302, 307, 402, 406, 408, 418, 423, 424, 499)],
    *[(status, LOOK) for status in (500, 502, 503, 504, 505, 507, 509, 520, 599)],
]


@pytest.mark.parametrize(("status", "expected"), ANY_STATUS)
def test_a_bare_status(status: int, expected: Judgement) -> None:
    """A status without a body is enough to judge a call that sends."""
    assert expected == judge(reply(status), DECLINE, FRESH)


REFUSED = [
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT, Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT.replace("'", "\u2019"), Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", ORGANIZER_TEXT.upper(), Reason.ORGANIZER),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT, Reason.NOT_REQUESTED),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT.replace("'", "\u2019"), Reason.NOT_REQUESTED),
    (400, "ErrorInvalidRequest", NOT_REQUESTED_TEXT.replace("n't", " not"), Reason.NOT_REQUESTED),
    (400, "ErrorInvalidRequest", None, Reason.BAD_REQUEST),
    (400, "ErrorInvalidRequest", "Something that nobody has met yet.", Reason.BAD_REQUEST),
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
    (409, "ErrorIrresolvableConflict", None, Reason.BAD_REQUEST),
    (412, "ErrorIrresolvableConflict", None, Reason.BAD_REQUEST),
]


@pytest.mark.parametrize(("status", "code", "message", "reason"), REFUSED)
@pytest.mark.parametrize("table", [judge, judge_look])
def test_a_refusal(table: Any, status: int, code: str, message: str | None, reason: Reason) -> None:
    """A refusal is told apart by its code, or by its text where two share a code."""
    assert refused(reason) == table(reply(status, code, message=message), DECLINE, FRESH)


@pytest.mark.parametrize(
    ("code", "message", "response", "reason"),
    [
        ("ErrorInvalidRequest", None, PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
        ("ErrorInvalidParameter", None, PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
        ("Unheard", "New time proposals are off.", PROPOSING, Reason.PROPOSAL_NOT_ALLOWED),
        ("Unheard", None, PROPOSING, Reason.BAD_REQUEST),
        ("ErrorInvalidRequest", ORGANIZER_TEXT, PROPOSING, Reason.ORGANIZER),
        ("ErrorInvalidRequest", NOT_REQUESTED_TEXT, PROPOSING, Reason.NOT_REQUESTED),
        ("ErrorInvalidIdMalformed", "Id is malformed.", PROPOSING, Reason.MALFORMED_ID),
        ("ErrorInvalidRequest", "New time proposals are off.", DECLINE, Reason.BAD_REQUEST),
    ],
)
def test_a_refused_proposal(
    code: str, message: str | None, response: Response, reason: Reason
) -> None:
    """Only who proposes a time can be refused for it, and only if nothing better is known."""
    assert refused(reason) == judge(reply(400, code, message=message), response, FRESH)


NOT_FOUND = reply(404, "ErrorItemNotFound")
GONE_AFTER = [
    (DECLINE, FRESH, refused(Reason.NOT_FOUND)),
    (DECLINE, CHECKED, refused(Reason.NOT_FOUND)),
    (DECLINE, UNKNOWN, worked(Reason.INFERRED)),
    (DECLINE, CHECKED_UNKNOWN, worked(Reason.VERIFIED)),
    (DECLINE, SHOWN_AFTER_UNKNOWN, worked(Reason.VERIFIED)),
    (TENTATIVE, FRESH, refused(Reason.NOT_FOUND)),
    (TENTATIVE, UNKNOWN, refused(Reason.NOT_FOUND)),
    (TENTATIVE, SHOWN_AFTER_UNKNOWN, refused(Reason.NOT_FOUND)),
]


@pytest.mark.parametrize(("response", "record", "expected"), GONE_AFTER)
@pytest.mark.parametrize("gone", [NOT_FOUND, reply(404)], ids=["code", "bare"])
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
        ("ErrorInvalidUser", Reason.USER_NOT_FOUND),
    ],
)
def test_a_mailbox_that_is_gone_proves_no_decline(code: str, reason: Reason) -> None:
    """A 404 that speaks of the mailbox says nothing about the event in it."""
    assert refused(reason) == judge(reply(404, code), DECLINE, CHECKED_UNKNOWN)
    assert UNCERTAIN == judge_look(reply(404, code), DECLINE, CHECKED_UNKNOWN)


THROTTLED = [
    (reply(429), WAIT),
    (reply(429, "ApplicationThrottled", retry_after="2.128"), WAIT),
    (reply(429, "TooManyRequests", retry_after="nonsense"), WAIT),
    (reply(503, retry_after="1"), WAIT),
    (reply(503, retry_after="Wed, 21 Oct 2026 07:28:30 GMT"), WAIT),
    (reply(509, retry_after="120"), WAIT),
    (reply(400, "ErrorExceededMessageLimit"), WAIT),
    (reply(403, "ErrorExceededMessageLimit"), WAIT),
    (reply(429, "ErrorExceededMessageLimit"), WAIT),
]


@pytest.mark.parametrize(("throttled", "expected"), THROTTLED)
@pytest.mark.parametrize("record", [FRESH, UNKNOWN, CHECKED_UNKNOWN])
def test_throttling(throttled: Reply, expected: Judgement, record: Record) -> None:
    """Whoever is throttled waits, whether sending or looking, and whatever came before."""
    assert expected == judge(throttled, DECLINE, record)
    assert expected == judge_look(throttled, DECLINE, record)


@pytest.mark.parametrize("status", [500, 502, 504, 507])
def test_a_retry_after_proves_nothing_elsewhere(status: int) -> None:
    """A Retry-After beside another error of the server does not say that nothing was done."""
    assert LOOK == judge(reply(status, retry_after="1"), DECLINE, FRESH)


@pytest.mark.parametrize("end", list(TransportEnd))
def test_a_broken_call(end: TransportEnd) -> None:
    """What left this machine is unknown until it is looked at; what did not is sent again."""
    assert LOOK == judge(reply(None, end, reached=True), DECLINE, FRESH)
    assert AGAIN == judge(reply(None, end, reached=False), DECLINE, FRESH)
    assert AGAIN == judge_look(reply(None, end, reached=True), DECLINE, UNKNOWN)
    assert AGAIN == judge_look(reply(None, end, reached=False), DECLINE, UNKNOWN)


LOOKS = [
    (event("declined"), DECLINE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event("declined"), DECLINE, FRESH, seen(Outcome.ALREADY)),
    (event("declined"), TENTATIVE, UNKNOWN, seen(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE)),
    (event("tentativelyAccepted"), TENTATIVE, UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (event("tentativelyAccepted"), TENTATIVE, FRESH, seen(Outcome.ALREADY)),
    (event("tentativelyAccepted"), DECLINE, FRESH, shown("tentativelyAccepted")),
    (event(), DECLINE, FRESH, shown()),
    (event(), DECLINE, UNKNOWN, shown()),
    (event("none"), DECLINE, UNKNOWN, shown("none")),
    (event(), TENTATIVE, CHECKED_UNKNOWN, shown()),
    (event("accepted"), DECLINE, FRESH, shown("accepted")),
    (event("accepted"), DECLINE, UNKNOWN, seen(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE)),
    (event("accepted"), DECLINE, CHECKED_UNKNOWN, seen(Outcome.SKIPPED, Reason.ANSWERED_OTHERWISE)),
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
    (NOT_FOUND, DECLINE, CHECKED_UNKNOWN, worked(Reason.VERIFIED, Verdict.SEEN)),
    (NOT_FOUND, TENTATIVE, FRESH, refused(Reason.NOT_FOUND)),
    (NOT_FOUND, TENTATIVE, UNKNOWN, UNCERTAIN),
    (reply(403, "ErrorAccessDenied"), DECLINE, FRESH, refused(Reason.ACCESS_DENIED)),
    (reply(403, "ErrorAccessDenied"), DECLINE, UNKNOWN, UNCERTAIN),
    (reply(410), DECLINE, UNKNOWN, UNCERTAIN),
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
def test_a_look(found: Reply, response: Response, record: Record, expected: Judgement) -> None:
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
replies = st.builds(
    reply,
    st.none() | st.integers(100, 599),
    texts,
    message=texts,
    reached=st.booleans(),
    retry_after=texts,
    event=st.none() | events,
)


@given(
    replies,
    st.sampled_from([DECLINE, TENTATIVE, SILENT, PROPOSING]),
    st.sampled_from([FRESH, CHECKED, UNKNOWN, CHECKED_UNKNOWN, SHOWN_AFTER_UNKNOWN]),
)
def test_nothing_is_refused_without_proof(met: Reply, response: Response, record: Record) -> None:
    """Whatever comes, a failure stands on a status that proves it, and no look ends as accepted."""
    sending, looking = judge(met, response, record), judge_look(met, response, record)

    if sending.verdict is Verdict.REFUSED:
        assert met.status in REFUSALS
    if sending.verdict is Verdict.AGAIN:
        assert met.status == 401 if met.status else not met.reached
    if looking.ending is not None and looking.ending.outcome is Outcome.SENT:
        assert record.unclear
        assert looking.ending.reason is not Reason.ACCEPTED
    if looking.ending is not None and looking.ending.outcome is Outcome.FAILED:
        assert not record.unknown_since_ms
    for ending in (sending.ending, looking.ending):
        assert ending is None or ending.reason is None or ending.reason in REASONS[ending.outcome]
