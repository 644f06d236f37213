"""The pages of a view: how many events stand on one, in which order, and what leads on."""

import pytest

from tests.support.planted_calendar import WEEKLY, YEAR, daily, pages, plant, shown, view
from tests.support.sandbox_talk import ADA, Client, converse
from worker.sandbox import Sandbox


def test_pages_hold_ten_unless_more_is_asked_for() -> None:
    """A page has 10 events by default, `$top` up to 1,000; each event stands on one page."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, *daily(25))
        plain = await pages(client, await view(client))
        assert [10, 10, 5] == [len(page) for page in plain]
        assert [event["id"] for event in daily(25)] == [*plain[0], *plain[1], *plain[2]]
        assert [20, 5] == [len(page) for page in await pages(client, await view(client, top=20))]
        assert [25] == [len(page) for page in await pages(client, await view(client, top=25))]

    converse(talk)


def test_page_has_a_thousand_at_most() -> None:
    """An absurd `$top` is no error, and gives 1,000 events."""

    async def talk(_: Sandbox, client: Client) -> None:
        many = {"id": "m", "start": "2026-01-01T10:00Z", "series": {"everyDays": 1, "count": 1200}}
        await plant(client, many)
        window = ("2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
        found = await pages(client, await view(client, window, top=1_000_000))
        assert [1000, 200] == [len(page) for page in found]

    converse(talk)


def test_link_leads_on_in_the_spelling_of_graph() -> None:
    """The link keeps path and query, with small hexadecimal letters, and adds `$skip`."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        await plant(client, *daily(3))
        window = ("2026-01-01T05:30:00+05:30", YEAR[1])
        heard = await view(client, window, top=1, select="id,subject")
        query = (
            "startDateTime=2026-01-01T05%3a30%3a00%2b05%3a30&endDateTime=2027-01-01T00%3a00%3a00Z"
            "&$top=1&$select=id,subject&$skip=1"
        )
        path = f"/v1.0/users/{ADA}/calendarView"
        assert f"{sandbox.graph_url}{path}?{query}" == heard.body["@odata.nextLink"]
        assert [["e0000"], ["e0001"], ["e0002"]] == await pages(client, heard)

    converse(talk)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (0, [[0, 1, 2], [3, 4, 5], [6]]),
        (1, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (3, [[0, 1, 2]] * 4),
    ],
)
def test_pages_can_be_small_and_overlap(overlap: int, expected: list[list[int]]) -> None:
    """Pages are cut to `page_size`, repeat what they are told to, or lead to themselves."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, *daily(7))
        found = await pages(client, await view(client, top=1000), most=4)
        assert expected == [[int(event[1:]) for event in page] for page in found]

    converse(talk, page_size=3, page_overlap=overlap)


def test_link_can_lead_elsewhere() -> None:
    """With next_link_origin the link leads to another server, its path and query as ever."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        await plant(client, *daily(2))
        heard = await view(client, top=1)
        link = heard.body["@odata.nextLink"]
        assert link.startswith(f"http://other.example:81/v1.0/users/{ADA}/calendarView?")
        sandbox.set_options(next_link_origin="")
        assert (await view(client, top=1)).body["@odata.nextLink"].startswith(sandbox.graph_url)

    converse(talk, next_link_origin="http://other.example:81")


def test_events_that_leave_move_the_others_up() -> None:
    """Who declines between two pages misses as many events on the second."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, *daily(4))
        first = await view(client, top=2)
        await client.decline("e0000")
        assert [["e0000", "e0001"], ["e0003"]] == await pages(client, first)

    converse(talk)


def test_events_stand_in_order() -> None:
    """Events are ordered by start, or backwards; with singles_first series come last."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        single = {"id": "single", "start": "2026-12-10T10:00Z"}
        await plant(client, single, WEEKLY, {"id": "early", "start": "2026-12-01T08:00Z"})
        by_start = ["early", "weekly.0", "weekly.1", "single", "weekly.2", "weekly.3"]
        assert by_start == shown(await view(client))
        assert by_start[::-1] == shown(await view(client, orderby="start/dateTime desc"))
        sandbox.set_options(singles_first=True)
        assert ["early", "single", *(f"weekly.{n}" for n in range(4))] == shown(await view(client))
        assert by_start == shown(await view(client, orderby="start/dateTime ASC"))

    converse(talk)


def test_wrong_options_of_a_view_are_refused() -> None:
    """What Graph refuses in a query, and what only Graph could answer, is refused with 400."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, *daily(1))
        for query in (
            {"top": "0"},
            {"top": "many"},
            {"skip": "-1"},
            {"orderby": "subject"},
            {"filter": "isCancelled eq false"},
            {"select": "colour"},
        ):
            assert 400 == (await view(client, **query)).status, query

    converse(talk)


def test_a_list_holds_what_was_planted() -> None:
    """A list holds what was planted and is there, a series as one; a user may be refused."""

    async def talk(_: Sandbox, client: Client) -> None:
        calendar = f"/v1.0/users/{ADA}/calendar/events"
        assert [] == shown(await client.call("GET", calendar))
        await plant(client, *daily(2), WEEKLY)
        await client.decline("e0000")
        assert ["e0001", "weekly"] == shown(await client.call("GET", calendar))
        one = await client.call("GET", f"/v1.0/users/{ADA}/events?$top=1&$select=id")
        assert [{"id": "e0001"}] == [dict(event) for event in one.body["value"]]
        refused = [
            await client.call("GET", path)
            for path in (f"{calendar}?$skip=1", "/v1.0/users/denied@c/events")
        ]
        assert [(400, "BadRequest"), (403, "ErrorAccessDenied")] == [
            heard.error[:2] for heard in refused
        ]
        assert 405 == (await client.call("POST", calendar)).status

    converse(talk)
