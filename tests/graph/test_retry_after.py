"""The Retry-After header: never shorter than asked, never negative, and no text breaks it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.graph.retry_after import MAX_RETRY_AFTER_S, retry_after_s
from worker.throttle.backoff import wait_s

NOW = datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC)
MINUTE_BEFORE = "Wed, 21 Oct 2026 07:27:00 GMT"

moments = st.datetimes(timezones=st.just(UTC))
chances = st.floats(0, 1, exclude_max=True)
headers = st.one_of(
    st.text(),
    st.floats().map(str),
    st.integers().map(str),
    moments.map(lambda moment: format_datetime(moment, usegmt=True)),
    st.from_regex(r"[A-Za-z]{3}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{2,4} [0-9:]{5,9} [-+A-Z0-9]{1,6}"),
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("30", 30.0),
        ("2.128", 2.128),
        ("0.124", 0.124),
        ("30,120", 120.0),
        ("120, 30", 120.0),
        ("30,soon,-4", 30.0),
        ("nan,30", 30.0),
        ("  7\t", 7.0),
        ("180", 180.0),
        ("86400", MAX_RETRY_AFTER_S),
        ("86401", MAX_RETRY_AFTER_S),
        ("1e9", MAX_RETRY_AFTER_S),
        ("inf", MAX_RETRY_AFTER_S),
        ("9" * 5000, MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 30.0),
        ("Wed Oct 21 07:28:00 2026", 30.0),
        ("Wed, 21 Oct 2026 09:28:00 +0200", 30.0),
        ("5, Wed, 21 Oct 2026 07:28:00 GMT, 3", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
    ],
)
def test_every_known_shape_is_read(header: str, expected: float) -> None:
    """Seconds, decimals, lists and all HTTP-dates give the wait they ask for, up to a day."""
    assert expected == retry_after_s(header, now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "  ",
        ",",
        "0",
        "0.0",
        "-1",
        "-inf",
        "nan",
        "soon",
        "30 seconds",
        "Wed, 21 Oct 2026 07:27:30 GMT",
        "Wed, 21 Oct 2026 07:27:29 GMT",
        "Wed, 32 Oct 2026 07:28:00 GMT",
        "Sat, 01 Jan 0001 00:00:00 GMT",
    ],
)
def test_what_says_nothing_usable_is_none(header: str | None) -> None:
    """Absent, text, zero, negative, not a number and a past date leave the wait to us."""
    assert retry_after_s(header, now=NOW) is None


def test_the_longer_of_two_clocks_counts() -> None:
    """A date is measured from our clock and from the reply's Date, whichever makes it longer."""
    ahead, behind = MINUTE_BEFORE, "Wed, 21 Oct 2026 07:27:50 GMT"
    header = "Wed, 21 Oct 2026 07:28:00 GMT"
    expected = (60.0, 30.0)
    assert expected == (
        retry_after_s(header, now=NOW, date=ahead),
        retry_after_s(header, now=NOW, date=behind),
    )


def test_a_date_that_only_our_clock_has_passed_still_counts() -> None:
    """A fast clock of ours does not turn Graph's wait into none."""
    assert retry_after_s("Wed, 21 Oct 2026 07:27:20 GMT", now=NOW, date=MINUTE_BEFORE) == 20.0


@given(header=headers, date=st.none() | headers, now=moments)
def test_no_text_raises_or_leaves_the_range(header: str, date: str | None, now: datetime) -> None:
    """Any header and any Date give None or something above 0 and at most a day."""
    wait = retry_after_s(header, now=now, date=date)
    assert wait is None or 0 < wait <= MAX_RETRY_AFTER_S


@given(seconds=st.floats(0, 1e12, exclude_min=True), chance=chances)
def test_a_number_is_never_shortened(seconds: float, chance: float) -> None:
    """The wait is at least what was asked, and at most 10 % and one second more."""
    asked = min(seconds, MAX_RETRY_AFTER_S)
    wait = wait_s(retry_after_s(repr(seconds), now=NOW), lambda: chance)
    assert asked <= wait <= asked + min(asked * 0.1, 1.0)


@given(
    ahead_s=st.integers(1, 86_400),
    moment=st.datetimes(
        datetime(1970, 1, 1),  # noqa: DTZ001  # hypothesis wants it naive
        datetime(9000, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
)
def test_a_date_is_never_shortened(ahead_s: int, moment: datetime) -> None:
    """A date so many seconds ahead asks for exactly so many."""
    now = moment.replace(microsecond=0)
    header = format_datetime(now + timedelta(seconds=ahead_s), usegmt=True)
    assert retry_after_s(header, now=now) == ahead_s


@given(st.floats(0, 1e12, exclude_min=True), st.floats(0, 1e12, exclude_min=True))
def test_asking_for_more_never_waits_less(one: float, other: float) -> None:
    """The clamp keeps the order of what was asked."""
    short, long = sorted((one, other))
    assert (retry_after_s(repr(short), now=NOW) or 0) <= (retry_after_s(repr(long), now=NOW) or 0)


@given(st.lists(st.floats(0, 1e6, exclude_min=True), min_size=1))
def test_of_several_values_the_largest_counts(values: list[float]) -> None:
    """A list of waits asks for its longest, in whatever order."""
    assert min(max(values), MAX_RETRY_AFTER_S) == retry_after_s(
        ",".join(map(repr, values)), now=NOW
    )
