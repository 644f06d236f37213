"""
The course of a check: what is looked at, in which order, and how far it goes when something fails.

Each part goes on as far as it can without the ones before it, and reports where it cannot.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from config.clouds import CLOUDS
from config.errors import SettingsError
from config.logs import hush_credentials
from config.settings import VARIABLES, Settings
from jobs.check import Check, CheckName
from jobs.redis.connection import connected
from jobs.redis.requirements import check_redis
from worker.check.mailbox import Visit
from worker.check.token import issued, judge_audience, judge_role, refused
from worker.graph.client import Graph
from worker.identity.claims import Claims, read_claims
from worker.identity.credential import open_credential, request_token
from worker.identity.redis_login import log_in
from worker.identity.refusal import MISSED, judge_refusal

CALLS: Final = 8
"""At once: a check is in no hurry, and its mailboxes may have other callers."""

LONGEST_CALL_S: Final = 30.0

_FOR_GRAPH: Final = ("BULKRSVP_GRAPH_URL", "BULKRSVP_API_VERSION", "BULKRSVP_CALL_TIMEOUT_S")
_FOR_TOKENS: Final = ("AZURE_", "BULKRSVP_CLOUD", "SSL_CERT_FILE")
_WHERE: Final = "correct it where the workers get their environment"
_NO_TOKEN: Final = "there is no token"  # noqa: S105  # no token


class Course:
    """
    One check of everything, for users whose mailboxes must be readable or must be `denied`.

    `settings` is what is right of the environment, and `wrong` a line for each of the rest.
    """

    def __init__(
        self,
        settings: Settings,
        wrong: Sequence[str],
        *,
        users: Sequence[str],
        denied: Sequence[str],
    ) -> None:
        self._settings = settings
        self._wrong = wrong
        self._users = _each_once(users)
        self._denied = _each_once(denied)
        hush_credentials()

    async def run(self) -> AsyncIterator[Check]:
        """Yield the verdicts as they come. Nothing is written, and Graph is only read."""
        for check in judge_settings(self._settings, self._wrong):
            yield check
        for check in await self._check_redis():
            yield check
        token, check = await self._fetch_token()
        yield check
        if token is None:
            for check in self._left_out(_NO_TOKEN):
                yield check
            return
        for check in await self._check_access(token):
            yield check

    async def _check_redis(self) -> list[Check]:
        needed = _FOR_TOKENS if self._settings.redis_wants_token else ()
        if why := self._spoilt("REDIS_URL", *needed):
            return [Check.left_out(CheckName.REDIS, why)]
        try:
            async with connected(self._settings, log_in) as redis:
                return await check_redis(redis, self._settings.redis_url_shown)
        except SettingsError as error:
            return [Check.failed(CheckName.REDIS, "cannot log in", str(error))]

    async def _fetch_token(self) -> tuple[str | None, Check]:
        """Fetch a token as a worker does; return it and the check."""
        if why := self._spoilt(*_FOR_TOKENS):
            return None, Check.left_out(CheckName.TOKEN, why)
        try:
            credential = open_credential(self._settings)
        except SettingsError as error:
            return None, Check.failed(CheckName.TOKEN, "no credential", str(error))
        try:
            token = await request_token(credential, self._settings.scope)
        except MISSED as error:
            return None, refused(judge_refusal(error, now=datetime.now(UTC)))
        finally:
            await credential.close()
        return token.token, issued(read_claims(token.token), token.expires_on)

    async def _check_access(self, token: str) -> list[Check]:
        """Judge what is in the token together with what it opens."""
        claims = read_claims(token)
        audience = judge_audience(claims, self._settings.scope)
        if why := self._spoilt(*_FOR_GRAPH):
            role = judge_role(claims, mailbox_read=False)
            return [audience, role, *self._left_out(why, but=(audience.name, role.name))]
        names = [*self._users, *self._denied]
        visits = await self._visit(names, token, claims) if names else []
        role = judge_role(claims, mailbox_read=any(visit.succeeded for visit in visits))
        read, denied = visits[: len(self._users)], visits[len(self._users) :]
        judged = [visit.judge() for visit in read]
        return [audience, role, *judged, *(visit.judge_denied() for visit in denied)]

    async def _visit(self, names: Sequence[str], token: str, claims: Claims | None) -> list[Visit]:
        settings, room = self._settings, asyncio.Semaphore(CALLS)

        async def visit(user: str) -> Visit:
            async with room:
                reply = await graph.peek(user, token=token, client_request_id=str(uuid4()))
            return Visit(user, reply, claims)

        async with Graph(
            settings.graph_root,
            settings.api_version,
            max_calls=CALLS,
            timeout_s=min(settings.call_timeout_s, LONGEST_CALL_S),
            clock=lambda: datetime.now(UTC),
        ) as graph:
            return await asyncio.gather(*map(visit, names))

    def _left_out(self, why: str, but: Sequence[CheckName] = ()) -> Iterator[Check]:
        """Name all that comes after the token and cannot be looked at."""
        for name in (CheckName.TOKEN_AUDIENCE, CheckName.TOKEN_ROLE):
            if name not in but:
                yield Check.left_out(name, why)
        for user in self._users:
            yield Check.left_out(CheckName.MAILBOX, why, subject=user)
        for user in self._denied:
            yield Check.left_out(CheckName.DENIED, why, subject=user)

    def _spoilt(self, *needed: str) -> str | None:
        """Return why a part cannot be looked at, if a setting that it needs is wrong."""
        names = (line.partition(":")[0] for line in self._wrong)
        spoilt = [name for name in names if name.startswith(needed)]
        return f"{', '.join(spoilt)} must be corrected first" if spoilt else None


def _each_once(users: Sequence[str]) -> list[str]:
    """Return each user once, letter case aside."""
    return list({user.casefold(): user for user in reversed(users)}.values())[::-1]


def judge_settings(settings: Settings, wrong: Sequence[str]) -> list[Check]:
    """Return what the settings amount to, or each that is wrong."""
    name = CheckName.SETTINGS
    if wrong:
        lines = (line.partition(": ") for line in wrong)
        return [Check.failed(name, text, _WHERE, variable) for variable, _, text in lines]
    if mixed := list(_mixed_clouds(settings)):
        return mixed
    seen = (
        f"credential {settings.credential_kind}, cloud {settings.cloud}, Graph"
        f" {settings.graph_root}, API {settings.api_version}, tokens from {settings.authority}"
    )
    return [Check.passed(name, seen), *_local_only(settings)]


def _local_only(settings: Settings) -> Iterator[Check]:
    """Warn of what is accepted only because Graph is on this machine."""
    if settings.short_settle:
        hint = "it is accepted here because Graph is on this machine, and refused anywhere else"
        yield Check.warned(CheckName.SETTINGS, settings.short_settle, hint, VARIABLES["settle_s"])


def _mixed_clouds(settings: Settings) -> Iterator[Check]:
    """Find addresses of another cloud than the one that is set: its tokens are worthless there."""
    own = CLOUDS[settings.cloud]
    for variable, address, kept in (
        ("BULKRSVP_GRAPH_URL", settings.graph_root, own.graph_url),
        ("AZURE_AUTHORITY_HOST", settings.authority, own.authority),
    ):
        strange = [
            cloud.name
            for cloud in CLOUDS.values()
            if address in {cloud.graph_url, cloud.authority} and address != kept
        ]
        if strange:
            seen = f"{address} belongs to {' and '.join(strange)}, and BULKRSVP_CLOUD is {own.name}"
            hint = f"set BULKRSVP_CLOUD to the cloud of the tenant, and leave {variable} out"
            yield Check.failed(CheckName.SETTINGS, seen, hint, variable)
