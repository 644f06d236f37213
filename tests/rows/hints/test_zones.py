"""Hints for zones go by what a text says: the zones they name keep the hours that it says."""

import re
from datetime import datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.rows.fields import WRITTEN
from jobs.rows.hints.zone_names import ABBREVIATIONS, DISPLAY_NAMES, FIXED, SUMMERLESS
from jobs.rows.hints.zones import why_no_zone
from jobs.rows.response import LocalTime
from jobs.rows.timezones import find_zone, zone_names

HINT = re.compile(r"did you mean (.+)\?\Z")
DAYS = [f"2027-{month:02}-15T12:00:00" for month in range(1, 13)]
HOUR = timedelta(hours=1)


def hinted(name: str, day: str = DAYS[6]) -> list[str]:
    """Return the zones that are named in the place of `name`, each of which must be taken."""
    assert not is_taken(name), name
    found = HINT.search(why_no_zone(name, day[:10]))
    zones = re.split(r", | or ", found[1]) if found else []
    assert [] == [zone for zone in zones if not is_taken(zone)]
    return zones


def is_taken(name: str) -> bool:
    """Tell whether a time may be proposed in a zone."""
    time = {"dateTime": "2027-07-14T18:00", "timeZone": name}
    try:
        LocalTime.model_validate(time, by_alias=True, context=WRITTEN)
    except ValidationError:
        return False
    return True


def offset(zone: str, day: str) -> timedelta:
    """Return the offset that a zone keeps on a day."""
    found = find_zone(zone)
    assert found is not None, zone
    kept = found.utcoffset(datetime.fromisoformat(day))
    assert kept is not None
    return kept


@given(
    st.integers(-16 * 4, 16 * 4).map(lambda quarters: quarters * 15),
    st.sampled_from(["UTC{s}{h}", "GMT{s}{h}", "UTC{s}{h:02}:{m:02}", "{s}{h:02}:{m:02}"]),
    st.sampled_from(["{}", "({})", " {} "]),
    st.sampled_from(DAYS),
)
def test_an_offset_leads_to_a_zone_that_has_it(
    minutes: int, form: str, round_it: str, day: str
) -> None:
    """The sign is right, which the names of the IANA turn round."""
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    if "{m" not in form and rest:
        return
    name = round_it.format(form.format(s=sign, h=hours, m=rest))
    if find_zone(name):  # UTC+12 is a name of Windows
        assert timedelta(minutes=minutes) == offset(name, day)
        return
    kept = {offset(zone, day) for zone in hinted(name, day)}
    assert kept <= {timedelta(minutes=minutes)}
    assert kept or rest or not -12 <= hours * (-1 if minutes < 0 else 1) <= 14


@pytest.mark.parametrize("minutes", FIXED)
def test_an_offset_of_half_an_hour_leads_to_who_keeps_it_all_year(minutes: int) -> None:
    """The table of such zones holds."""
    assert {timedelta(minutes=minutes)} == {offset(FIXED[minutes], day) for day in DAYS}


@pytest.mark.parametrize(("zone", "displayed"), DISPLAY_NAMES)
def test_a_display_name_leads_to_its_zone(zone: str, displayed: str) -> None:
    """With the offset of winter before it, as Windows shows it, or with none."""
    known = find_zone(zone)
    assert known is not None
    day = datetime(2027, 7, 14)  # noqa: DTZ001  # on whatever clock
    winter = (known.utcoffset(day) or timedelta()) - (known.dst(day) or timedelta())
    hours, minutes = divmod(abs(winter) // timedelta(minutes=1), 60)
    sign = "-" if winter < timedelta() else "+"
    for name in (
        displayed,
        f"(UTC{sign}{hours:02}:{minutes:02}) {displayed}",
        f"(GMT{sign}{hours:02}:{minutes:02}) {displayed}",
        f"(UTC) {displayed.upper()}".replace("&", "&amp;"),
    ):
        found = [] if find_zone(name) else hinted(name, "2027-07-14")
        assert find_zone(name) or zone in found or offsets(zone) in map(offsets, found), name


def offsets(zone: str) -> list[timedelta]:
    """Return what a zone keeps in a year."""
    return [offset(zone, day) for day in DAYS]


def test_a_display_name_under_another_offset_leads_nowhere() -> None:
    """Where the offset and the place contradict each other, neither is taken for what is meant."""
    assert [] == hinted("(UTC+01:00) Pacific Time (US & Canada)")
    assert [] == hinted("(UTC+06:00) Astana")


@pytest.mark.parametrize("day", DAYS)
def test_an_abbreviation_leads_to_all_that_keep_its_hours_or_says_what_they_keep(day: str) -> None:
    """What a zone keeps that day is what its abbreviation says, or is told."""
    for short in ABBREVIATIONS:
        if short.letters not in SUMMERLESS and find_zone(short.letters):
            continue
        why, found = why_no_zone(short.letters, day[:10]), hinted(short.letters, day)
        assert set(short.zones) <= set(found)
        for zone in short.zones:
            told = f"on {day[:10]} {zone} is UTC{offset(zone, day) / HOUR:+g}"
            kept = short.hours is None or offset(zone, day) == short.hours * HOUR
            assert kept is not (told.partition(".")[0] in why), (why, told)


def test_every_abbreviation_that_is_in_use_is_known() -> None:
    """Whoever writes what a clock of tzdata shows is led to a zone with the same hours all year."""
    iana = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    for name in iana:
        for day in (DAYS[0], DAYS[6]):
            letters = ZoneInfo(name).tzname(datetime.fromisoformat(day)) or ""
            if letters[:1] in "+-" or (find_zone(letters) and letters not in SUMMERLESS):
                continue
            assert offset(name, day) in {offset(zone, day) for zone in hinted(letters, day)}, name


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        ("CEST", ["Europe/Berlin"]),
        ("IST", ["Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"]),
        ("BST", ["Europe/London", "Asia/Dhaka"]),
        ("pacific standard time", ["Pacific Standard Time"]),
        ("Pacific Daylight Time", ["America/Los_Angeles"]),
        ("W. Europe Daylight Time", ["W. Europe Standard Time"]),
        ("British Summer Time", ["Europe/London"]),
        ("Eastern Time", ["America/New_York"]),
        ("europe/oslo", ["Europe/Oslo"]),
        ("America/New York", ["America/New_York"]),
        ("Mumbai", ["India Standard Time"]),
        ("La Paz", ["America/La_Paz", "Mountain Standard Time (Mexico)"]),
        ("(GMT-08:00) Pacific Time - Los Angeles", ["America/Los_Angeles"]),
        ("Europe/Berlin (CEST)", ["Europe/Berlin"]),
        ("Z", ["UTC"]),
        ("utc", ["UTC"]),
        ("tzone://Microsoft/Utc", ["UTC"]),
        ("tzone://Microsoft/Custom", []),
        ("Customized Time Zone", []),
        ("N/A", []),
        ("Pacific Standart Time", []),
        ("Oslo time", []),
    ],
)
def test_what_a_name_means(name: str, zones: list[str]) -> None:
    """The likeliest comes first, and what is only spelt alike does not come at all."""
    assert zones == hinted(name)


@given(st.text(max_size=30) | st.sampled_from(sorted(zone_names())).map(str.swapcase))
@example("(UTC+99:99) X")
@example("UTC+99")
def test_any_text_is_a_zone_or_leads_to_one_or_to_advice(name: str) -> None:
    """Whatever is written, there is a message, and the zones in it are taken."""
    for day in ("2027-07-14", "", "9999-12-31"):
        if not is_taken(name):
            hinted(name, day)
