"""What is known of a response: both ways through JSON, and the next step that follows from it."""

import sys
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.outcome import REASONS, Ending, Outcome, Reason
from jobs.record import QUEUED, Record, State
from jobs.steps import Next, Step, Terms, next_step
from jobs.storable import FIRST_MS, LAST_MS

NOW = 1_790_000_000_000
TERMS = Terms(
    deadline_ms=NOW + 1_000_000,
    cancelled=False,
    check_first=False,
    plan=False,
    max_attempts=3,
    settle_ms=60_000,
)
CHECK_FIRST = replace(TERMS, check_first=True)
CANCELLED = replace(TERMS, cancelled=True)
EXPIRED = replace(TERMS, deadline_ms=NOW)

ENDINGS = [
    Ending(outcome, reason)
    for outcome, reasons in REASONS.items()
    for reason in (*sorted(reasons), *([] if reasons else [None]))
]
times = st.just(0) | st.integers(FIRST_MS, LAST_MS - 1)
counts = st.integers(0, 10_000)
words = st.none() | st.text(min_size=1, max_size=40)
open_records = st.builds(
    Record,
    state=st.sampled_from([State.QUEUED, State.SENDING]),
    attempts=counts,
    throttled=counts,
    status=st.none() | st.integers(100, 599),
    client_request_id=words,
    request_id=words,
    waiting_until_ms=times,
    unknown_since_ms=times,
    unclear=st.booleans(),
    seen=words,
    failed_looks=counts,
    doubted_ms=times,
    showing=st.none(),
    settled_at_ms=st.just(0),
    ending=st.none(),
    code=words,
    refusal=st.none() | st.sampled_from(sorted(REASONS[Outcome.FAILED])),
)
unknown_records = st.builds(
    Record._replace, open_records, unknown_since_ms=st.integers(FIRST_MS, LAST_MS - 1)
)
records = open_records | st.builds(
    Record.settled, open_records, ending=st.sampled_from(ENDINGS), now_ms=times
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.sampled_from(["q", "m", "s", "sent", "accepted", "7"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(records)
def test_records_come_back(record: Record) -> None:
    """Whatever a record says, it says it again when it has been through the ledger."""
    assert record == Record.from_json(record.to_json())


def test_a_record_is_short() -> None:
    """A response of which little is known takes little room."""
    assert b'["q"]' == QUEUED.to_json()
    assert b'["m",0,0,null,"guid"]' == QUEUED.marked("guid").to_json()
    ended = QUEUED.marked("g")._replace(attempts=1, status=202, request_id="r")
    ended = ended.settled(Ending(Outcome.SENT, Reason.ACCEPTED), NOW)
    assert b'["s",1,0,202,"g","r",["sent","accepted"],%d]' % NOW == ended.to_json()


@given(st.binary(max_size=60))
@example(b"")
@example(b"null")
@example(b"[]")
@example(b'"q"')
@example(b'["q",[]]')
@example(b'["x"]')
@example(b'["s",0,0,null,null,null,["sent","not_found"]]')
@example(b'["s",0,0,null,null,null,["gone"]]')
@example(b'["q",1e999]')
def test_bytes_that_are_no_record(text: bytes) -> None:
    """Bytes that no record was written as raise `ValueError`, and nothing else."""
    with suppress(ValueError):
        Record.from_json(text)


@given(st.lists(anything, max_size=14))
def test_json_that_is_no_record(fields: list[object]) -> None:
    """JSON of the right form but with nonsense in it raises `ValueError`, and nothing else."""
    with suppress(ValueError):
        Record.from_json(orjson.dumps(fields))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"q"',
        b'["q",[]]',
        b'["q","7"]',
        b'["q",1.0]',
        b'["q",true]',
        b'["s"]',
        b'["s",0,0,null,null,null,{"a":1}]',
        b'["s",0,0,null,null,null,["sent"]]',
        b'["s",0,0,null,null,null,["sent","not_found"]]',
        b'["s",0,0,null,null,null,[null,null]]',
        b'["q",0,0,null,null,null,{}]',
        b'["q",0,0,null,null,null,["cancelled",null]]',
        b'["q",0,0,{},[],7]',
        b'["q",-1]',
        b'["q",18446744073709551615]',
        b'["q",1,0,null,"x",null,null,0,9223372036854775808]',
        b'["q",1,0,null,"x",null,null,0,0,9223372036854775808,1]',
        b'["q",1,0,null,"x",null,null,0,0,-5,1]',
        b'["s",1,0,202,"x","y",["sent","accepted"],300000000000000]',
        b'["s",1,0,202,"x","y",["sent","accepted"],5]',
    ],
)
def test_nonsense_is_no_record(text: bytes) -> None:
    """What contradicts itself, or holds a wrong type, raises `ValueError` and makes no record."""
    with pytest.raises(ValueError):  # noqa: PT011  # of several parts, each with its own words
        Record.from_json(text)


def settle(outcome: Outcome, reason: Reason | None = None) -> Next:
    """Make the step that ends a response."""
    return Next(Step.SETTLE, ending=Ending(outcome, reason))


UNKNOWN = QUEUED.unknown(NOW - 60_000)
JUST_UNKNOWN = QUEUED.unknown(NOW)
SHOWN = UNKNOWN.shown("notResponded")
EXHAUSTED = settle(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED)
ENDED = QUEUED.settled(Ending(Outcome.CANCELLED), NOW)


@pytest.mark.parametrize(
    ("record", "terms", "expected"),
    [
        (QUEUED, TERMS, Next(Step.SEND)),
        (QUEUED, CHECK_FIRST, Next(Step.LOOK)),
        (QUEUED.shown("none"), CHECK_FIRST, Next(Step.SEND)),
        (QUEUED, CANCELLED, settle(Outcome.CANCELLED)),
        (QUEUED, EXPIRED, settle(Outcome.EXPIRED)),
        (QUEUED.waiting(NOW + 1), TERMS, Next(Step.WAIT, until_ms=NOW + 1)),
        (QUEUED.waiting(NOW), TERMS, Next(Step.SEND)),
        (QUEUED.waiting(NOW + 2_000_000), TERMS, Next(Step.WAIT, until_ms=TERMS.deadline_ms)),
        (QUEUED.waiting(NOW + 1), CANCELLED, settle(Outcome.CANCELLED)),
        (QUEUED.waiting(NOW + 1), EXPIRED, settle(Outcome.EXPIRED)),
        (UNKNOWN, TERMS, Next(Step.LOOK)),
        (UNKNOWN, CANCELLED, Next(Step.LOOK)),
        (UNKNOWN, EXPIRED, Next(Step.LOOK)),
        (UNKNOWN._replace(attempts=3), TERMS, Next(Step.LOOK)),
        (JUST_UNKNOWN, TERMS, Next(Step.WAIT, until_ms=NOW + 60_000)),
        (JUST_UNKNOWN, CANCELLED, Next(Step.WAIT, until_ms=NOW + 60_000)),
        (UNKNOWN.waiting(NOW + 9), TERMS, Next(Step.WAIT, until_ms=NOW + 9)),
        (JUST_UNKNOWN.waiting(NOW + 9), TERMS, Next(Step.WAIT, until_ms=NOW + 60_000)),
        (SHOWN, TERMS, Next(Step.SEND)),
        (SHOWN, CHECK_FIRST, Next(Step.SEND)),
        (SHOWN, CANCELLED, settle(Outcome.CANCELLED)),
        (SHOWN._replace(attempts=3), TERMS, EXHAUSTED),
        (QUEUED._replace(attempts=2), TERMS, Next(Step.SEND)),
        (QUEUED._replace(throttled=99), TERMS, Next(Step.SEND)),
        (UNKNOWN._replace(failed_looks=3), TERMS, settle(Outcome.UNCERTAIN)),
        (QUEUED._replace(failed_looks=3), CHECK_FIRST, EXHAUSTED),
        (ENDED, TERMS, Next(Step.NOTHING)),
        (ENDED, CANCELLED, Next(Step.NOTHING)),
    ],
)
def test_the_next_step_looks_before_it_sends(record: Record, terms: Terms, expected: Next) -> None:
    """What may have been sent is looked at first; only what was not sent can end without a call."""
    assert expected == next_step(record, terms, NOW)


terms_of_all_kinds = st.builds(
    Terms,
    deadline_ms=times,
    cancelled=st.booleans(),
    check_first=st.booleans(),
    max_attempts=st.integers(1, 100),
    settle_ms=st.integers(0, 3_600_000),
)


@given(unknown_records, terms_of_all_kinds, times)
def test_the_unknown_is_never_sent(record: Record, terms: Terms, now_ms: int) -> None:
    """No record with a call of unknown outcome leads to a call, an expiry or a cancellation."""
    step = next_step(record, terms, now_ms)

    assert step.step in {Step.LOOK, Step.WAIT, Step.SETTLE}
    assert step.ending in {None, Ending(Outcome.UNCERTAIN)}
    if step.step is Step.LOOK:
        assert now_ms >= record.unknown_since_ms + terms.settle_ms


@given(records, terms_of_all_kinds, times)
def test_waiting_ends(record: Record, terms: Terms, now_ms: int) -> None:
    """Whoever waits until the moment that was named does not have to wait again."""
    step = next_step(record, terms, now_ms)
    if step.step is Step.WAIT:
        assert step.until_ms > now_ms
        assert next_step(record, terms, step.until_ms).step is not Step.WAIT


def test_a_wait_is_no_attempt() -> None:
    """Throttling counts for itself, and only a call that may have worked counts as an attempt."""
    waited = QUEUED.marked("g").waiting(NOW, throttled=True)
    assert (State.QUEUED, 0, 1) == (waited.state, waited.attempts, waited.throttled)
    assert (1, 0) == (waited.unknown(NOW).attempts, waited.unknown(NOW).failed_looks)


def test_retry_forgets_attempts_but_not_doubts() -> None:
    """A reopened response has all attempts before it, and what was unclear is looked at first."""
    tired = SHOWN._replace(attempts=3, throttled=7, status=500)
    failed = tired.settled(Ending(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED), NOW)
    doubtful = Record(unclear=True, seen="notResponded", unknown_since_ms=NOW)
    assert doubtful == failed.reopened()
    assert Next(Step.LOOK) == next_step(doubtful, TERMS, NOW + TERMS.settle_ms)
    assert QUEUED == QUEUED.settled(Ending(Outcome.EXPIRED), NOW).reopened()


def test_retry_forgets_what_a_look_saw() -> None:
    """What the calendar showed before may be days old: where looks come first, another one does."""
    checked = Record(seen="notResponded").settled(Ending(Outcome.FAILED, Reason.BAD_REQUEST), NOW)
    assert Next(Step.LOOK) == next_step(checked.reopened(), CHECK_FIRST, NOW)


def test_retry_looks_at_the_uncertain() -> None:
    """What ended as uncertain is looked at, after a while, before anything is sent again."""
    reopened = UNKNOWN.settled(Ending(Outcome.UNCERTAIN), NOW).reopened()
    assert Next(Step.WAIT, until_ms=NOW + 60_000) == next_step(reopened, TERMS, NOW)
    assert Next(Step.LOOK) == next_step(reopened, TERMS, NOW + 60_000)


foreign = st.one_of(
    words,
    st.just(""),
    st.text(st.characters(codec=None, categories=None), max_size=8),  # half surrogates, NUL
    st.sampled_from(["\ud800", "a\udfffb", "\0", "x" * (1 << 20), "\U0001f600" * 9_999]),
    st.integers(-5, 5),
    st.just(b"bytes"),
    st.just(["a list"]),
    st.booleans(),
)
numbers = times | st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.just("7")
steps = st.one_of(
    st.tuples(st.just("marked"), st.tuples(foreign), st.just({})),
    st.tuples(
        st.just("told"),
        st.just(()),
        st.fixed_dictionaries(
            {
                "status": st.none() | st.integers(0, 599) | numbers,
                "request_id": foreign,
                "code": foreign,
                "carried_out": st.booleans(),
            }
        ),
    ),
    st.tuples(st.just("read_under"), st.tuples(foreign), st.just({})),
    st.tuples(
        st.just("showing_event"),
        st.tuples(st.lists(foreign, min_size=3, max_size=3) | foreign),
        st.just({}),
    ),
    st.tuples(
        st.sampled_from(["unknown", "waiting", "looked_in_vain"]), st.tuples(numbers), st.just({})
    ),
    st.tuples(
        st.just("refused"), st.tuples(st.sampled_from(sorted(Reason)) | foreign), st.just({})
    ),
    st.tuples(st.just("doubted"), st.tuples(numbers, numbers), st.just({})),
    st.tuples(st.just("shown"), st.tuples(foreign), st.just({})),
    st.tuples(
        st.just("settled"), st.tuples(st.sampled_from(ENDINGS) | foreign, numbers), st.just({})
    ),
    st.tuples(st.sampled_from(["reopened", "uncoded"]), st.just(()), st.just({})),
)


@settings(max_examples=300)
@given(st.lists(steps, max_size=6))
@example([("told", (), {"status": 404, "request_id": None, "code": "\ud83d"})])
@example([("told", (), {"status": 404, "request_id": 7, "code": None})])
@example([("shown", (["none"],), {})])
@example([("shown", ("",), {})])
@example([("waiting", (1.5,), {})])
@example([("settled", (Ending(Outcome.EXPIRED), NOW), {}), ("waiting", (NOW,), {})])
@example([("waiting", (LAST_MS,), {})])
def test_what_is_written_can_be_read(
    taken: list[tuple[str, tuple[Any, ...], dict[str, Any]]],
) -> None:
    """Whatever comes from outside, a record takes it so that it comes back, or not at all."""
    record = QUEUED
    for name, arguments, named in taken:
        with suppress(TypeError, ValueError):
            record = getattr(record, name)(*arguments, **named)
        assert record == Record.from_json(record.to_json())


def test_a_text_takes_no_more_room_than_it_needs() -> None:
    """The text of a record is kept for each response of an open slice: its bytes are all it has."""
    record = QUEUED.marked("a" * 36)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        texts = [record.to_json() for _ in range(1_000)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2 * sum(map(sys.getsizeof, texts))
