"""
What it means when no token is given: one table from an error of azure-identity to a `Refusal`.

Of the error only its status and its code are used. Its text names tenants, applications and trace
ids, and stays out of the log.
"""

import logging
import re
from dataclasses import dataclass
from typing import Self

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError

from worker.codes import NO_ORGANIZATION

_HINTS = {
    "AADSTS7000215": "set AZURE_CLIENT_SECRET to the secret's value, not to its id",
    "AADSTS7000222": "the client secret has expired: make a new one and set AZURE_CLIENT_SECRET",
    "AADSTS700027": "the certificate is not the one registered with the application, or expired",
    "AADSTS50012": "the certificate is not the one registered with the application, or expired",
    "AADSTS700030": "the certificate's subject is not allowed for this application",
    "AADSTS700016": "no such application in this tenant: check AZURE_CLIENT_ID and AZURE_TENANT_ID",
    "AADSTS700011": "no such application in this tenant: check AZURE_CLIENT_ID and AZURE_TENANT_ID",
    "AADSTS7000112": "the application is disabled: enable it in Entra ID",
    "AADSTS70001": "the application is disabled: enable it in Entra ID",
    "AADSTS90002": "no such tenant: check AZURE_TENANT_ID and BULKRSVP_CLOUD",
    "AADSTS90038": "the tenant belongs to another national cloud: check BULKRSVP_CLOUD",
    "AADSTS900382": "the tenant belongs to another national cloud: check BULKRSVP_CLOUD",
    "AADSTS53003": "Conditional Access blocks the application: ask whoever keeps its policies",
    "AADSTS530032": "a security policy blocks the application: ask whoever keeps the policies",
    "AADSTS500011": "this tenant does not know Graph under that address: check BULKRSVP_CLOUD",
    "AADSTS65001": "no administrator has consented to the application's permissions",
    "AADSTS650056": "the application lacks a permission: add Calendars.ReadWrite and consent",
    "AADSTS70011": "the scope is wrong for this cloud: check BULKRSVP_CLOUD",
    "AADSTS700022": "the scope is wrong for this cloud: check BULKRSVP_CLOUD",
    "AADSTS28002": "the scope is wrong for this cloud: check BULKRSVP_CLOUD",
    "AADSTS7000218": "no secret or certificate arrived: check the AZURE_* variables",
    "AADSTS900144": "a part of the credential is missing: check the AZURE_* variables",
    "AADSTS70002": "the credential is wrong: check the AZURE_* variables",
    "AADSTS50196": "too many requests for the same token: the worker waits",
}

_TRANSIENT = frozenset(
    f"AADSTS{number}" for number in (50196, 90006, 90012, 90024, 90033, 90055, 90090)
) | {"temporarily_unavailable"}
"""Refusals that pass by themselves, whatever status they come with."""

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

    `lasting`: only a person can change it. `retry_after`: that header of the authority's reply.
    """

    error_code: str
    hint: str
    lasting: bool
    retry_after: str | None = None

    @property
    def level(self) -> int:
        """How it is logged: what lasts needs an operator now."""
        return logging.CRITICAL if self.lasting else logging.WARNING

    @classmethod
    def by_graph(cls, error_code: str, *, challenged: bool = False) -> Self:
        """
        Say that Graph itself refused a token that was new.

        `challenged` is whether it said what the next one should claim (Entra: claims challenges).
        """
        if error_code.casefold() == NO_ORGANIZATION:
            hint = _NO_EXCHANGE
        else:
            hint = _CHALLENGED if challenged else _REFUSED_BY_GRAPH
        return cls(error_code, hint, lasting=True)

    @classmethod
    def same_token(cls) -> Self:
        """Say that a new token was asked for, and the refused one came back."""
        hint = "managed identity keeps a token for up to a day; restart the host or wait"
        return cls("token_not_renewed", hint, lasting=True)

    @classmethod
    def closed(cls) -> Self:
        """Say that nobody has asked the authority: the process is stopping."""
        return cls("closed", "the worker is stopping", lasting=False)


def judge_refusal(error: Exception) -> Refusal:
    """Return what an error out of `MISSED` means."""
    if isinstance(error, TimeoutError):
        return Refusal("unreachable", _UNREACHABLE, lasting=False)
    if isinstance(error, OSError):
        hint = "cannot read the token file: check AZURE_FEDERATED_TOKEN_FILE"
        return Refusal("unreadable_file", hint, lasting=True)
    answered = _answered(error)
    if answered is None:
        return _without_answer(error)
    return _by_answer(answered, answered.status_code or 0)


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
        hint = "something else than Entra ID answered: check the proxy and AZURE_AUTHORITY_HOST"
        return Refusal("unexpected_reply", hint, lasting=False)
    return Refusal(type(error).__name__, _BY_STATUS, lasting=True)


def _by_answer(error: HttpResponseError, status: int) -> Refusal:
    text = str(error.message)
    code, oauth = _AADSTS.search(text), _OAUTH.search(text)
    name = code[0] if code else oauth[1] if oauth else f"http_{status}"
    lasting = status in _OURS and status not in _ASK_AGAIN and name not in _TRANSIENT
    hint = _HINTS.get(name, _BY_STATUS if lasting else _WAIT)
    headers = getattr(error.response, "headers", {})
    return Refusal(name, hint, lasting, headers.get("Retry-After"))
