"""What an error of azure-identity means."""

import logging
from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError

from worker.refusal import Refusal, judge_refusal


def answered(status: int, text: str = "", **headers: str) -> ClientAuthenticationError:
    """Return the error that azure-identity makes of such a reply."""
    reply = SimpleNamespace(status_code=status, reason="", headers=headers)
    return ClientAuthenticationError(message=text, response=reply)


def entra(code: str, oauth: str = "invalid_client") -> str:
    """Return azure-identity's text for a refusal of Entra ID."""
    return f"Microsoft Entra ID error '({oauth}) {code}: Long text. Trace ID: 4711'"


@pytest.mark.parametrize(
    ("error", "code", "lasting"),
    [
        (answered(401, entra("AADSTS7000215")), "AADSTS7000215", True),
        (answered(400, entra("AADSTS90002")), "AADSTS90002", True),
        (answered(400, entra("AADSTS99999")), "AADSTS99999", True),
        (answered(400, entra("AADSTS50196")), "AADSTS50196", False),
        (answered(400, entra("AADSTS90033")), "AADSTS90033", False),
        (answered(400, entra("busy", "temporarily_unavailable")), "temporarily_unavailable", False),
        (answered(400, entra("No.", "invalid_request")), "invalid_request", True),
        (answered(404), "http_404", True),
        (answered(429), "http_429", False),
        (answered(503), "http_503", False),
        (
            HttpResponseError("", response=SimpleNamespace(status_code=500, reason="")),
            "http_500",
            False,
        ),
        (ServiceRequestError("no route"), "unreachable", False),
        (ServiceResponseError("cut"), "unreachable", False),
        (TimeoutError(), "unreachable", False),
        (CredentialUnavailableError("no response from the IMDS endpoint"), "unreachable", False),
        (ClientAuthenticationError("Unexpected response"), "unexpected_reply", False),
        (DecodeError("no JSON"), "DecodeError", True),
        (FileNotFoundError("/var/run/token"), "unreadable_file", True),
        (ValueError("?"), "ValueError", True),
    ],
    ids=str,
)
def test_judgement(error: Exception, code: str, *, lasting: bool) -> None:
    """A refusal lasts when only a person can change it, and goes by its code otherwise."""
    refusal = judge_refusal(error)
    level = logging.CRITICAL if lasting else logging.WARNING
    assert (refusal.error_code, refusal.lasting, refusal.level) == (code, lasting, level)


def test_a_reply_inside() -> None:
    """Managed identity wraps the error that holds the reply; its status is found all the same."""
    wrapped = CredentialUnavailableError("No identity has been assigned to this resource.")
    wrapped.__cause__ = answered(400)
    assert (judge_refusal(wrapped).error_code, judge_refusal(wrapped).lasting) == ("http_400", True)


def test_nothing_of_the_text() -> None:
    """Of the authority's text only the code is kept."""
    refusal = judge_refusal(answered(401, entra("AADSTS7000215")))
    assert refusal == Refusal(
        "AADSTS7000215",
        "set AZURE_CLIENT_SECRET to the secret's value, not to its id",
        lasting=True,
    )


def test_retry_after() -> None:
    """The authority's wish to be left alone is kept as it came."""
    headers = {"Retry-After": "30"}
    assert judge_refusal(answered(429, **headers)).retry_after == "30"
