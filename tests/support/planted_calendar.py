"""A planted calendar to talk about: how it is planted, and how a view of it is read."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.support.sandbox_talk import ADA, Client, Heard

DAY = ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z")
YEAR = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
WEEKLY = {
    "id": "weekly",
    "subject": "Weekly",
    "start": "2026-12-01T09:00:00Z",
    "series": {"everyDays": 7, "count": 4},
}
OCCURRENCES = [f"weekly.{number}" for number in range(4)]


async def plant(client: Client, *events: Mapping[str, Any], user: str = ADA) -> None:
    """Plant events in one call."""
    heard = await client.call("POST", f"/sandbox/calendar/{user}", json=events)
    assert (204, "") == (heard.status, heard.body)


async def view(
    client: Client,
    window: tuple[str, str] = YEAR,
    form: str = f"/v1.0/users/{ADA}/calendarView",
    /,
    **query: str | int,
) -> Heard:
    """Ask for the first page of a view; `top=5` in the query becomes `$top=5`."""
    options = {f"${name}": value for name, value in query.items()}
    asked = {"startDateTime": window[0], "endDateTime": window[1]} | options
    return await client.call("GET", f"{form}?{urlencode(asked)}")


def shown(heard: Heard, *names: str) -> list[Any]:
    """Return what a page shows: ids, or the properties that are named."""
    if not names:
        return [event["id"] for event in heard.body["value"]]
    return [tuple(event[name] for name in names) for event in heard.body["value"]]


async def answers(client: Client) -> list[tuple[str, str, str]]:
    """Return id, type and answer of all that the calendar shows."""
    heard = await view(client)
    return [
        (event["id"], event["type"], event["responseStatus"]["response"])
        for event in heard.body["value"]
    ]


async def pages(client: Client, first: Heard, most: int = 100) -> list[list[str]]:
    """Follow the links, just as they are, and return the ids on each page."""
    found, heard = [shown(first)], first
    while "@odata.nextLink" in heard.body and len(found) < most:
        link = heard.body["@odata.nextLink"]
        heard = await client.call("GET", link.removeprefix(client.sandbox.graph_url))
        found.append(shown(heard))
    return found


def daily(count: int) -> list[dict[str, Any]]:
    """Return events at ten o'clock, on days that follow one another."""
    return [
        {"id": f"e{number:04}", "start": f"2026-{1 + number // 28:02}-{1 + number % 28:02}T10:00Z"}
        for number in range(count)
    ]
