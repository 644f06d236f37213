"""
Where a request goes: the forms of Graph's paths that the sandbox serves.

The path is decoded before it is split, as Graph does it: a `%2F` inside an id ends a segment.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from worker.sandbox.graph.replies import NOT_ME, RefusedError, Reply, unknown_segment

ACTIONS: Final = {"decline": "declined", "tentativelyAccept": "tentativelyAccepted"}
"""The actions, and what the calendar shows after each."""

_TARGET: Final = re.compile(
    r"/(?:v1\.0|beta)/users/(?P<user>[^/]+)"
    r"(?:/calendar|(?:/calendarGroups/[^/]+)?/calendars/(?P<calendar>[^/]+))?"
    r"(?:/events(?:/(?P<event>[^/]+)"
    r"(?:/(?:microsoft\.graph\.)?(?P<action>decline|tentativelyAccept))?)?"
    r"|(?P<view>/(?i:calendarView)))"
)
_STEPS: Final = (
    r"v1\.0|beta",
    r"users",
    r"[^/]+",
    r"calendar|calendars|calendarGroups|events|(?i:calendarView)",
)


@dataclass(frozen=True, slots=True)
class Target:
    """
    What of a mailbox is asked for: an event and an action on it, or a look at it, or more events.

    Without an event it is the calendar with that id, where none is the default calendar: a view
    of it, or else the list of its events.
    """

    user: str
    event: str | None
    action: str | None
    calendar: str | None
    view: bool


def find_target(path: str) -> Target:
    """
    Read a request target as received.

    Raises `RefusedError` for a path that leads nowhere, and for `/me`.
    """
    found = _TARGET.fullmatch(unquote(path.partition("?")[0]))
    if found is None:
        raise RefusedError(_why_nowhere(path))
    user, event, action, calendar, view = found.group("user", "event", "action", "calendar", "view")
    return Target(user, event, action, calendar, view=view is not None)


def selected(path: str) -> list[str] | None:
    """Return the names in `$select`, or None where everything is wanted."""
    values = parse_qs(path.partition("?")[2]).get("$select")
    return None if values is None else [name.strip() for name in values[0].split(",")]


def _why_nowhere(path: str) -> Reply:
    segments = unquote(path.partition("?")[0]).split("/")[1:]
    if "me" in segments[1:2] or segments[1:3] == ["users", "me"]:
        return NOT_ME
    return unknown_segment(_first_unknown(segments))


def _first_unknown(segments: list[str]) -> str:
    """Name the segment at which the path leaves the known ones."""
    for step, segment in zip(_STEPS, segments, strict=False):
        if not re.fullmatch(step, segment):
            return segment
    return segments[-1]
