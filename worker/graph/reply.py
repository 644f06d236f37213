"""
What came back from one call: read out of status, headers and body, and not judged.

`worker/graph/client.py` makes the call, `worker/graph/verdict.py` decides what the reply means. A
body may be empty, cut off, HTML or anything else; what cannot be read is None, and nothing here
raises. A
Retry-After header is parsed here, once; from here on it is a number of seconds.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from worker.graph.page import Page, read_page, read_showing
from worker.graph.retry_after import retry_after_s

MAX_CODE = 128
MAX_CLAIMS = 4_096
"""Bytes of claims that are handed on; those of Entra ID have a few hundred."""

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

_CLAIMS = re.compile(r'\bclaims="?([A-Za-z0-9+/_-]+)')
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_UNSAID = object()


class TransportEnd(StrEnum):
    """How a call ended that brought no status line: our words, in the place of Graph's code."""

    DNS = "dns"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    BAD_URL = "bad_url"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    RESET = "reset"
    PROTOCOL_ERROR = "protocol_error"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Event:
    """
    What a look reads of an event; `response` is Graph's word (Graph: responseStatus).

    `answered_at` is when it was given (aware), None if unknown. `proposals_allowed` is false only
    where the event forbids them. `showing` is its subject, start and organizer, as far
    as they were asked for.
    """

    response: str
    is_organizer: bool
    is_cancelled: bool
    response_requested: bool
    proposals_allowed: bool = True
    answered_at: datetime | None = None
    showing: tuple[str | None, ...] = (None, None, None)


@dataclass(slots=True, kw_only=True)  # not frozen: that is three times as long in the making
class Reply:
    """
    What one call brought back; it is never changed.

    `status` is None when no status line came; `code` is then a `TransportEnd`, else Graph's
    error code. `message` is for the verdict only and never logged. `reached` is false only when
    surely nothing of the request left this machine. `retry_after_s` is the wait that the reply
    asks for, None if it asks for none that can be kept. `claims` is the JSON that a 401 wants the
    next token to be asked for with. `has_body` is whether a body came, or may have been to come;
    `is_json` whether it was an object, as in all of Graph's replies. `arrived_at` (aware) is when
    the head of the reply, or the end of the call, was there.
    """

    status: int | None
    code: str | None = None
    message: str | None = field(default=None, repr=False)
    reached: bool = True
    retry_after_s: float | None = None
    request_id: str | None = None
    claims: str | None = field(default=None, repr=False)
    has_body: bool = False
    is_json: bool = False
    event: Event | None = None
    page: Page | None = field(default=None, repr=False)
    arrived_at: datetime
    duration_ms: float

    @property
    def graph_code(self) -> str | None:
        """Graph's own code; None where `code` is our word for how the call ended."""
        return self.code if self.status is not None else None


def read_reply(
    status: int,
    headers: Headers,
    content: bytes | bytearray,
    *,
    arrived_at: datetime,
    duration_ms: float,
    paged: bool = False,
    whole: bool = True,
) -> Reply:
    """
    Return the reply that a status line, its headers and as much body as came amount to.

    `whole` is whether it came to its own end: what broke off may have had a body. With `paged` a
    page of a calendar is expected.
    """
    answer = _object(content)
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    return Reply(
        status=status,
        code=(_text(error.get("code")) or "")[:MAX_CODE] or None,
        message=_text(error.get("message")),
        retry_after_s=_retry_after_s(headers, arrived_at),
        request_id=_request_id(headers.get("request-id")) or _inner_request_id(error),
        claims=_claims(headers) if status == 401 else None,  # noqa: PLR2004  # unauthorized
        has_body=bool(content) or not whole or headers.get("Content-Length", "0") != "0",
        is_json=bool(answer),
        event=_event(answer),
        page=read_page(answer) if paged else None,
        arrived_at=arrived_at,
        duration_ms=duration_ms,
    )


def _retry_after_s(headers: Headers, arrived_at: datetime) -> float | None:
    if "Retry-After" not in headers:  # as with nearly every reply
        return None
    asked = ", ".join(headers.getall("Retry-After"))  # of several, the longest counts
    return retry_after_s(asked, now=arrived_at, date=headers.get("Date"))


def _object(content: bytes | bytearray) -> dict[str, Any]:
    if not content:  # as with nearly every 202
        return {}
    try:
        answer = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))  # some write a byte order mark
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _request_id(value: object) -> str | None:
    """Return an id that may be logged: a header can carry any byte."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


def _inner_request_id(error: dict[str, Any]) -> str | None:
    found = (_request_id(inner.get("request-id")) for inner in _inner_errors(error))
    return next(filter(None, found), None)


def _inner_errors(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the errors inside an error; Graph spells the key in two ways and nests them."""
    inner: object = error
    while isinstance(inner, dict):
        yield inner
        inner = inner.get("innerError", inner.get("innererror"))


def _claims(headers: Headers) -> str | None:
    """Return the claims of a challenge, decoded (Entra: claims challenges)."""
    match = _CLAIMS.search(", ".join(headers.getall("WWW-Authenticate", [])))
    if match is None:
        return None
    encoded = match[1].translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    wanted = _object(decoded)
    # What the authority's library is given must have the shape it expects (Entra: claims request).
    if not isinstance(wanted.get("access_token"), dict) or len(decoded) > MAX_CLAIMS:
        return None
    return decoded.decode()


def _event(answer: dict[str, Any]) -> Event | None:
    """
    Return the event of a look; None unless the response, for which one looks, is spoken of.

    A response that is null is none, as on a page of a calendar.
    """
    status = answer.get("responseStatus", _UNSAID)
    if "error" in answer or not isinstance(status, dict | None):
        return None
    response = (status or {}).get("response") or "none"
    if not isinstance(response, str):
        return None
    return Event(
        response=response,
        is_organizer=answer.get("isOrganizer") is True,
        is_cancelled=answer.get("isCancelled") is True,
        response_requested=answer.get("responseRequested") is not False,  # Graph: default true
        proposals_allowed=answer.get("allowNewTimeProposals") is not False,  # the same
        answered_at=_answered_at((status or {}).get("time")),
        showing=read_showing(answer),
    )


def _answered_at(time: object) -> datetime | None:
    """Return when an answer was given; Graph writes the year 1 where there was none."""
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or moment.year <= 1:
        return None
    return moment
