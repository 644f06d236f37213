"""
The simulated Entra ID: client credentials in, an access token or an AADSTS error out.

It knows one tenant and one app, and takes a secret or an assertion, whose signature it does not
check. The discovery documents are there for clients that ask before they send a secret.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import uuid4

import orjson
from aiohttp import web

from config.clouds import CLOUDS
from worker.sandbox.entra.errors import (
    NO_CREDENTIAL,
    NO_PARAMETER,
    UNAVAILABLE,
    UNKNOWN_APP,
    UNKNOWN_RESOURCE,
    UNKNOWN_TENANT,
    WRONG_ASSERTION,
    WRONG_GRANT,
    WRONG_SCOPE,
    WRONG_SECRET,
    EntraError,
    entra_error,
)
from worker.sandbox.entra.tokens import TokenRequest, is_token
from worker.sandbox.world import World

_TOKEN_PATH: Final = "oauth2/v2.0/token"  # noqa: S105  # a path
_BEARER_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEFAULT: Final = "/.default"
_REDIS: Final = "https://redis.azure.com"
_GRAPHS: Final = frozenset(cloud.graph_url for cloud in CLOUDS.values())


@dataclass(frozen=True, slots=True)
class App:
    """The one app registration that exists, in the one tenant that does."""

    tenant_id: str = "5ab7c1d0-0000-4000-8000-0000000000aa"
    client_id: str = "5ab7c1d0-0000-4000-8000-0000000000bb"
    secret: str = "sandbox-secret"  # noqa: S105  # opens the sandbox only


class SimulatedEntra:
    """Answers every request on the Entra ID port."""

    def __init__(self, world: World, app: App) -> None:
        self._world = world
        self._app = app

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve the token endpoint and the discovery documents."""
        tenant, _, rest = request.path.strip("/").partition("/")
        if request.method == "POST" and rest == _TOKEN_PATH:
            form = dict(parse_qsl((await request.read()).decode(errors="replace")))
            return await self._answer_token(request, tenant, form)
        document = self._document(f"https://{request.host}", tenant, rest)
        return _json(404, {"error": "not_found"}) if document is None else _json(200, document)

    async def _answer_token(
        self, request: web.BaseRequest, tenant: str, form: Mapping[str, str]
    ) -> web.Response:
        if self._world.options.token_delay_s:
            await asyncio.sleep(self._world.options.token_delay_s)
        error = self._injected() or self._find_error(tenant, form)
        self._note(tenant, form, error)
        if error is None:
            return _json(200, self._grant(form))
        asked = request.headers.get("client-request-id", str(uuid4()))
        return _json(error.status, error.body(datetime.now(UTC), str(uuid4()), asked))

    def _injected(self) -> EntraError | None:
        """Return the error that the options ask for, and count it."""
        options = self._world.options
        number, status, left = options.token_refusal, options.token_status, options.token_times
        if not left or (number is None and status is None):
            return None
        if left > 0:
            self._world.options = options.model_copy(update={"token_times": left - 1})
        error = UNAVAILABLE if number is None else entra_error(number)
        return replace(error, status=status or error.status)

    def _find_error(self, tenant: str, form: Mapping[str, str]) -> EntraError | None:
        """Check tenant, grant, scope, app and credential, in this order."""
        scope, grant = form.get("scope", ""), form.get("grant_type")
        resources = _GRAPHS | {self._world.graph_url, _REDIS}
        for wrong, error in (
            (tenant != self._app.tenant_id, UNKNOWN_TENANT),
            (not (scope and grant and form.get("client_id")), NO_PARAMETER),
            (grant != "client_credentials", WRONG_GRANT),
            (not scope.endswith(_DEFAULT), WRONG_SCOPE),
            (scope.removesuffix(_DEFAULT) not in resources, UNKNOWN_RESOURCE),
            (form.get("client_id") != self._app.client_id, UNKNOWN_APP),
        ):
            if wrong:
                return error
        return self._find_credential_error(form)

    def _find_credential_error(self, form: Mapping[str, str]) -> EntraError | None:
        if "client_secret" in form:
            secret, given = self._app.secret.encode(), form["client_secret"].encode()
            return None if secrets.compare_digest(secret, given) else WRONG_SECRET
        if form.get("client_assertion_type") == _BEARER_ASSERTION:
            return None if is_token(form.get("client_assertion", "")) else WRONG_ASSERTION
        return NO_CREDENTIAL

    def _grant(self, form: Mapping[str, str]) -> dict[str, Any]:
        options, app = self._world.options, self._app
        lifetime_s, resource = options.token_lifetime_s, form["scope"].removesuffix(_DEFAULT)
        token = self._world.tokens.issue(
            options.token_audience or resource,
            app.tenant_id,
            app.client_id,
            lifetime_s,
            roles=options.token_roles,
            foreign=bool(options.token_audience) or resource == _REDIS,
        )
        return {
            "token_type": "Bearer",
            "expires_in": lifetime_s,
            "ext_expires_in": lifetime_s,
            "access_token": token,
        }

    def _note(self, tenant: str, form: Mapping[str, str], error: EntraError | None) -> None:
        at, claims = self._world.clock.unix(), form.get("claims")
        status, number = (error.status, error.number) if error else (200, None)
        asked = TokenRequest(at, tenant, form.get("client_id"), status, number, claims)
        self._world.tokens.requests.append(asked)

    def _document(self, root: str, tenant: str, rest: str) -> dict[str, Any] | None:
        if rest == "discovery/instance":
            openid = f"{root}/{self._app.tenant_id}/v2.0/.well-known/openid-configuration"
            return {"tenant_discovery_endpoint": openid, "api-version": "1.1", "metadata": []}
        if rest in {"discovery/keys", "discovery/v2.0/keys"}:
            return {"keys": []}
        if rest.endswith(".well-known/openid-configuration") and tenant == self._app.tenant_id:
            return _openid(f"{root}/{tenant}")
        return None


def _openid(root: str) -> dict[str, Any]:
    return {
        "issuer": f"{root}/v2.0",
        "token_endpoint": f"{root}/{_TOKEN_PATH}",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _json(status: int, content: dict[str, Any]) -> web.Response:
    body = orjson.dumps(content)
    return web.Response(status=status, body=body, content_type="application/json")
