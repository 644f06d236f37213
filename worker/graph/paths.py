"""Graph's paths, from `/users` on, quoted once: exactly as they must go out."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, urlencode

from jobs.rows.response import Response
from jobs.rows.selection import Selection, Window
from worker.graph.page import SELECT

PAGE_SIZES = (500, 100, 25, 10, 1)
"""Events that a page is asked for; the fewer, the more often none came: some are too heavy."""

MAX_VIEW = timedelta(days=1825)
"""The longest time that a view of a calendar may show (Graph: calendarView)."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.~-]+")
"""All that is not unreserved (RFC 3986 2.3): most ids end with a few of them."""


def event_path(response: Response) -> str:
    """
    Return the path of the event that `response` answers.

    Graph: event-decline has the four forms, get-user the one for a name that begins with `$`.
    """
    return f"/users{_user(response.user)}{_calendar(response)}/events/{_quoted(response.event)}"


def peek_path(user: str) -> str:
    """Return the path that shows as little of a user's calendar as there is: one event's id."""
    return f"/users{_user(user)}/calendar/events?$top=1&$select=id"


def page_size(failures: int) -> int:
    """Return how many events to ask a page for, after so many failures to read one."""
    return PAGE_SIZES[min(failures, len(PAGE_SIZES) - 1)]


def view_paths(selection: Selection, window: Window, size: int = PAGE_SIZES[0]) -> Iterator[str]:
    """
    Yield the paths of the views that show a window of a selection's calendar, one after the other.

    More than one, where the window is longer than Graph shows at once (Graph: calendarView).
    `size` is how many events a page is asked for.
    """
    start = window.start
    while start < window.end:
        end = start + min(MAX_VIEW, window.end - start)
        asked = {"startDateTime": _utc(start), "endDateTime": _utc(end), "$select": SELECT}
        query = urlencode(asked | {"$top": size}, safe="$,:")
        yield f"/users{_user(selection.user)}{_calendar(selection)}/calendarView?{query}"
        start = end


def master_path(selection: Selection, series: str) -> str:
    """Return the path that reads a series itself."""
    event = f"{_calendar(selection)}/events/{_quoted(series)}"
    return f"/users{_user(selection.user)}{event}?$select={SELECT}"


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=1_024)
def _user(user: str) -> str:
    if user.startswith("$"):
        name = user.replace("'", "''")
        return "('" + quote(name, safe="@$'") + "')"
    return f"/{quote(user, safe='@')}"


def _calendar(response: Response | Selection) -> str:
    match response.calendar, response.calendar_group:
        case None, _:
            return ""
        case "default", _:
            return "/calendar"
        case calendar, None:
            return f"/calendars/{_quoted(calendar)}"
        case calendar, group:
            return f"/calendarGroups/{_quoted(group)}/calendars/{_quoted(calendar)}"


def _quoted(text: str) -> str:
    """Quote for one segment of a path; `quote` takes long over a text as long as an id."""
    return _UNSAFE.sub(lambda found: _escaped(found[0]), text)


@lru_cache(maxsize=1_024)  # mostly "=", or "=="
def _escaped(text: str) -> str:
    return quote(text, safe="")
