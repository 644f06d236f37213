"""
The login at Redis: a token of Entra ID in the place of a password, where the address asks for it.

It is fetched with the same credential as the tokens for Graph, and by the same rules: once for
all that wait, and again some minutes before it ends.
"""

import random as chance
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from structlog.typing import FilteringBoundLogger

from config.errors import SettingsError
from config.logs import hush_credentials
from config.settings import Settings
from jobs.redis.pools import Login
from worker.identity.claims import read_claims
from worker.identity.credential import open_credential
from worker.identity.token_source import TokenSource

SCOPE: Final = "https://redis.azure.com/.default"
"""Azure Managed Redis: use Microsoft Entra ID for cache authentication."""


@asynccontextmanager
async def log_in(
    settings: Settings, log: FilteringBoundLogger | None = None
) -> AsyncIterator[Login | None]:
    """
    Give a login that lasts for the length of a block, or None where the address has its own.

    Raises `SettingsError` if the settings describe no credential; the login itself
    `TokenUnavailable`. Without `log` nothing is logged of tokens, as in a short command.
    """
    if not settings.redis_wants_token:
        yield None
        return
    hush_credentials()
    tokens = TokenSource(
        open_credential(settings),
        SCOPE,
        clock=time.time,
        random=chance.SystemRandom().random,
        log=(log or structlog.wrap_logger(structlog.ReturnLogger())).bind(scope=SCOPE),
    )
    try:
        yield _TokenLogin(tokens)
    finally:
        await tokens.close()


class _TokenLogin:
    """The object id of whom a token is for, and the token."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens
        self._said = ("", "")

    async def __call__(self) -> tuple[str, str]:
        token = await self._tokens.token()
        if token != self._said[1]:
            self._said = (_object_id(token), token)
        return self._said


def _object_id(token: str) -> str:
    claims = read_claims(token)
    if claims is None or claims.object_id is None:
        raise SettingsError(
            "REDIS_URL: credentials=entra needs a token that names its object id (oid), and this"
            " one does not; use an application or a managed identity of Entra ID"
        )
    return claims.object_id
