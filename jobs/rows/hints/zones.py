"""
What a text meant that is no zone, or none that is meant: an abbreviation, an offset, a city.

A hint goes by what a text says, from tables, and never by how it is spelt: names that differ in a
letter are hours apart. What is said of an offset is said of the day that is proposed.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Final

from jobs.quoting import abbreviated
from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.hints.wording import did_you_mean
from jobs.rows.hints.zone_names import ABBREVIATIONS, DISPLAY_NAMES, FIXED, SUMMERLESS, Short
from jobs.rows.timezones import find_zone, zone_names

__all__ = ["why_no_zone"]

_CITY: Final = "give the zone of a city, as the IANA names it, or its name in Windows"

_OFFSET: Final = re.compile(
    r"\(?(?:UTC|GMT)?\s*([+\u2212\u2013-])\s*(\d{1,2})(?::?(\d{2}))?\)?", re.IGNORECASE
)
_NO_OFFSET: Final = re.compile(
    r"\(?(?:UTC|Z|UTC/GMT|GMT/UTC)\)?|tzone://microsoft/utc", re.IGNORECASE
)
_CUSTOM: Final = re.compile(r"customi[sz]ed time zone|tzone://microsoft/custom", re.IGNORECASE)
_DISPLAYED: Final = re.compile(r"\((?:UTC|GMT)\s*(?:([+-])(\d\d):?(\d\d))?\)\s*(\S.*)")
_SUMMER: Final = re.compile(r"(.+) (?:daylight|summer) time", re.IGNORECASE)
_ASIDE: Final = re.compile(r"\s*\((?:[A-Z]{2,5}|(?:UTC|GMT)[^()]*)\)$")
_UNHEARD: Final = re.compile(r"[\s_.'\u2019]+")
_AREAS: Final = re.compile(
    r"(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific)/"
    r"(?:\w+/)*([\w-]+)"
)
_NO_CITIES: Final = frozenset({"north", "south", "west", "center", "act", "nsw", "lhi", "victoria"})

_SIGNS: Final = {"+": 1, "-": -1, "\u2212": -1, "\u2013": -1}
_HOUR: Final = 60
_ANY_DAY: Final = datetime(2027, 1, 1)  # noqa: DTZ001  # on the clock of whatever zone is asked
_FROM_TO: Final = (-12, 14)
"""The whole hours that `Etc/GMT` has zones of."""


@lru_cache(maxsize=1024)  # a wrong name stands in every row of a file
def why_no_zone(name: str, day: str) -> str:
    """
    Say why `name` is no zone to propose a time of `day` in, and what is.

    It is none that is known, or one of `SUMMERLESS`. `day` is a date; no other text says which.
    """
    return next(_complaints(name, name.strip(" \t\"'"), _date(day)))


def _complaints(name: str, text: str, at: datetime | None) -> Iterator[str]:
    shown = abbreviated(name)
    if why := why_unwritten(name):
        yield f"{why}; {_CITY}"
    if offset := _OFFSET.fullmatch(text):
        yield _why_no_offset(shown, *offset.groups())
    if _NO_OFFSET.fullmatch(text):
        yield f"{shown} is not how that zone is called; {did_you_mean('UTC')}"
    if _CUSTOM.fullmatch(text):
        yield f"{shown} is what Outlook calls a zone that it made up for one event; {_CITY}"
    if (same := _same(text)) and same not in SUMMERLESS:
        yield f"{shown} is not how that zone is written; {did_you_mean(same)}"
    if short := _spelt_out(text):
        yield _why_no_abbreviation(name, short, at)
    if meant := tuple(_meant(text, at)):
        yield f"{shown} is not how that zone is called; {did_you_mean(*meant)}"
    yield f"{shown} is neither a Windows nor an IANA time zone; {_CITY}"


def _date(day: str) -> datetime | None:
    try:
        return datetime.fromisoformat(day)
    except ValueError:
        return None


def _why_no_offset(shown: str, sign: str, hours: str, minutes: str | None) -> str:
    offset = _SIGNS[sign] * (int(hours) * _HOUR + int(minutes or 0))
    if not offset:
        return f"{shown} is not how that zone is called; {did_you_mean('UTC')}"
    whole, rest = divmod(offset, _HOUR)
    no_zone = f"{shown} is an offset, not a zone; name the zone of the city"
    if not rest and _FROM_TO[0] <= whole <= _FROM_TO[1]:
        meant = did_you_mean(f"Etc/GMT{-whole:+d}")
        year = f"{_written(offset)} all year, whose name has the other sign"
        return f"{no_zone}, or for {year}: {meant}"
    if fixed := FIXED.get(offset):
        return f"{no_zone}, or for {_written(offset)} all year: {did_you_mean(fixed)}"
    return no_zone


def _same(text: str) -> str | None:
    """Return the zone that is written like `text`, but for letter case, blanks and dots."""
    heard = _heard(text)
    return next((zone for zone in zone_names() if _heard(zone) == heard), None)


def _spelt_out(text: str) -> list[Short]:
    """Return what `text` abbreviates, or is in full, as far as it is no zone of Windows."""
    heard = _heard(text)
    return [each for each in ABBREVIATIONS if heard in {_heard(each.letters), _heard(each.name)}]


def _why_no_abbreviation(name: str, found: list[Short], at: datetime | None) -> str:
    """Say what `name` is short for, and what its zones keep on that day, where it is another."""
    zones = {zone: each for each in found for zone in each.zones}
    others = [
        f"on {at:%Y-%m-%d} {zone} is {_written(offset)}"
        for zone, each in zones.items()
        if at and each.hours is not None
        if (offset := _offset(zone, at)) != each.hours * _HOUR
    ]
    names = " or ".join(dict.fromkeys(each.name for each in found))
    summer = "has no summer time, and " if name in SUMMERLESS else ""
    said = f"{abbreviated(name)} {summer}is short for {names}"
    if _heard(name) != _heard(found[0].letters):
        said = f"{abbreviated(name)} is not how a zone is called"
    return "; ".join([said, *others, did_you_mean(*zones)])


def _meant(text: str, at: datetime | None) -> Iterator[str]:
    """Yield the zones that `text` says in other words; if it says an offset too, those with it."""
    stated, displayed = None, text
    if found := _DISPLAYED.fullmatch(text):
        sign, hours, minutes, displayed = found.groups()
        stated = _SIGNS[sign] * (int(hours) * _HOUR + int(minutes)) if sign else None
    for zone in _heard_of(displayed):
        if stated is None or stated in _stated(zone, at or _ANY_DAY):
            yield zone


def _stated(zone: str, at: datetime) -> set[int]:
    """Return the offsets that may stand before a zone's name: that of the day, and of winter."""
    return {_offset(zone, at), _offset(zone, at, summer=False)}


def _heard_of(name: str) -> tuple[str, ...]:
    """Return the zones called `name`, by whatever name, or else what it ends with."""
    known = _known()
    if found := known.get(_heard(name)) or known.get(_heard(_ASIDE.sub("", name))):
        return found
    if summer := _SUMMER.fullmatch(name):
        return known.get(_heard(f"{summer[1]} standard time"), ())
    return known.get(_heard(name.rpartition(" - ")[2]), ()) if " - " in name else ()


def _heard(name: str) -> str:
    """Return what is left of a name if letter case and blanks, and how it is set, do not count."""
    spoken = name.casefold().replace("&amp;", "and").replace("&", "and").replace("\\", "/")
    return _UNHEARD.sub("", spoken).replace("co-ord", "coord")


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """Map whatever a zone is called, as it is heard, to the zones that keep different times."""
    known: dict[str, dict[tuple[int, ...], str]] = {}
    for called, zone in _callings():
        if find_zone(zone):
            known.setdefault(_heard(called), {}).setdefault(_offsets(zone), zone)
    exact = {_heard(zone): (zone,) for zone in zone_names()}
    return {called: tuple(zones.values()) for called, zones in known.items()} | exact


def _callings() -> Iterator[tuple[str, str]]:
    for zone in zone_names():
        if (city := _AREAS.fullmatch(zone)) and city[1].casefold() not in _NO_CITIES:
            yield city[1], zone
    for zone, displayed in DISPLAY_NAMES:
        yield displayed, zone
        if ", " in displayed:
            yield from ((city, zone) for city in displayed.split(", "))


@cache
def _offsets(zone: str) -> tuple[int, ...]:
    """Return the offsets of a zone in minutes, as months begin in two years that lie ahead."""
    months = [datetime(year, month, 1) for year in (2027, 2028) for month in range(1, 13)]  # noqa: DTZ001
    return tuple(_offset(zone, month) for month in months)


def _offset(zone: str, at: datetime, *, summer: bool = True) -> int:
    """Return the offset of a known zone in minutes, with that of its summer time or without."""
    found = find_zone(zone)
    offset = (found and found.utcoffset(at)) or timedelta()
    if found and not summer:
        offset -= found.dst(at) or timedelta()
    return int(offset / timedelta(minutes=1))


def _written(offset: int) -> str:
    hours, minutes = divmod(abs(offset), _HOUR)
    sign = "+" if offset >= 0 else "-"
    return f"UTC{sign}{hours}:{minutes:02d}" if minutes else f"UTC{sign}{hours}"
