"""
A small Entra ID on loopback, and what `tests/identity/test_credential.py` plays against it.

Run as a script with names of scenarios; writes as JSON, for each, what it returned, what the
authority received, and the log.
"""

import asyncio
import io
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from config.logs import configure_logs
from config.settings import Settings
from worker.identity.credential import open_credential
from worker.identity.token_source import TokenSource, TokenUnavailable

WRONG_SECRET = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 4711",
}


class Authority:
    """Gives numbered tokens, after the replies that a scenario wants first."""

    def __init__(self, *first: web.Response) -> None:
        self.first = list(first)
        self.requests: list[dict[str, str]] = []
        self.issued = 0

    async def token(self, request: web.Request) -> web.Response:
        """Answer a request of an application."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append({"tenant": request.match_info["tenant"], **form})
        return self._reply({"token_type": "Bearer", "expires_in": 3599})

    async def managed(self, request: web.Request) -> web.Response:
        """Answer a request of App Service's managed identity."""
        self.requests.append(dict(request.query))
        ends = str(int(time.time()) + 86_400)
        return self._reply({"expires_on": ends, "resource": request.query["resource"]})

    def _reply(self, token: dict[str, Any]) -> web.Response:
        if self.first:
            return self.first.pop(0)
        self.issued += 1
        return web.json_response({**token, "access_token": f"token-{self.issued}"})


@asynccontextmanager
async def serving(authority: Authority, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Serve the authority; yields its address."""
    app = web.Application()
    app.router.add_post("/{tenant}/oauth2/v2.0/token", authority.token)
    app.router.add_get("/msi/token", authority.managed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=tls).start()
    yield f"{'https' if tls else 'http'}://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


class Play:
    """A token source with the real azure-identity, and a clock that can be set forward."""

    def __init__(self, *first: web.Response, url: str | None = None) -> None:
        self.authority = Authority(*first)
        self.url = url
        self.skipped_s = 0.0
        self.log = io.BytesIO()
        self.source: TokenSource

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Play"]:
        """Open the source that the environment describes."""
        managed = "AZURE_TOKEN_CREDENTIALS" in os.environ
        tls = None if managed else ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if tls:
            tls.load_cert_chain(os.environ["SERVER_PEM"])
        async with serving(self.authority, tls) as url:
            more = {} if managed else {"AZURE_AUTHORITY_HOST": self.url or url}
            if managed:  # azure-identity looks for these two itself
                os.environ |= {"IDENTITY_ENDPOINT": f"{url}/msi/token", "IDENTITY_HEADER": "x"}
            settings = Settings.load({**os.environ, **more})
            self.source = TokenSource(
                open_credential(settings),
                settings.scope,
                clock=lambda: time.time() + self.skipped_s,
                random=lambda: 0.75,
                log=configure_logs(settings, self.log),
            )
            yield self
            await self.source.close()

    async def many(self, call: Callable[[], Awaitable[str]]) -> dict[str, Any]:
        """Call a hundred times at once, and return what there was to see."""
        calls = (call() for _ in range(100))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return {
            "tokens": sorted({each for each in answers if isinstance(each, str)}),
            "errors": sorted({str(each) for each in answers if not isinstance(each, str)}),
        }

    def seen(self) -> dict[str, Any]:
        """Return what the authority and the log received."""
        log = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return {"requests": self.authority.requests, "log": log}


async def hundred() -> dict[str, Any]:
    """Let a hundred ask at once."""
    async with Play().opened() as play:
        return await play.many(play.source.token) | play.seen()


async def wrong_secret() -> dict[str, Any]:
    """Let a hundred ask at once, and again, with a secret that is refused."""
    async with Play(web.json_response(WRONG_SECRET, status=401)).opened() as play:
        await play.many(play.source.token)
        return await play.many(play.source.token) | play.seen()


async def repair() -> dict[str, Any]:
    """Ask while the authority is down, and when it is back."""
    down = web.json_response({"error": "x"}, status=503, headers={"Retry-After": "20"})
    async with Play(down).opened() as play:
        await attempt(play)
        play.skipped_s = 19
        early = await attempt(play)
        play.skipped_s = 21
        return {"early": early, "late": await attempt(play)} | play.seen()


async def page() -> dict[str, Any]:
    """Ask where a proxy answers with a page."""
    text = "<html>The service is unavailable</html>"
    return await once(Play(web.Response(status=503, text=text, content_type="text/html")))


async def nothing() -> dict[str, Any]:
    """Ask where something answers with an empty body."""
    return await once(Play(web.Response(status=502)))


async def nobody() -> dict[str, Any]:
    """Ask where nothing listens."""
    return await once(Play(url="https://localhost:1"))


async def vanished() -> dict[str, Any]:
    """Ask after the token file went away."""
    async with Play().opened() as play:
        await asyncio.to_thread(Path(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).unlink)
        await attempt(play)
        return play.seen()


async def renewal() -> dict[str, Any]:
    """Say that Graph refuses one token after the other."""
    async with Play().opened() as play:
        first = await play.source.token()
        second = (await play.many(lambda: play.source.renew(first)))["tokens"]
        late = await play.source.renew(first)
        claims = json.dumps({"access_token": {"nbf": {"value": "4711"}}})
        third = await play.source.renew(late, claims)
        return {"tokens": [first, second, late, third]} | play.seen()


async def managed() -> dict[str, Any]:
    """Say that Graph refuses a managed identity's token."""
    async with Play().opened() as play:
        first = await play.source.token()
        return {"tokens": [first, await play.source.renew(first)]} | play.seen()


async def once(play: Play) -> dict[str, Any]:
    """Ask once."""
    async with play.opened():
        await attempt(play)
        return play.seen()


async def attempt(play: Play) -> str:
    """Return a token, or that there is none."""
    try:
        return await play.source.token()
    except TokenUnavailable:
        return "refused"


if __name__ == "__main__":
    seen = {name: asyncio.run(globals()[name]()) for name in sys.argv[1:]}
    sys.stdout.write(json.dumps(seen))
