"""
The names of time zones that a proposed time may use: Windows names and IANA names.

Windows names are Unicode CLDR's table, which tzlocal carries; IANA names are those of tzdata, so
that a file is judged alike on every machine. What another name may mean is
`jobs/rows/hints/zones.py`'s. Knows no response.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

__all__ = ["find_zone", "zone_names"]


def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone that a Windows or an IANA `name` stands for, letter case kept, or None."""
    key = _zones().get(name)
    return ZoneInfo(key) if key else None


def zone_names() -> Iterable[str]:
    """Return every known name, those of the IANA first."""
    return _zones().keys()


@cache
def _zones() -> dict[str, str]:
    """Map every known name to its IANA name."""
    iana = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return {name: name for name in iana} | win_tz
