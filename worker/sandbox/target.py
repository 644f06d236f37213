"""
Where a request goes: the forms of Graph's paths that the sandbox serves.

The path is decoded before it is split, as Graph does it: a `%2F` inside an id ends a segment.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from worker.sandbox.replies import NOT_ME, RefusedError, Reply, unknown_segment

ACTIONS: Final = {"decline": "declined", "tentativelyAccept": "tentativelyAccepted"}
"""The actions, and what the calendar shows after each."""

_TARGET: Final = re.compile(
    r"/(?:v1\.0|beta)/users/(?P<user>[^/]+)"
    r"(?:/calendar|(?:/calendarGroups/[^/]+)?/calendars/[^/]+)?"
    r"/events/(?P<event>[^/]+)"
    r"(?:/(?:microsoft\.graph\.)?(?P<action>decline|tentativelyAccept))?"
)
_STEPS: Final = (
    r"v1\.0|beta",
    r"users",
    r"[^/]+",
    r"calendar|calendars|calendarGroups|events",
)


@dataclass(frozen=True, slots=True)
class Target:
    """An event in a mailbox, and what is asked of it; no action is a look."""

    user: str
    event: str
    action: str | None


def find_target(path: str) -> Target:
    """
    Read a request target as received.

    Raises `RefusedError` for a path that leads nowhere, and for `/me`.
    """
    found = _TARGET.fullmatch(unquote(path.partition("?")[0]))
    if found is None:
        raise RefusedError(_why_nowhere(path))
    return Target(found["user"], found["event"], found["action"])


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
