"""
Judging a token before it is used: whom it is for, and what it allows.

It only decides on a hint; Graph decides the rest. A token that cannot be read is not a fault.
"""

from typing import Final

from config.clouds import CLOUDS
from jobs.check import Check, CheckName
from jobs.times import write_local
from worker.identity.claims import Claims
from worker.identity.refusal import Refusal

ROLE: Final = "Calendars.ReadWrite"
GRAPH: Final = "00000003-0000-0000-c000-000000000000"
"""Graph's own application id, which may be there instead of its address."""

_GRANT: Final = (
    f"give the application the application permission {ROLE} of Microsoft Graph, and have an"
    " administrator consent"
)
_NO_ROLE: Final = (
    f"{_GRANT}; or, where Exchange's RBAC for Applications grants it, which shows in no token, name"
    " a USER whom it lets in: one mailbox that can be read is proof"
)
_READS_ONLY: Final = (
    f"{_GRANT}; where RBAC for Applications grants {ROLE}, withdraw this consent, or a mailbox that"
    " can be read proves nothing"
)

_NOTHING: Final = Claims(None, None, None, (), None)
_HIDDEN: Final = "(not visible)"


def issued(claims: Claims | None, expires_on: int) -> Check:
    """Report a token; `expires_on` is when it ends according to the authority."""
    known = claims or _NOTHING
    seen = (
        f"issued for tenant {known.tenant or _HIDDEN}, application {known.application or _HIDDEN},"
        f" ends {write_local((known.ends_at or expires_on) * 1000)}"
    )
    return Check.passed(CheckName.TOKEN, seen)


def refused(refusal: Refusal) -> Check:
    """Say that there is none, and why."""
    return Check.failed(CheckName.TOKEN, f"refused ({refusal.error_code})", refusal.hint)


def judge_audience(claims: Claims | None, scope: str) -> Check:
    """Judge whom the token is for; `scope` is what it was asked for with."""
    name = CheckName.TOKEN_AUDIENCE
    if claims is None or claims.audience is None:
        return Check.left_out(name, "not visible")
    wanted = scope.removesuffix("/.default")
    if claims.audience.rstrip("/") in {wanted, GRAPH}:
        return Check.passed(name, claims.audience)
    others = (cloud for cloud in CLOUDS.values() if cloud.graph_url == claims.audience.rstrip("/"))
    cloud = next(others, None)
    seen = f"{claims.audience}, and not {wanted}"
    if cloud is None:
        return Check.failed(name, seen, "check BULKRSVP_CLOUD and AZURE_AUTHORITY_HOST")
    hint = f"that is the cloud {cloud.name}: check BULKRSVP_CLOUD and AZURE_AUTHORITY_HOST"
    return Check.failed(name, seen, hint)


def judge_role(claims: Claims | None, *, mailbox_read: bool) -> Check:
    """
    Judge what the token allows.

    RBAC for Applications shows in no token, so a role may be missing where a mailbox could be
    read; but not where another role allows the reading (Exchange: RBAC for Applications).
    """
    name = CheckName.TOKEN_ROLE
    if claims is None:
        return Check.left_out(name, "not visible")
    roles = ", ".join(claims.roles) or "none"
    if ROLE in claims.roles:
        return Check.passed(name, roles)
    if any(role.startswith("Calendars.") for role in claims.roles):
        return Check.failed(name, f"{roles}, which may read and not answer", _READS_ONLY)
    if mailbox_read:
        seen = f"{roles}; but a mailbox can be read, as RBAC for Applications grants it"
        return Check.passed(name, seen)
    return Check.failed(name, f"{roles}; {ROLE} is missing", _NO_ROLE)
