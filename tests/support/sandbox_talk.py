"""A Graph client without any opinion, and a sandbox on its own loop to speak with."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from worker.sandbox import (
    App,
    Clock,
    Sandbox,
)

ADA = "ada@contoso.com"
PROPOSAL = {
    "start": {"dateTime": "2026-12-02T18:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2026-12-02T19:00:00", "timeZone": "UTC"},
}
APP = App()


@dataclass(frozen=True)
class Heard:
    """A reply as a client got it."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message of a refusal."""
        return self.status, self.body["error"]["code"], self.body["error"]["message"]


class Client:
    """A Graph client without any opinion."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, token: str) -> None:
        self.sandbox, self.session, self.token = sandbox, session, token

    async def call(self, method: str, path: str, **options: Any) -> Heard:
        """Send a request with the token; redirects are not followed."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        url = self.sandbox.graph_url + path
        options.setdefault("allow_redirects", False)
        async with self.session.request(method, url, headers=headers, **options) as reply:
            content = await reply.read()
            is_json = reply.content_type == "application/json" and content
            body = json.loads(content) if is_json else content.decode()
            return Heard(reply.status, dict(reply.headers), body)

    async def decline(self, event: str, user: str = ADA, **body: Any) -> Heard:
        """Decline an event."""
        return await self.call("POST", f"/v1.0/users/{user}/events/{event}/decline", json=body)

    async def tentative(self, event: str, user: str = ADA, **body: Any) -> Heard:
        """Accept an event tentatively."""
        path = f"/v1.0/users/{user}/events/{event}/tentativelyAccept"
        return await self.call("POST", path, json=body)

    async def look(self, event: str, user: str = ADA, query: str = "") -> Heard:
        """Look at an event."""
        return await self.call("GET", f"/v1.0/users/{user}/events/{event}{query}")


async def ask_token(
    sandbox: Sandbox, session: aiohttp.ClientSession, tenant: str = APP.tenant_id, **changes: Any
) -> tuple[int, dict[str, Any]]:
    """Ask for a token; a change to None leaves a field out. Return status and body."""
    form: dict[str, Any] = {
        "grant_type": "client_credentials",
        "client_id": APP.client_id,
        "client_secret": APP.secret,
        "scope": f"{sandbox.graph_url}/.default",
    } | changes
    url = f"{sandbox.authority_url}/{tenant}/oauth2/v2.0/token"
    form = {name: value for name, value in form.items() if value is not None}
    async with session.post(url, data=form) as reply:
        return reply.status, await reply.json()


@asynccontextmanager
async def open_session(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session that trusts the sandbox's authority."""
    trust = ssl.create_default_context(cafile=str(sandbox.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def converse(
    talk: Callable[[Sandbox, Client], Awaitable[None]], clock: Clock | None = None, **options: Any
) -> None:
    """Run `talk` with a fresh sandbox and a client that holds a token."""

    async def run() -> None:
        async with (
            Sandbox(clock=clock, **options) as sandbox,
            open_session(sandbox) as session,
        ):
            _, granted = await ask_token(sandbox, session)
            await talk(sandbox, Client(sandbox, session, granted["access_token"]))

    asyncio.run(run())


class FrozenTime:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    @property
    def clock(self) -> Clock:
        """What a sandbox takes."""
        return Clock(monotonic=lambda: self.now_s, unix=lambda: 1_800_000_000 + self.now_s)


async def until(holds: Callable[[], object]) -> None:
    """Let the loop run until something holds; the test's own patience ends what never does."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # the sandbox tells a journal's readers nothing
            await asyncio.sleep(0.001)
