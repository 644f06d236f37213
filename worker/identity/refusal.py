"""
What it means when no token is given: one table from an error of azure-identity to a `Refusal`.

Of the error only its status and its code are used. Its text names tenants, applications and trace
ids, and stays out of the log.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError

from worker.graph.codes import NO_ORGANIZATION
from worker.graph.retry_after import retry_after_s
from worker.identity.aadsts import HINTS, NOT_SPECIFIC, TRANSIENT

_OURS = range(400, 500)
_ASK_AGAIN = frozenset({408, 429})
_AADSTS = re.compile(r"AADSTS\d+")
_OAUTH = re.compile(r"error '\(([a-z_]+)\)")
_BY_STATUS = "the credential was refused: check the AZURE_* variables, then look up the code"
_UNREACHABLE = "cannot reach the authority: check network, proxy, SSL_CERT_FILE and BULKRSVP_CLOUD"
_WAIT = "the authority cannot answer now: the worker waits and asks again"

_REFUSED_BY_GRAPH = (
    "Graph refuses new tokens: check BULKRSVP_CLOUD, and that the application is enabled"
)
_CHALLENGED = (
    "Conditional Access wants more than a new token can claim, for example another location: ask"
    " whoever keeps its policies for workload identities"
)
_NO_EXCHANGE = (
    "Graph finds no organization with Exchange Online for this tenant: check AZURE_TENANT_ID, and"
    " that the tenant has licences for Exchange Online"
)

_UNEXPECTED = "unexpected_reply"
_FOREIGN = "something else than Entra ID answered: check the proxy and AZURE_AUTHORITY_HOST"

MISSED = (AzureError, OSError, ValueError)
"""
All that azure-identity raises when it has no token.

`OSError` and `TimeoutError` come from a token file and from our own limit, `ValueError` from a
file or an answer that is not what it should be.
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why there is no token.

    `lasting`: only a person can change it. `retry_after_s`: the wait that the authority asks for,
    None if it asks for none. `revocable`: it is Graph that refused the token, to some mailboxes;
    another may take it yet.
    """

    error_code: str
    hint: str
    lasting: bool
    retry_after_s: float | None = None
    revocable: bool = False

    @property
    def level(self) -> int:
        """How it is logged: what lasts needs an operator now."""
        return logging.CRITICAL if self.lasting else logging.WARNING

    @classmethod
    def by_graph(cls, error_code: str, *, challenged: bool = False) -> Self:
        """
        Return the refusal of a new token by Graph itself.

        `challenged` is whether it named claims for the next one (Entra: claims challenges).
        """
        if error_code.casefold() == NO_ORGANIZATION:
            hint = _NO_EXCHANGE
        else:
            hint = _CHALLENGED if challenged else _REFUSED_BY_GRAPH
        return cls(error_code, hint, lasting=True, revocable=True)

    @classmethod
    def same_token(cls) -> Self:
        """Return the refusal where a new token was asked for, and the refused one came back."""
        hint = "managed identity keeps a token for up to a day; restart the host or wait"
        return cls("token_not_renewed", hint, lasting=True, revocable=True)

    @classmethod
    def unexpected(cls, error: Exception) -> Self:
        """Return the refusal where the authority's answer broke the code that reads it."""
        return cls(f"{_UNEXPECTED} ({type(error).__name__})", _FOREIGN, lasting=False)

    @property
    def is_unexpected(self) -> bool:
        """Whether the answer could not be read at all."""
        return self.error_code.startswith(_UNEXPECTED)

    @classmethod
    def closed(cls) -> Self:
        """Return the refusal of a process that is stopping: the authority was not asked."""
        return cls("closed", "the worker is stopping", lasting=False)


def judge_refusal(error: Exception, *, now: datetime) -> Refusal:
    """Return what an error out of `MISSED` means, which came at `now` (aware)."""
    if isinstance(error, TimeoutError):
        return Refusal("unreachable", _UNREACHABLE, lasting=False)
    if isinstance(error, OSError):
        hint = "cannot read the token file: check AZURE_FEDERATED_TOKEN_FILE"
        return Refusal("unreadable_file", hint, lasting=True)
    answered = _answered(error)
    if answered is None:
        return _without_answer(error)
    return _by_answer(answered, answered.status_code or 0, now)


def _answered(error: BaseException | None) -> HttpResponseError | None:
    """Find the error that still holds the authority's reply; managed identity wraps it."""
    while error is not None:
        if isinstance(error, HttpResponseError) and error.response is not None:
            return error
        error = error.__cause__
    return None


def _without_answer(error: Exception) -> Refusal:
    if isinstance(error, CredentialUnavailableError):
        hint = "no managed identity answers on this machine: is one assigned to it?"
        return Refusal("unreachable", hint, lasting=False)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return Refusal("unreachable", _UNREACHABLE, lasting=False)
    if isinstance(error, ClientAuthenticationError):
        return Refusal(_UNEXPECTED, _FOREIGN, lasting=False)
    return Refusal(type(error).__name__, _BY_STATUS, lasting=True)


def _by_answer(error: HttpResponseError, status: int, now: datetime) -> Refusal:
    text = str(error.message)
    oauth = _OAUTH.search(text)
    name = _aadsts(text) or (oauth[1] if oauth else f"http_{status}")
    lasting = status in _OURS and status not in _ASK_AGAIN and not _passes(name, oauth)
    hint = HINTS.get(name, _BY_STATUS if lasting else _WAIT)
    headers = getattr(error.response, "headers", {})
    return Refusal(name, hint, lasting, retry_after_s(headers.get("Retry-After"), now=now))


def _aadsts(text: str) -> str | None:
    """Return the most specific code, if there is one."""
    codes: list[str] = _AADSTS.findall(text)
    return next((code for code in codes if code != NOT_SPECIFIC), codes[0] if codes else None)


def _passes(name: str, oauth: re.Match[str] | None) -> bool:
    """Whether a refusal passes by itself; OAuth's name counts where the code is not known."""
    if name in HINTS or name in TRANSIENT:
        return name in TRANSIENT
    return oauth is not None and oauth[1] == "temporarily_unavailable"
