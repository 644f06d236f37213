"""The simulated Graph: what it takes, and what it refuses."""

from typing import Any

import pytest

from tests.support.sandbox_talk import ADA, PROPOSAL, Client, converse
from worker.sandbox import (
    Answer,
    Duplicate,
    EventState,
    Sandbox,
)


def test_accepted_action_is_202_without_a_body() -> None:
    """A decline is answered with 202, no body, a fresh request id, and the caller's id."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        path = f"/v1.0/users/{ADA}/events/e1/decline"
        headers = {"client-request-id": "mine"}
        heard = await client.call("POST", path, json={"sendResponse": True}, headers=headers)
        [entry] = sandbox.journal
        named = {name: heard.headers[name] for name in ("request-id", "client-request-id")}
        assert (heard.status, heard.body) == (202, "")
        assert named == {"request-id": entry.request_id, "client-request-id": "mine"}
        assert "Date" in heard.headers

    converse(talk)


def test_declined_event_is_gone() -> None:
    """After a decline both a look and a repeat get 404 ErrorItemNotFound."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        await client.decline("e1")
        gone = (404, "ErrorItemNotFound", "The specified object was not found in the store.")
        assert [gone, gone] == [(await client.look("e1")).error, (await client.decline("e1")).error]
        assert len(sandbox.taken()) == 1

    converse(talk)


def test_declined_event_can_be_kept() -> None:
    """With keep_declined the event stays and shows declined."""

    async def talk(_: Sandbox, client: Client) -> None:
        await client.decline("e1")
        heard = await client.look("e1", query="?$select=responseStatus")
        assert heard.body["responseStatus"]["response"] == "declined"

    converse(talk, keep_declined=True)


def test_tentative_twice_is_taken_twice() -> None:
    """A second tentativelyAccept is accepted again: the organizer gets two mails."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard = [await client.tentative("e1"), await client.tentative("e1", user=ADA.upper())]
        assert [202, 202] == [reply.status for reply in heard]
        assert sandbox.stats().duplicates == [Duplicate(ADA, "e1", 2)]
        assert sandbox.event(ADA, "e1") == EventState(response=Answer.TENTATIVELY_ACCEPTED)

    converse(talk)


def test_look_shows_what_is_selected() -> None:
    """A look shows the selected properties and the id, and changes nothing."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        select = "?$select=isOrganizer,isCancelled,responseRequested"
        heard = await client.look("e1", query=select)
        expected = {
            "id": "e1",
            "isOrganizer": False,
            "isCancelled": False,
            "responseRequested": True,
        }
        assert expected == heard.body
        assert (await client.look("e1", query="?$select=colour")).status == 400
        assert sandbox.taken() == []

    converse(talk)


@pytest.mark.parametrize(
    "form",
    [
        "/v1.0/users/ada/events/e1",
        "/beta/users/ada/calendar/events/e1",
        "/v1.0/users/ada/calendars/c1/events/e1",
        "/v1.0/users/ada/calendarGroups/g1/calendars/c1/events/e1",
    ],
)
@pytest.mark.parametrize("action", ["decline", "tentativelyAccept", "microsoft.graph.decline"])
def test_all_url_forms_reach_the_event(form: str, action: str) -> None:
    """Each of the four paths, with each action, reaches the same event."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard = await client.call("POST", f"{form}/{action}", json={})
        [entry] = sandbox.taken()
        assert (202, "ada", "e1") == (heard.status, entry.user, entry.event)

    converse(talk)


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", "/v1.0/me/events/e1/decline", (400, "BadRequest")),
        ("POST", "/v1.0/users/ada/events/e%2F1/decline", (400, "RequestBroker--ParseUri")),
        ("POST", "/v1.0/users/ada/events/e1/ignore", (400, "RequestBroker--ParseUri")),
        ("POST", "/v2.0/users/ada/events/e1/decline", (400, "RequestBroker--ParseUri")),
        ("GET", "/v1.0/users/ada/events/e1/decline", (405, "Request_BadRequest")),
        ("POST", "/v1.0/users/ada/events/e1", (405, "Request_BadRequest")),
    ],
)
def test_wrong_paths_are_refused(method: str, path: str, error: tuple[int, str]) -> None:
    """A path that leads nowhere, a /me, and a wrong method get the errors that Graph gives."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        from yarl import URL

        url = URL(sandbox.graph_url + path, encoded=True)
        headers = {"Authorization": f"Bearer {client.token}"}
        async with client.session.request(method, url, headers=headers, json={}) as reply:
            body = await reply.json()
        assert error == (reply.status, body["error"]["code"])
        assert [(path, False)] == [(entry.path, entry.taken) for entry in sandbox.journal]

    converse(talk)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"comment": "x", "sendResponse": False}, "ErrorInvalidParameter"),
        ({"Comment": "", "SendResponse": False}, "ErrorInvalidParameter"),
        ({"sendResponse": False, "proposedNewTime": PROPOSAL}, "ErrorInvalidParameter"),
        ({"proposedNewTime": {"start": PROPOSAL["start"]}}, "BadRequest"),
        ({"proposedNewTime": {"start": "now", "end": "later"}}, "BadRequest"),
        ({"sendresponse": True}, "BadRequest"),
        ({"sendResponse": "yes"}, "BadRequest"),
        ([], "BadRequest"),
    ],
)
def test_wrong_bodies_are_refused(body: Any, error: str) -> None:
    """What Graph refuses in a body is refused with 400, and nothing is taken."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard = await client.call("POST", f"/v1.0/users/{ADA}/events/e1/decline", json=body)
        assert (400, error) == heard.error[:2]
        assert [] == sandbox.taken()

    converse(talk)


@pytest.mark.parametrize("content", [b"", b"{", b"comment=x"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    """A body that is no JSON object is refused with 400."""

    async def talk(_: Sandbox, client: Client) -> None:
        headers = {"Content-Type": "application/json"}
        path = f"/v1.0/users/{ADA}/events/e1/decline"
        heard = await client.call("POST", path, data=content, headers=headers)
        assert (400, "BadRequest") == heard.error[:2]

    converse(talk)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Comment": "x", "SendResponse": True},
        {"comment": "x", "sendResponse": True, "proposedNewTime": PROPOSAL},
        {"comment": None, "sendResponse": False},
    ],
)
def test_both_spellings_of_a_body_are_taken(body: dict[str, Any]) -> None:
    """Keys may be spelled in either case, and sendResponse left out means true."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        assert 202 == (await client.tentative("e1", **body)).status
        assert [body] == [entry.body for entry in sandbox.taken()]

    converse(talk)
