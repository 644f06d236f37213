"""Views of a calendar: windows, pages, what is shown, and what is refused."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.support.planted_calendar import DAY, YEAR, plant, shown, view
from tests.support.sandbox_talk import ADA, Client, FrozenTime, converse
from worker.sandbox import Rule, Sandbox


def test_calendar_without_planted_events_is_empty() -> None:
    """A view of a user whose events were not planted is empty, though each event exists."""

    async def talk(_: Sandbox, client: Client) -> None:
        assert [] == shown(await view(client))
        assert 200 == (await client.look("any")).status

    converse(talk)


def test_planted_calendar_holds_what_was_planted_only() -> None:
    """Once events are planted no other exists for that user, and others keep theirs."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, {"id": "e1", "start": "2026-12-01T10:00:00Z"})
        assert ["e1"] == shown(await view(client))
        statuses = [(await client.look(event)).status for event in ("e1", "e2", "organizer-1")]
        assert [200, 404, 404] == statuses
        assert (404, "ErrorItemNotFound") == (await client.decline("e2")).error[:2]
        assert 200 == (await client.look("e2", user="bob")).status

    converse(talk)


def test_view_shows_what_touches_its_window() -> None:
    """An event that overlaps the window or ends at its very start is shown, no other."""
    events = {
        "before": ("2026-12-01T08:00Z", "2026-12-01T09:59:59Z"),
        "elsewhere": ("2026-12-01T11:00+02:00", "2026-12-01T11:30+02:00"),
        "around": ("2026-11-01T10:30Z", "2027-01-01T11:00Z"),
        "up to it": ("2026-12-01T09:00Z", "2026-12-01T10:00Z"),
        "into it": ("2026-12-01T09:30Z", "2026-12-01T10:01Z"),
        "inside": ("2026-12-01T10:30Z", "2026-12-01T11:00Z"),
        "out of it": ("2026-12-01T11:59:59Z", "2026-12-01T13:00Z"),
        "from its end": ("2026-12-01T12:00Z", "2026-12-01T13:00Z"),
    }

    async def talk(_: Sandbox, client: Client) -> None:
        times = [{"id": name, "start": start, "end": end} for name, (start, end) in events.items()]
        await plant(client, *times)
        heard = await view(client, ("2026-12-01T10:00:00Z", "2026-12-01T12:00:00Z"))
        assert ["around", "up to it", "into it", "inside", "out of it"] == shown(heard)

    converse(talk)


def test_window_knows_offsets() -> None:
    """The window is read with its offsets, and as UTC without one."""

    async def talk(_: Sandbox, client: Client) -> None:
        within = {"id": "in", "start": "2026-12-01T11:59:00Z"}
        await plant(client, within, {"id": "out", "start": "2026-12-01T12:00:00Z"})
        for window in (
            ("2026-12-01T10:00:00Z", "2026-12-01T12:00:00Z"),
            ("2026-12-01T10:00:00", "2026-12-01T12:00:00.0000000"),
            ("2026-12-01T15:30:00+05:30", "2026-12-01T04:00:00-0800"),
        ):
            assert ["in"] == shown(await view(client, window))

    converse(talk)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", ("ErrorInvalidParameter", "requires a time window")),
        ("?startDateTime=2026-12-01", ("ErrorInvalidParameter", "requires a time window")),
        ("?startDateTime=&endDateTime=", ("ErrorInvalidParameter", "requires a time window")),
        (
            "?startDateTime=2026-12-01T10:00:00+01:00&endDateTime=2026-12-02",
            ("ErrorInvalidParameter", "'2026-12-01T10:00:00 01:00' of parameter 'StartDateTime'"),
        ),
        (
            "?startDateTime=2026-12-01&endDateTime=soon",
            ("ErrorInvalidParameter", "'soon' of parameter 'EndDateTime'"),
        ),
        (
            "?startDateTime=2026-12-02&endDateTime=2026-12-01",
            ("ErrorCalendarEndDateIsEarlierThanStartDate", "earlier"),
        ),
        (
            "?startDateTime=2026-12-01&endDateTime=2031-12-01",
            ("ErrorInvalidRequest", "Maximum number of days: 1825"),
        ),
    ],
)
def test_wrong_windows_are_refused(query: str, error: tuple[str, str]) -> None:
    """A window that is missing, unreadable, turned round or too long is refused with 400."""

    async def talk(_: Sandbox, client: Client) -> None:
        from yarl import URL

        url = URL(f"{client.sandbox.graph_url}/v1.0/users/{ADA}/calendarView{query}", encoded=True)
        headers = {"Authorization": f"Bearer {client.token}"}
        async with client.session.get(url, headers=headers) as reply:
            said = (await reply.json())["error"]
        assert (400, error[0]) == (reply.status, said["code"])
        assert error[1] in said["message"]

    converse(talk)


def test_longest_window_is_1825_days() -> None:
    """A window of 1,825 days is answered; names of parameters may be spelled small."""

    async def talk(_: Sandbox, client: Client) -> None:
        start = datetime.fromisoformat("2026-12-01T00:00:00")
        end = (start + timedelta(days=1825)).isoformat()
        path = f"/v1.0/users/{ADA}/calendarview?startdatetime={start.isoformat()}"
        assert 200 == (await client.call("GET", f"{path}&enddatetime={end}")).status

    converse(talk)


def test_view_shows_what_is_selected() -> None:
    """Each event shows the selected properties and its id."""

    async def talk(_: Sandbox, client: Client) -> None:
        fabrikam = {"name": "Olga", "address": "olga@fabrikam.com"}
        start = "2026-12-01T10:00:00+01:00"
        await plant(client, {"id": "e1", "subject": "Plans", "start": start, "organizer": fabrikam})
        heard = await view(client, select="subject,start,end,organizer,responseStatus,isAllDay")
        assert [
            {
                "id": "e1",
                "subject": "Plans",
                "start": {"dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC"},
                "end": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
                "organizer": {"emailAddress": fabrikam},
                "responseStatus": {"response": "notResponded", "time": "0001-01-01T00:00:00Z"},
                "isAllDay": False,
            }
        ] == heard.body["value"]

    converse(talk)


def test_look_and_view_show_the_same() -> None:
    """A look at a planted event shows all that the view shows of it."""

    async def talk(_: Sandbox, client: Client) -> None:
        await plant(client, {"id": "e1", "start": DAY[0], "attendees": ["bob@contoso.com"]})
        [seen] = (await view(client)).body["value"]
        assert seen == (await client.look("e1")).body
        party = {"name": "bob", "address": "bob@contoso.com"}
        assert [party] == [one["emailAddress"] for one in seen["attendees"]]

    converse(talk)


def test_whole_days_are_midnights_in_utc() -> None:
    """An event planted by dates is shown and found as midnights in UTC, whatever its zone."""

    async def talk(_: Sandbox, client: Client) -> None:
        zone = "Pacific Standard Time"
        day = {"id": "day", "start": "2026-12-01", "originalStartTimeZone": zone}
        await plant(client, day, {"id": "days", "start": "2026-12-05", "end": "2026-12-07"})
        names = ("id", "start", "end", "isAllDay", "originalStartTimeZone")
        midnights = [
            {"dateTime": f"2026-12-0{n}T00:00:00.0000000", "timeZone": "UTC"} for n in (1, 2, 5, 7)
        ]
        assert [
            ("day", *midnights[:2], True, zone),
            ("days", *midnights[2:], True, "UTC"),
        ] == shown(await view(client), *names)
        in_its_own_evening = ("2026-12-02T00:30:00Z", "2026-12-02T08:00:00Z")
        assert [] == shown(await view(client, in_its_own_evening))

    converse(talk)


def test_each_calendar_shows_its_own() -> None:
    """A view shows one calendar, the default one unless named; an unknown one is refused."""

    async def talk(_: Sandbox, client: Client) -> None:
        team = {"id": "t", "start": "2026-12-01T10:00Z", "calendar": "team"}
        await plant(client, {"id": "d", "start": "2026-12-01T10:00Z"}, team)
        root = f"/beta/users/{ADA}"
        for form, expected in (
            ("calendarView", ["d"]),
            ("calendar/calendarView", ["d"]),
            ("calendars/team/calendarView", ["t"]),
            ("calendarGroups/g/calendars/team/calendarView", ["t"]),
        ):
            assert expected == shown(await view(client, YEAR, f"{root}/{form}"))
        unknown = await view(client, YEAR, f"{root}/calendars/other/calendarView")
        assert (404, "ErrorItemNotFound") == unknown.error[:2]
        me = await view(client, YEAR, "/v1.0/me/calendarView")
        assert (400, "BadRequest") == me.error[:2]

    converse(talk)


@pytest.mark.parametrize(
    ("user", "error"),
    [
        ("unknown@c", (404, "ErrorInvalidUser")),
        ("unlicensed@c", (404, "MailboxNotEnabledForRESTAPI")),
        ("denied@c", (403, "ErrorAccessDenied")),
        ("forbidden@c", (403, "ErrorAccessDenied")),
        ("busy@c", (429, "ApplicationThrottled")),
    ],
)
def test_users_that_refuse_refuse_a_view(user: str, error: tuple[int, str]) -> None:
    """A user whose name provokes a refusal gives it to a view as to any call."""

    async def talk(_: Sandbox, client: Client) -> None:
        heard = await view(client, DAY, f"/v1.0/users/{user}/calendarView")
        assert error == heard.error[:2]

    converse(talk)


def test_faults_strike_views() -> None:
    """A rule for the path of views strikes them and nothing else; the journal has them."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(method="GET", path="*/calendarView?*", status=503))
        sandbox.add_fault(Rule(event="e*", status=500, times=-1))
        looked = await client.look("x1")
        statuses = [(await view(client)).status for _ in range(2)]
        assert [200, 503, 200] == [looked.status, *statuses]
        assert [("x1", None), ("reply", None), (None, None)] == [
            (entry.event or entry.fault, entry.action) for entry in sandbox.journal
        ]
        assert [ADA] * 3 == [entry.mailbox for entry in sandbox.journal]
        assert (3, 0) == (sandbox.stats().looks, sandbox.stats().taken)

    converse(talk)


def test_view_is_read_only() -> None:
    """Anything but a GET of a view is refused with 405."""

    async def talk(_: Sandbox, client: Client) -> None:
        heard = await client.call("POST", f"/v1.0/users/{ADA}/calendarView", json={})
        assert (405, "Request_BadRequest") == heard.error[:2]

    converse(talk)


def test_views_count_against_the_limits() -> None:
    """Of five views at once one is refused with 429, and the quota counts the others."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard = await asyncio.gather(*(view(client) for _ in range(5)))
        assert [200, 200, 200, 200, 429] == sorted(reply.status for reply in heard)
        sandbox.set_options(latency_s=0)
        assert (429, "ApplicationThrottled") == (await client.look("e1")).error[:2]

    converse(talk, FrozenTime().clock, latency_s=0.1, quota=4, retry_after="")


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ('outlook.timezone="UTC"', 200),
        ('IdType="ImmutableId", outlook.timezone="UTC"', 200),
        ('outlook.timezone="Pacific Standard Time"', 400),
    ],
)
def test_times_are_shown_in_utc(prefer: str, status: int) -> None:
    """A view in UTC may be preferred; any other zone the sandbox refuses."""

    async def talk(_: Sandbox, client: Client) -> None:
        path = f"/v1.0/users/{ADA}/calendarView?startDateTime={DAY[0]}&endDateTime={DAY[1]}"
        assert status == (await client.call("GET", path, headers={"Prefer": prefer})).status

    converse(talk)
