"""
The names of time zones that a proposed time may use: Windows names and IANA names.

Windows names are Unicode CLDR's table, which tzlocal carries; IANA names are those of tzdata, so
that a file is judged alike on every machine. Knows no response.
"""

from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

__all__ = ["find_zone", "nearest_zone"]


def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone that a Windows or an IANA `name` stands for, letter case kept, or None."""
    key = _zones().get(name)
    return ZoneInfo(key) if key else None


@lru_cache(maxsize=1024)  # a wrong name stands in every row of a file, and the search is slow
def nearest_zone(name: str) -> str | None:
    """Return the known name that an unknown `name` most resembles, or None."""
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in _zones()}
    known = cities | {zone.casefold(): zone for zone in _zones()}
    near = get_close_matches(name[:64].casefold(), known, n=1)
    return known[near[0]] if near else None


@cache
def _zones() -> dict[str, str]:
    """Map every known name to its IANA name."""
    iana = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return {name: name for name in iana} | win_tz
