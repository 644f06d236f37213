"""What goes out to Graph, to the byte, and what comes back, against a real little server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web

from jobs.rows.response import Action, LocalTime, Response, TimeSlot
from jobs.rows.selection import Selection, Window
from worker.graph.client import USER_AGENT, Graph, body
from worker.graph.paths import event_path, page_size, view_paths
from worker.graph.reply import Event, Reply

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
EVENT = "AAMkAGI2_-x="
RESPONSE = Response(user="ada@contoso.com", event=EVENT, action=Action.DECLINE, comment="Left.")

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Journal(list[tuple[str, str, dict[str, str], bytes]]):
    """What the server received: method, path as sent, headers, body."""


@asynccontextmanager
async def graph_that(answer: Answer) -> AsyncIterator[tuple[Graph, Journal]]:
    """Run a server that answers so, and a Graph that calls it."""
    journal = Journal()

    async def record(request: web.BaseRequest) -> web.StreamResponse:
        journal.append(
            (request.method, request.raw_path, dict(request.headers), await request.read())
        )
        return await answer(request)

    runner = web.ServerRunner(web.Server(record), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    root = f"http://{host}:{port}/"
    try:
        async with Graph(root, "v1.0", max_calls=4, timeout_s=5, clock=lambda: NOW) as graph:
            yield graph, journal
    finally:
        await runner.cleanup()


async def send(graph: Graph, response: Response = RESPONSE) -> Reply:
    """Make a call that sends."""
    return await graph.send(response, token="secret-token", client_request_id="guid-1")


async def look(graph: Graph, response: Response = RESPONSE) -> Reply:
    """Make a call that looks."""
    return await graph.look(response, token="secret-token", client_request_id="guid-2")


def answering(status: int, content: Any = b"", **headers: str) -> Answer:
    """Answer always the same; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = content if isinstance(content, bytes) else orjson.dumps(content)

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, body=text, headers=named)

    return answer


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "/users/ada@contoso.com/events/AAMk_-%3D"),
        ({"calendar": "default"}, "/users/ada@contoso.com/calendar/events/AAMk_-%3D"),
        ({"calendar": "AQ="}, "/users/ada@contoso.com/calendars/AQ%3D/events/AAMk_-%3D"),
        (
            {"calendar": "AQ=", "calendar_group": "Gr="},
            "/users/ada@contoso.com/calendarGroups/Gr%3D/calendars/AQ%3D/events/AAMk_-%3D",
        ),
        (
            {"user": "bo_fabrikam.com#EXT#@contoso.com"},
            "/users/bo_fabrikam.com%23EXT%23@contoso.com/events/AAMk_-%3D",
        ),
        ({"user": "o'neil@contoso.com"}, "/users/o%27neil@contoso.com/events/AAMk_-%3D"),
        ({"user": "søren@contoso.com"}, "/users/s%C3%B8ren@contoso.com/events/AAMk_-%3D"),
        ({"user": "$o'x@contoso.com"}, "/users('$o''x@contoso.com')/events/AAMk_-%3D"),
        ({"user": "a/../b?c@x", "event": "../%2e"}, "/users/a%2F..%2Fb%3Fc@x/events/..%2F%252e"),
    ],
)
def test_each_form_of_the_path_is_quoted_once(fields: dict[str, str], expected: str) -> None:
    """The four URLs of Graph, odd names and hostile ids give exactly one path each."""
    known: dict[str, Any] = {"user": "ada@contoso.com", "event": "AAMk_-="}
    response = Response.model_construct(**known | fields)
    assert expected == event_path(response)


def test_the_body_says_all_that_was_asked() -> None:
    """Comment and proposed time go out under Graph's own names."""
    response = Response(
        user="ada@contoso.com",
        event=EVENT,
        action=Action.TENTATIVELY_ACCEPT,
        comment="Grüße",
        proposed_new_time=TimeSlot(
            start=LocalTime(date_time="2026-12-02T18:00:00", time_zone="Pacific Standard Time"),
            end=LocalTime(date_time="2026-12-03T19:00:00", time_zone="Europe/Oslo"),
        ),
    )
    expected = {
        "sendResponse": True,
        "comment": "Grüße",
        "proposedNewTime": {
            "start": {"dateTime": "2026-12-02T18:00:00", "timeZone": "Pacific Standard Time"},
            "end": {"dateTime": "2026-12-03T19:00:00", "timeZone": "Europe/Oslo"},
        },
    }
    assert expected == orjson.loads(body(response))


def test_a_silent_body_says_only_that() -> None:
    """Whether to send is always said, and a comment that is absent or empty never is."""
    silent = Response(
        user="ada@contoso.com", event=EVENT, action=Action.DECLINE, send_response=False
    )
    empty = silent.model_copy(update={"comment": ""})
    expected = [b'{"sendResponse":false}'] * 2
    assert expected == [body(silent), body(empty)]


def test_send_is_one_post_with_these_headers() -> None:
    """Graph receives the path as quoted, the token, the ids and the JSON."""

    async def scenario() -> None:
        async with graph_that(answering(202)) as (graph, journal):
            await send(graph)
            await send(graph, RESPONSE.model_copy(update={"action": Action.TENTATIVELY_ACCEPT}))
        (method, path, headers, content), (_, other_path, _, _) = journal
        assert method == "POST"
        assert path == "/v1.0/users/ada@contoso.com/events/AAMkAGI2_-x%3D/decline"
        assert other_path == path.replace("decline", "tentativelyAccept")
        assert body(RESPONSE) == content
        expected = {
            "Authorization": "Bearer secret-token",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "client-request-id": "guid-1",
            "return-client-request-id": "true",
            "User-Agent": USER_AGENT,
        }
        assert expected.items() <= headers.items()

    asyncio.run(scenario())


def test_look_is_one_get_of_five_fields() -> None:
    """Graph receives the path and the selection exactly as written, and the event is read."""
    content = {"responseStatus": {"response": "declined"}, "isOrganizer": False}

    async def scenario() -> None:
        async with graph_that(answering(200, content)) as (graph, journal):
            reply = await look(graph)
        [(method, path, headers, sent)] = journal
        assert (method, sent) == ("GET", b"")
        assert path == (
            "/v1.0/users/ada@contoso.com/events/AAMkAGI2_-x%3D"
            "?$select=responseStatus,isOrganizer,isCancelled,responseRequested"
            ",allowNewTimeProposals"
        )
        assert headers["client-request-id"] == "guid-2"
        expected = Event(
            "declined", is_organizer=False, is_cancelled=False, response_requested=True
        )
        assert expected == reply.event

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [200, 202, 204, 302, 307, 400, 401, 429, 500, 503, 509, 599])
def test_every_status_is_a_reply(status: int) -> None:
    """No status raises, none is followed, and each makes one request."""

    async def scenario() -> None:
        answer = answering(status, Location="http://127.0.0.1:9/", Retry_After="7")
        async with graph_that(answer) as (graph, journal):
            reply = await send(graph)
        assert (status, None, True, 7.0, NOW) == (
            reply.status,
            reply.code,
            reply.reached,
            reply.retry_after_s,
            reply.arrived_at,
        )
        assert reply.duration_ms > 0
        assert len(journal) == 1

    asyncio.run(scenario())


def test_a_refusal_is_read() -> None:
    """The code and the text of a refused call are in the reply."""
    content = {"error": {"code": "ErrorInvalidRequest", "message": "You're the organizer."}}

    async def scenario() -> None:
        async with graph_that(answering(400, content, request_id="abc")) as (graph, _):
            reply = await send(graph)
        expected = (400, "ErrorInvalidRequest", "You're the organizer.", "abc")
        assert expected == (
            reply.status,
            reply.code,
            reply.message,
            reply.request_id,
        )

    asyncio.run(scenario())


def test_cookies_do_not_come_back() -> None:
    """What one reply sets does not come back with the next call."""

    async def scenario() -> None:
        async with graph_that(answering(202, Set_Cookie="a=b; Path=/")) as (graph, journal):
            await send(graph)
            await send(graph)
        assert not any("Cookie" in headers for _, _, headers, _ in journal)
        assert len(journal) == 2

    asyncio.run(scenario())


def test_the_environment_adds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Neither a netrc nor a proxy variable changes where a call goes or what it carries."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password eve\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def scenario() -> None:
        async with graph_that(answering(202)) as (graph, journal):
            reply = await send(graph)
        assert reply.status == 202
        assert journal[0][2]["Authorization"] == "Bearer secret-token"

    asyncio.run(scenario())


def test_calls_in_flight_share_the_pool() -> None:
    """No more connections than calls are open, and a later call takes one that is free."""

    async def scenario() -> None:
        peers = set()

        async def answer(request: web.BaseRequest) -> web.Response:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return web.Response(status=202)

        async with graph_that(answer) as (graph, journal):
            replies = await asyncio.gather(*(send(graph) for _ in range(40)))
        assert {202} == {reply.status for reply in replies}
        assert len(journal) == 40
        assert len(peers) <= 4

    asyncio.run(scenario())


def test_the_token_is_in_no_repr() -> None:
    """What a log or a traceback may print of a call holds no token."""

    async def scenario() -> None:
        async with graph_that(answering(401)) as (graph, _):
            reply = await send(graph)
            assert "secret-token" not in f"{reply!r}{graph!r}"

    asyncio.run(scenario())


LINKS = {
    "https://graph.microsoft.com/v1.0/x?$skip=10": True,
    "https://graph.microsoft.com:443/v1.0/x": True,
    "https://GRAPH.microsoft.com/v1.0/x": True,
    "HTTPS://graph.microsoft.com/v1.0/x": True,
    "https://graph.microsoft.com:/v1.0/x": True,
    "https://graph.microsoft.com/" + "x" * 4_000: True,
    "http://graph.microsoft.com/v1.0/x": False,
    "http://graph.microsoft.com:443/v1.0/x": False,
    "https://graph.microsoft.com:8443/v1.0/x": False,
    "https://graph.microsoft.com:80/v1.0/x": False,
    "https://graph.microsoft.com.evil.example/v1.0/x": False,
    "https://graph.microsoft.com./v1.0/x": False,
    "https://evil.example/graph.microsoft.com": False,
    "https://graph.microsoft.com@evil.example/x": False,
    "https://ada@graph.microsoft.com/x": False,
    "https://:word@graph.microsoft.com/x": False,
    "https://@graph.microsoft.com/x": False,
    "https://graph.microsoft.com\\@evil.example/x": False,
    "https://graph.microsoft.com\\.evil.example/x": False,
    "https://gr\u0430ph.microsoft.com/x": False,
    "https://graph.micro\nsoft.com/x": False,
    "https://graph.microsoft.com:99999/x": False,
    "https://[::1/x": False,
    "//graph.microsoft.com/x": False,
    "/v1.0/x": False,
    "": False,
    "https://graph.microsoft.com/" + "x" * 5_000: False,
}


@pytest.mark.parametrize("root", ["https://graph.microsoft.com", "https://Graph.Microsoft.com:443"])
def test_whose_a_link_is(root: str) -> None:
    """Letter case and the default port do not change whose a link is; all else does."""
    graph = Graph(root, "v1.0", max_calls=1, timeout_s=1, clock=lambda: NOW)
    assert LINKS == {link: graph.is_ours(link) for link in LINKS}


def test_pages_get_smaller() -> None:
    """The more often no page came, the fewer events it is asked for."""
    row = {"user": "ada@contoso.com", "events": {}, "action": "decline"}
    window = Window(NOW, NOW + timedelta(days=1))
    asked = [
        path.rpartition("top=")[2]
        for failures in (0, 1, 2, 3, 4, 99)
        for path in view_paths(Selection.from_json(row), window, page_size(failures))
    ]
    assert ["500", "100", "25", "10", "1", "1"] == asked


def test_a_window_is_cut_where_graph_ends_a_view() -> None:
    """A longer window is asked for in parts, up to the end of the calendar."""
    row = {"user": "ada@contoso.com", "events": {}, "action": "decline"}
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    window = Window(last - timedelta(days=1_827), last)
    first, second = view_paths(Selection.from_json(row), window)
    assert "startDateTime=9994-12-30T23:00:00Z&endDateTime=9999-12-29T23:00:00Z" in first
    assert "startDateTime=9999-12-29T23:00:00Z&endDateTime=9999-12-31T23:00:00Z" in second
