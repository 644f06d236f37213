"""
Access tokens: made by the simulated Entra ID, checked by the simulated Graph.

Graph accepts what was issued here, for itself, and neither too old nor revoked. The tokens are
real JSON web tokens, so that a client can read their claims.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import orjson

from worker.sandbox.graph.replies import Reply
from worker.sandbox.options import Clock

_CODE: Final = "InvalidAuthenticationToken"
_EMPTY: Final = "Access token is empty."
_UNKNOWN: Final = "Access token validation failure. Invalid signature."
EXPIRED: Final = "Lifetime validation failed, the token is expired."
_OTHER_AUDIENCE: Final = "Access token validation failure. Invalid audience."
_REVOKED: Final = (
    "Continuous access evaluation resulted in challenge with result: InteractionRequired and"
    " code: TokenIssuedBeforeRevocationTimestamp"
)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request at the token endpoint; `at` is Unix time, `error` an AADSTS number."""

    at: float
    tenant: str
    client_id: str | None
    status: int
    error: int | None
    claims: str | None


class Tokens:
    """Every token that was issued and is not revoked, and who asked for one."""

    def __init__(self, clock: Clock) -> None:
        self.requests: list[TokenRequest] = []
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._expiries: dict[str, float] = {}
        self._revoked: set[str] = set()
        self._foreign: set[str] = set()

    def issue(
        self,
        audience: str,
        tenant: str,
        client_id: str,
        lifetime_s: int,
        *,
        roles: Sequence[str],
        foreign: bool = False,
    ) -> str:
        """Make a token that Graph accepts for `lifetime_s` seconds, unless it is `foreign`."""
        now = int(self._clock.unix())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            "appid": client_id,
            "idtyp": "app",
            "oid": str(uuid5(NAMESPACE_URL, client_id)),
            **({"roles": list(roles)} if roles else {}),
            "tid": tenant,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        token = self._sign(claims)
        if foreign:
            self._foreign.add(token)
        self._expiries[token] = self._clock.monotonic() + lifetime_s
        return token

    def revoke(self) -> None:
        """Let Graph refuse, with a claims challenge, every token issued so far."""
        self._revoked.update(self._expiries)
        self._expiries.clear()

    def refusal(self, authorization: str | None) -> Reply | None:
        """Say why Graph refuses this Authorization header, or None where it does not."""
        scheme, _, token = (authorization or "").partition(" ")
        expires_s = self._expiries.get(token)
        if token in self._foreign:
            return unauthorized(_OTHER_AUDIENCE)
        if scheme == "Bearer" and expires_s is not None and self._clock.monotonic() < expires_s:
            return None
        if expires_s is not None and scheme == "Bearer":
            return unauthorized(EXPIRED)
        if token in self._revoked:
            return unauthorized(_REVOKED, self._challenge())
        return unauthorized(_UNKNOWN if token else _EMPTY)

    def _challenge(self) -> str:
        since = {"essential": True, "value": str(int(self._clock.unix()))}
        return orjson.dumps({"access_token": {"nbf": since}}).decode()

    def _sign(self, claims: Mapping[str, Any]) -> str:
        header = {"typ": "JWT", "alg": "HS256", "kid": "sandbox"}
        signed = b".".join(_encode(orjson.dumps(part)) for part in (header, claims))
        signature = hmac.digest(self._key, signed, hashlib.sha256)
        return b".".join((signed, _encode(signature))).decode()


def unauthorized(message: str, claims: str | None = None) -> Reply:
    """Refuse a token; with `claims` (JSON) the client is asked to fetch one that holds them."""
    challenge = 'Bearer realm="", error="invalid_token"'
    if claims is not None:
        encoded = base64.b64encode(claims.encode()).decode()
        challenge = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    headers = {"WWW-Authenticate": challenge}
    return Reply(HTTPStatus.UNAUTHORIZED, _CODE, message, headers)


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def is_token(text: str) -> bool:
    """Say whether a text is built like a JSON web token; its signature is not checked."""
    parts = text.split(".")
    try:
        header, claims = (orjson.loads(_decode(part)) for part in parts[:2])
    except ValueError:  # fewer than two parts, no base64, no JSON
        return False
    return len(parts) == 3 and isinstance(header, dict) and isinstance(claims, dict)  # noqa: PLR2004  # RFC 7519 3


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
