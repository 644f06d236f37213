"""What is planted in a calendar: told, changed, refused, and as its name says."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.planted_calendar import (
    OCCURRENCES,
    WEEKLY,
    YEAR,
    answers,
    pages,
    plant,
    shown,
    view,
)
from tests.support.sandbox_client import RefusedBySandbox, SandboxClient, running_sandbox
from tests.support.sandbox_talk import ADA, Client, converse
from worker.sandbox import Answer, EventState, Planting, Recurrence, Sandbox


@pytest.fixture(scope="module")
def served() -> Iterator[SandboxClient]:
    """Run one sandbox in another process; each test has a user of its own."""
    with running_sandbox() as sandbox:
        yield sandbox


def test_what_the_user_organizes_is_theirs() -> None:
    """An event by the user, or an organizer's event, shows so in any spelling, and refuses."""

    async def talk(_: Sandbox, client: Client) -> None:
        start = "2026-12-01T10:00Z"
        mine = {"id": "e1", "start": start, "organizer": ADA.upper(), "attendees": []}
        await plant(client, mine, {"id": "e2", "start": start, "isOrganizer": True})
        names = ("id", "isOrganizer", "attendees")
        heard = await view(client)
        [first, second] = heard.body["value"]
        assert ("e1", True, []) == tuple(first[name] for name in names)
        addresses = [one["organizer"]["emailAddress"]["address"] for one in (first, second)]
        assert [ADA.upper(), ADA] == addresses
        assert ["organizer"] * 2 == [one["responseStatus"]["response"] for one in (first, second)]
        assert (400, "ErrorInvalidRequest") == (await client.decline("e1")).error[:2]

    converse(talk)


def test_names_behave_in_planted_calendars() -> None:
    """A planted event begins as its name says, and provokes what its name provokes."""

    async def talk(_: Sandbox, client: Client) -> None:
        names = ("cancelled-1", "lost-1", "accepted-1")
        await plant(client, *({"id": name, "start": "2026-12-01T10:00Z"} for name in names))
        assert [
            ("accepted-1", False),
            ("cancelled-1", True),
            ("lost-1", False),
        ] == shown(await view(client), "id", "isCancelled")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.tentative("lost-1")
        assert ("lost-1", "singleInstance", "tentativelyAccepted") in await answers(client)
        assert 202 == (await client.tentative("lost-1")).status

    converse(talk)


def test_events_can_be_planted_in_process() -> None:
    """A test on the same loop plants without HTTP, and reads the state of any event."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        series = Recurrence.model_validate({"everyDays": 1, "count": 2})
        start = "2026-12-01T10:00:00Z"
        sandbox.plant(ADA, [Planting.model_validate({"id": "s", "start": start, "series": series})])
        await client.tentative("s.1")
        told = [sandbox.event(ADA, event).response for event in ("s", "s.0", "s.1")]
        assert [Answer.NOT_RESPONDED] * 2 + [Answer.TENTATIVELY_ACCEPTED] == told

    converse(talk)


def test_states_can_be_put_in_planted_calendars() -> None:
    """A state that is put counts as touched, and an occurrence with one still ends with all."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY, {"id": "lost-1", "start": "2026-12-01T10:00Z"})
        sandbox.set_event(ADA, "lost-1", EventState(response=Answer.ACCEPTED))
        sandbox.set_event(ADA, "weekly.0", EventState(response=Answer.ACCEPTED))
        assert 202 == (await client.tentative("lost-1")).status
        assert ("weekly.0", "exception", "accepted") == (await answers(client))[0]
        await client.decline("weekly")
        assert ["lost-1"] == shown(await view(client))

    converse(talk)


def test_planted_events_are_told_and_changed(served: SandboxClient) -> None:
    """From another process events are planted one by one, told again, and changed."""
    first = served.put_event("bob", "e1", subject="Plans", start="2026-12-01T10:00:00Z")
    assert {"e1": first} == served.calendar("bob")
    moved = served.put_event("bob", "e1", start="2026-12-02T10:00:00Z", response="accepted")
    changed = {
        "start": "2026-12-02T10:00:00+00:00",
        "end": "2026-12-02T11:00:00+00:00",
        "response": "accepted",
    }
    assert first | changed == moved
    served.plant("bob", [WEEKLY])
    served.put_event("bob", "weekly.1", isCancelled=True, subject="Off")
    told = served.calendar("bob")
    assert ["e1", "weekly", *OCCURRENCES] == list(told)
    assert ("exception", True, "Off", "weekly") == tuple(
        told["weekly.1"][name] for name in ("type", "isCancelled", "subject", "seriesMasterId")
    )
    served.plant("bob", [WEEKLY])
    assert "occurrence" == served.calendar("bob")["weekly.1"]["type"]
    daily = {"start": "2026-12-01T09:00:00Z", "series": {"everyDays": 1, "count": 2}}
    served.put_event("bob", "weekly", **daily)
    assert ["e1", "weekly", "weekly.0", "weekly.1"] == list(served.calendar("bob"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"id": "e"}, r"1\.start"),
        ({"id": "", "start": "2026-12-01"}, r"1\.id"),
        ({"id": "e", "start": "soon"}, r"1\.start"),
        ({"id": "e", "start": "2026-12-02", "end": "2026-12-01"}, "end before"),
        ({"id": "e", "start": "2026-12-01T10:00Z", "isAllDay": True}, "midnight"),
        ({"id": "e", "start": "2026-12-01", "colour": "red"}, r"1\.colour"),
        ({"id": "e", "start": "2026-12-01", "organizer": {"name": "O"}}, r"organizer\.address"),
        (WEEKLY | {"series": {"everyDays": 0, "count": 2}}, r"series\.everyDays"),
        (WEEKLY | {"series": {"everyDays": 1, "count": 2, "exceptions": {"2": {}}}}, "occurrence"),
        (
            WEEKLY | {"series": {"everyDays": 1, "count": 2, "exceptions": {"1": {"id": "x"}}}},
            r"exceptions\.1\.id",
        ),
        (
            WEEKLY
            | {"series": {"everyDays": 1, "count": 2, "exceptions": {"1": {"end": "2026-01-01"}}}},
            "end before",
        ),
    ],
)
def test_wrong_plantings_are_refused(
    served: SandboxClient, wrong: dict[str, Any], named: str
) -> None:
    """A list with one wrong event is refused by name, and none of it is planted."""
    with pytest.raises(RefusedBySandbox, match=named):
        served.plant("eve", [{"id": "right", "start": "2026-12-01"}, wrong])
    assert {} == served.calendar("eve")


def test_wrong_changes_change_nothing(served: SandboxClient) -> None:
    """A change that cannot be is refused, and the event is as before."""
    served.plant("cy", [WEEKLY])
    before = served.calendar("cy")
    with pytest.raises(RefusedBySandbox, match="end before"):
        served.put_event("cy", "weekly.1", end="2026-01-01T00:00:00Z")
    with pytest.raises(RefusedBySandbox, match="start"):
        served.put_event("cy", "new", subject="Without a time")
    assert before == served.calendar("cy")


def test_two_thousand_events_are_one_request() -> None:
    """Two thousand events over three years are planted at once and found page by page."""

    async def talk(_: Sandbox, client: Client) -> None:
        events = [
            {"id": f"e{n:04}", "start": f"{2026 + n % 3}-{1 + n % 12:02}-{1 + n % 28:02}T10:00Z"}
            for n in range(2000)
        ]
        await plant(client, *events)
        window = (YEAR[0], "2029-01-01T00:00:00Z")
        found = await pages(client, await view(client, window, top=500, select="id"))
        assert [500] * 4 == [len(page) for page in found]
        assert {event["id"] for event in events} == {event for page in found for event in page}

    converse(talk)
