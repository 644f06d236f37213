"""Times and durations as people type and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InputError
from jobs.times import (
    UNITS_MS,
    read_duration_ms,
    read_moment_ms,
    write_duration,
    write_local,
    write_moment,
)

YEAR_2000_MS = 946_684_800_000
YEAR_2201_MS = 7_289_654_400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", 5_400_000),
        ("24h", 86_400_000),
        ("2d", 172_800_000),
        ("1d12h", 129_600_000),
        ("1w", 604_800_000),
        ("1.5h", 5_400_000),
        ("0.25s", 250),
        (" 10S ", 10_000),
    ],
)
def test_a_duration_adds_up_its_units(text: str, expected: int) -> None:
    """A duration is numbers with units, added up."""
    assert expected == read_duration_ms(text)


@pytest.mark.parametrize(
    "text", ["", "24", "h", "24 h", "-1h", "1h30", "1x", "PT1H", "inf", "1e3s"]
)
def test_what_is_no_duration(text: str) -> None:
    """Whatever else is typed is refused with what to write."""
    with pytest.raises(InputError, match="write 90m, 24h, 2d or 1d12h"):
        read_duration_ms(text)


@pytest.mark.parametrize("text", ["0s", "0h0m", "0.0001s", "0.0005s0.0004s", "366d", "9999999999w"])
def test_durations_out_of_range_are_refused(text: str) -> None:
    """No time at all, and a year or more, are refused with the range."""
    with pytest.raises(InputError, match="more than 0s and less than 366d"):
        read_duration_ms(text)


@given(st.integers(1, 10_000), st.sampled_from(sorted(UNITS_MS)))
def test_a_number_of_a_unit_is_that_many_units(number: int, unit: str) -> None:
    """A whole number of a unit is that many times the unit."""
    if number * UNITS_MS[unit] < 366 * UNITS_MS["d"]:
        assert number * UNITS_MS[unit] == read_duration_ms(f"{number}{unit}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01T16:00:00Z", 1_796_140_800_000),
        ("2026-12-01T17:00+01:00", 1_796_140_800_000),
        (" 2026-12-01T16:00:00.250Z ", 1_796_140_800_250),
        ("2026-12-01 08:00-08:00", 1_796_140_800_000),
        ("2000-01-01T00:00:00Z", YEAR_2000_MS),
        ("2200-12-31T23:59:59Z", YEAR_2201_MS - 1_000),
    ],
)
def test_a_moment_is_iso_8601_with_an_offset(text: str, expected: int) -> None:
    """A moment is ISO 8601 with its offset."""
    assert expected == read_moment_ms(text)


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T17:00", "2026-12-01T17:00:00"])
def test_moments_without_a_zone_are_refused(text: str) -> None:
    """A moment without its offset is refused, because nobody knows whose clock is meant."""
    with pytest.raises(InputError, match="has no time zone; write it as"):
        read_moment_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "2201-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_moments_out_of_range_are_refused(text: str) -> None:
    """A moment that is surely a mistake, and perhaps could not even be written, is refused."""
    with pytest.raises(InputError, match="give a year from 2000 to 2200"):
        read_moment_ms(text)


@pytest.mark.parametrize("text", ["", "tomorrow", "17:00", "2026-13-01T00:00Z", "1796140800"])
def test_what_is_no_moment(text: str) -> None:
    """Whatever else is typed is refused with what to write."""
    with pytest.raises(InputError, match="is not an ISO 8601 time; write it as"):
        read_moment_ms(text)


@given(st.integers(YEAR_2000_MS, YEAR_2201_MS - 1))
def test_moments_come_back(time_ms: int) -> None:
    """What is written as a moment is read as the same one, to the millisecond."""
    assert abs(time_ms - read_moment_ms(write_moment(time_ms))) <= 1


def test_moments_are_written_in_utc_or_the_readers_zone() -> None:
    """A log line's time is UTC to the millisecond; a person's is in the zone of the machine."""
    assert "2026-12-01T16:00:00.250Z" == write_moment(1_796_140_800_250)
    assert write_local(1_796_140_800_250).startswith(("2026-12-01", "2026-12-02"))


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [
        (-1, "less than 1 s"),
        (999, "less than 1 s"),
        (5_400, "5 s"),
        (310_000, "5 min 10 s"),
        (7_500_000, "2 h 5 min"),
        (7_559_999, "2 h 5 min"),
        (7_200_000, "2 h"),
        (86_405_000, "1 d"),
        (31_536_000_000 + 3_600_000, "365 d 1 h"),
    ],
)
def test_durations_are_written_in_their_two_largest_units(duration_ms: int, expected: str) -> None:
    """A person reads the two largest units, or one where the next says nothing."""
    assert expected == write_duration(duration_ms)
