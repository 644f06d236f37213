"""Series: how a view shows them, and what an answer makes of them."""

from collections.abc import Sequence
from typing import Any

from tests.support.planted_calendar import OCCURRENCES, WEEKLY, answers, plant, shown, view
from tests.support.sandbox_talk import Client, converse
from worker.sandbox import Sandbox

VARIED = WEEKLY | {
    "series": {
        "everyDays": 7,
        "count": 4,
        "exceptions": {
            "0": {"response": "accepted"},
            "1": {"subject": "Later", "start": "2026-12-09T15:00:00Z"},
            "2": {"exists": False},
        },
    }
}


def all_as(kind: str, response: str, events: Sequence[str] = OCCURRENCES) -> list[Any]:
    """Return what `answers` gives where all is alike."""
    return [(event, kind, response) for event in events]


def test_series_is_shown_by_its_occurrences() -> None:
    """A view shows the occurrences, which name their master, and not the master."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        heard = await view(client)
        assert [(event, "occurrence", "weekly", "Weekly") for event in OCCURRENCES] == shown(
            heard, "id", "type", "seriesMasterId", "subject"
        )
        days = [event["start"]["dateTime"][:13] for event in heard.body["value"]]
        assert [f"2026-12-{day:02}T09" for day in (1, 8, 15, 22)] == days
        assert 4 == len(set(shown(heard, "iCalUId")))

    converse(talk)


def test_master_shows_the_series() -> None:
    """A look at the master shows its type, its first time and its recurrence."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        seen = (await client.look("weekly", query="?$select=type,seriesMasterId,recurrence")).body
        recurrence = seen.pop("recurrence")
        assert {"id": "weekly", "type": "seriesMaster", "seriesMasterId": None} == seen
        assert (7, 4) == (
            recurrence["pattern"]["interval"],
            recurrence["range"]["numberOfOccurrences"],
        )

    converse(talk)


def test_exceptions_differ_from_the_series() -> None:
    """An exception shows what it was planted with, and else what the series shows."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, VARIED)
        heard = await view(client, select="subject,type,start,end,seriesMasterId")
        assert [
            ("weekly.0", "exception", "Weekly"),
            ("weekly.1", "exception", "Later"),
            ("weekly.3", "occurrence", "Weekly"),
        ] == shown(heard, "id", "type", "subject")
        [_, moved, _] = heard.body["value"]
        times = [moved[name]["dateTime"][:16] for name in ("start", "end")]
        assert ["2026-12-09T15:00", "2026-12-09T16:00"] == times
        assert 404 == (await client.look("weekly.2")).status
        left, met = ((f"2026-12-0{day}T00:00Z", f"2026-12-0{day}T23:59Z") for day in (8, 9))
        assert [[], ["weekly.1"]] == [shown(await view(client, day)) for day in (left, met)]

    converse(talk)


def test_series_has_no_other_occurrences() -> None:
    """An id that only looks like an occurrence's is not found."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        for event in ("weekly.4", "weekly.-1", "weekly.01", "weekly.", "weekly.x"):
            assert 404 == (await client.look(event)).status, event

    converse(talk)


def test_answered_master_answers_all() -> None:
    """An answer to the master shows at each occurrence, which stays an occurrence."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        assert 202 == (await client.tentative("weekly")).status
        assert all_as("occurrence", "tentativelyAccepted") == await answers(client)

    converse(talk)


def test_answered_master_leaves_own_answers() -> None:
    """An exception keeps an answer of its own; a merely moved one shows the master's."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, VARIED)
        await client.tentative("weekly")
        assert [
            ("weekly.0", "exception", "accepted"),
            ("weekly.1", "exception", "tentativelyAccepted"),
            ("weekly.3", "occurrence", "tentativelyAccepted"),
        ] == await answers(client)

    converse(talk)


def test_declined_master_takes_all_away() -> None:
    """After a decline of the master neither it nor any occurrence is there, answered or not."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        await plant(client, VARIED, {"id": "other", "start": "2026-12-03T10:00Z"})
        await client.tentative("weekly.3")
        assert 202 == (await client.decline("weekly")).status
        gone = [(await client.look(event)).status for event in ("weekly", *OCCURRENCES)]
        assert [404] * 5 == gone
        assert 404 == (await client.decline("weekly.3")).status
        assert ["other"] == shown(await view(client))
        assert ["weekly.3", "weekly"] == [entry.event for entry in sandbox.taken()]

    converse(talk)


def test_answered_occurrence_is_an_exception() -> None:
    """An answer to one occurrence makes it an exception and touches nothing else."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        await client.tentative("weekly.1")
        expected = all_as("occurrence", "notResponded")
        expected[1] = ("weekly.1", "exception", "tentativelyAccepted")
        assert expected == await answers(client)
        master = (await client.look("weekly")).body
        assert "notResponded" == master["responseStatus"]["response"]

    converse(talk)


def test_declined_occurrence_leaves_alone() -> None:
    """A declined occurrence leaves the calendar, the others stay, an answered master too."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        assert [202, 404] == [(await client.decline("weekly.1")).status for _ in range(2)]
        rest = [event for event in OCCURRENCES if event != "weekly.1"]
        assert all_as("occurrence", "notResponded", rest) == await answers(client)
        await client.tentative("weekly")
        assert all_as("occurrence", "tentativelyAccepted", rest) == await answers(client)

    converse(talk)


def test_declined_series_can_be_kept() -> None:
    """With keep_declined a declined occurrence and a declined series stay and show it."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, WEEKLY)
        await client.decline("weekly.1")
        assert ("weekly.1", "exception", "declined") == (await answers(client))[1]
        await client.decline("weekly")
        assert ["declined"] * 4 == [response for _, _, response in await answers(client)]

    converse(talk, keep_declined=True)
