"""A page of a calendar is read whole, or not at all."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.choosing import Invitation
from worker.page import Page, read_page, read_showing

EVENT: dict[str, Any] = {
    "id": "AAMk/1+=",
    "type": "occurrence",
    "seriesMasterId": "AAMk",
    "subject": "Weekly",
    "start": {"dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC"},
    "end": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
    "isAllDay": False,
    "organizer": {"emailAddress": {"name": "Olga", "address": "Olga@Fabrikam.com"}},
    "attendees": [{"emailAddress": {"address": "ada@contoso.com"}}],
    "isOrganizer": False,
    "isCancelled": True,
    "responseRequested": False,
    "responseStatus": {"response": "accepted", "time": "2026-11-01T00:00:00Z"},
}

READ = Invitation(
    id="AAMk-1_=",
    kind="occurrence",
    series="AAMk",
    subject="Weekly",
    start=datetime(2026, 12, 1, 9, tzinfo=UTC),
    end=datetime(2026, 12, 1, 10, tzinfo=UTC),
    all_day=False,
    organizer="olga@fabrikam.com",
    is_organizer=False,
    is_cancelled=True,
    response_requested=False,
    response="accepted",
    alone=False,
)


def test_a_page() -> None:
    """Everything that choosing goes by is read, and the link to the next page as it is."""
    answer = {"value": [EVENT], "@odata.nextLink": "https://g/x?%24skip=3"}
    assert Page((READ,), "https://g/x?%24skip=3") == read_page(answer)
    assert Page((READ,)) == read_page(EVENT)
    assert Page(()) == read_page({"value": []})


def test_what_graph_leaves_out() -> None:
    """What is not there has its documented default; nobody is taken to be alone for it."""
    (event,) = (read_page({key: EVENT[key] for key in ("id", "start", "end")}) or Page(())).events
    assert (True, "none", False, "", "singleInstance") == (
        event.response_requested,
        event.response,
        event.alone,
        event.organizer,
        event.kind,
    )


@pytest.mark.parametrize(("attendees", "alone"), [([], True), (None, False)])
def test_alone(attendees: object, alone: bool) -> None:  # noqa: FBT001  # what is expected
    """Only an empty list of attendees says that nobody is invited."""
    page = read_page(EVENT | {"attendees": attendees})
    assert page is not None
    assert alone is page.events[0].alone


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"value": None},
        {"value": {}},
        {"value": [EVENT, {}]},
        {"value": [1]},
        {"value": [EVENT], "@odata.nextLink": 7},
        {"value": [EVENT | {"id": "../me"}]},
        {"value": [EVENT | {"id": 7}]},
        {"value": [EVENT | {"start": {"dateTime": "soon"}}]},
        {"value": [EVENT | {"end": None}]},
    ],
)
def test_a_page_that_is_none(answer: dict[str, Any]) -> None:
    """A page with anything unreadable on it is no page: less than there is must not be found."""
    assert read_page(answer) is None


def test_showing() -> None:
    """A look tells a person what it saw, as far as it was asked for."""
    asked = {key: EVENT[key] for key in ("subject", "start", "organizer", "responseStatus")}
    assert ("Weekly", "2026-12-01T09:00:00Z", "olga@fabrikam.com") == read_showing(asked)
    assert (None, None, None) == read_showing({"responseStatus": {"response": "none"}})
