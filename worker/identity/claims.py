"""
What is in a token: whom it is for, who has it, and what it allows.

Its signature is not checked, because it came from Entra ID just now; Graph and Redis
decide what it is worth. A token that cannot be read is not a fault: Microsoft calls its content the
affair of whom it is for.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

_YEAR_9999: Final = 253_370_764_800


@dataclass(frozen=True, slots=True)
class Claims:
    """What is in a token; None, or nothing, for what is missing or of another type."""

    audience: str | None
    tenant: str | None
    application: str | None
    roles: Sequence[str]
    ends_at: int | None
    object_id: str | None = None


def read_claims(token: str) -> Claims | None:
    """Return the claims of a JSON web token, or None for any other text (RFC 7519)."""
    try:
        part = token.split(".")[1]
        content = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    roles, ends_at = content.get("roles"), content.get("exp")
    return Claims(
        audience=_text(content.get("aud")),
        tenant=_text(content.get("tid")),
        application=_text(content.get("appid") or content.get("azp")),
        roles=[role for role in map(_text, roles) if role] if isinstance(roles, list) else [],
        object_id=_text(content.get("oid")),
        ends_at=ends_at if type(ends_at) is int and 0 <= ends_at < _YEAR_9999 else None,
    )


def _text(value: Any) -> str | None:
    """Return a text that fits in one line: what is read here is foreign."""
    return ascii(value)[1:-1] if isinstance(value, str) and value else None
