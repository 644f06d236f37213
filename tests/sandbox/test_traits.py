"""Users and events that behave by their name."""

import aiohttp
import pytest

from tests.support.sandbox_talk import ADA, PROPOSAL, Client, converse
from worker.sandbox import (
    Sandbox,
)


@pytest.mark.parametrize(
    ("user", "event", "error"),
    [
        (ADA, "organizer-1", (400, "ErrorInvalidRequest", "you're the meeting organizer.")),
        (ADA, "not-requested-1", (400, "ErrorInvalidRequest", "hasn't requested a response.")),
        (ADA, "refused-1", (400, "ErrorInvalidRequest", "refuses this event.")),
        (ADA, "malformed-1", (400, "ErrorInvalidIdMalformed", "Id is malformed.")),
        (ADA, "not-found-1", (404, "ErrorItemNotFound", "not found in the store.")),
        (ADA, "failing-1", (500, "ErrorInternalServerError", "")),
        (ADA, "unreadable-1", (504, "UnknownError", "")),
        ("unknown@c", "e", (404, "ErrorInvalidUser", "requested user 'unknown@c' is invalid.")),
        ("nobody@c", "e", (404, "Request_ResourceNotFound", "objects are not present.")),
        ("Unlicensed1@c", "e", (404, "MailboxNotEnabledForRESTAPI", "hosted on-premise.")),
        ("undiscovered@c", "e", (404, "ResourceNotFound", "could not be discovered.")),
        ("denied@c", "e", (403, "ErrorAccessDenied", "AppOnly AccessPolicy settings.")),
        ("forbidden@c", "e", (403, "ErrorAccessDenied", "Check credentials and try again.")),
        ("busy@c", "e", (429, "ApplicationThrottled", "over its MailboxConcurrency limit.")),
    ],
)
def test_names_provoke_refusals(user: str, event: str, error: tuple[int, str, str]) -> None:
    """Each name in the list provokes its status, code and text."""

    async def talk(_: Sandbox, client: Client) -> None:
        status, code, message = (await client.decline(event, user=user)).error
        assert error == (status, code, message[len(message) - len(error[2]) :])

    converse(talk)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ("organizer-1", ("organizer", True, False, True, True)),
        ("not-requested-1", ("notResponded", False, False, False, True)),
        ("no-proposals-1", ("notResponded", False, False, True, False)),
        ("cancelled-1", ("notResponded", False, True, True, True)),
        ("declined-1", ("declined", False, False, True, True)),
        ("tentative-1", ("tentativelyAccepted", False, False, True, True)),
        ("accepted-1", ("accepted", False, False, True, True)),
        ("organizers-1", ("notResponded", False, False, True, True)),
    ],
)
def test_names_show_states(event: str, shown: tuple[str, bool, bool, bool, bool]) -> None:
    """Each name in the list shows its state; any other is an unanswered invitation."""

    async def talk(_: Sandbox, client: Client) -> None:
        body = (await client.look(event)).body
        flags = ("isOrganizer", "isCancelled", "responseRequested", "allowNewTimeProposals")
        assert shown == (body["responseStatus"]["response"], *(body[flag] for flag in flags))

    converse(talk)


def test_proposals_and_silence_depend_on_the_event() -> None:
    """No new time where none is allowed, and silence where no response is requested."""

    async def talk(_: Sandbox, client: Client) -> None:
        refused = await client.decline("no-proposals-1", proposedNewTime=PROPOSAL)
        statuses = [
            refused.status,
            (await client.decline("no-proposals-1")).status,
            (await client.decline("not-requested-1", sendResponse=False)).status,
        ]
        assert [400, 202, 202] == statuses
        assert "propos" in refused.error[2]

    converse(talk)


def test_lost_names_lose_the_first_reply_only() -> None:
    """An event called lost- is taken without a reply, and then is as any other."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.tentative("lost-1")
        again = await client.tentative("lost-1")
        assert [(True, "lost"), (True, None)] == [(e.taken, e.fault) for e in sandbox.journal]
        assert 202 == again.status

    converse(talk)
