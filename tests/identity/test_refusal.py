"""What an error of azure-identity means."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
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

from worker.identity import aadsts
from worker.identity.refusal import Refusal, judge_refusal

NOW = datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC)

NAMED = {
    "AZURE_CLIENT_SECRET": [7000215, 7000222, 7000232],
    "AZURE_* variables": [70002, 7000216, 7000218, 90014, 900144, 9002313],
    "public client": [700025],
    "not the one registered": [50012, 700027],
    "chain": [50017],
    "subject": [70021, 70025, 700030, 700213, 7002137, 7002138],
    "clock": [50012, 50013, 500133, 700024],
    "AZURE_FEDERATED_TOKEN_FILE": [50013, 50027, 50048, 50120, 500131, 700021, 700024, 7000110],
    "signature": [50006, 900384],
    "issuer": [50013, 70021, 70025, 700211, 700223, 700236, 700238, 501661, 7000272],
    "audience": [70021, 700023, 700212, 7002121, 700227],
    "federated": [70021, 70025, 70052, 700211, 700212, 700213, 700222, 700229, 700236],
    "administrator": [65001, 90094, 90099, 500014, 650052, 700223, 7000229, 1000031, 5000225],
    "service principal in this tenant": [7000229],
    "consent": [65001, 65005, 90008, 90094, 90099, 650056, 650057, 7000229],
    "AZURE_TENANT_ID": [
        *[50020, 50034, 50059, 50128, 50194, 51004, 90002, 90019, 90072, 90130, 650059],
        *[700011, 700016, 700023, 900021, 900023, 7000229, 9001023, 5000224],
    ],
    "AZURE_CLIENT_ID": [65002, 90112, 700011, 700016, 700021, 7000113, 7000114],
    "BULKRSVP_CLOUD": [
        *[28002, 50001, 50049, 70011, 90002, 90038, 500011, 700022, 700023, 900382, 900432],
        1002012,
    ],
    "disabled": [50001, 70001, 500014, 7000112],
    "subscribed": [650052],
    "permission": [65001, 65005, 650056],
    "role": [50105, 501051],
    "Conditional Access": [50005, 50131, 53000, 53001, 53002, 53003, 530002, 530003],
    "security policy": [530032, 530035],
    "multifactor": [50076, 50079, 53004],
    "risk": [53011, 530034],
    "tenant restrictions": [50002, 500021, 500022],
    "support": [50000, 90036, 5000224],
    "waits": [50033, 50196, 90006, 90012, 90024, 90033, 90055, 90090],
}
"""What an administrator has to be told, and the numbers of Entra ID that come to that."""


def judged(error: Exception) -> Refusal:
    """Return what an error means that comes now."""
    return judge_refusal(error, now=NOW)


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
def test_a_refusal_lasts_when_only_a_person_can_change_it(
    error: Exception, code: str, *, lasting: bool
) -> None:
    """A refusal lasts when only a person can change it, and goes by its code otherwise."""
    refusal = judged(error)
    level = logging.CRITICAL if lasting else logging.WARNING
    assert (refusal.error_code, refusal.lasting, refusal.level) == (code, lasting, level)


def test_the_status_inside_a_wrapped_error_is_found() -> None:
    """Managed identity wraps the error that holds the reply; its status is found all the same."""
    wrapped = CredentialUnavailableError("No identity has been assigned to this resource.")
    wrapped.__cause__ = answered(400)
    assert (judged(wrapped).error_code, judged(wrapped).lasting) == ("http_400", True)


def test_only_the_code_of_the_authoritys_text_is_kept() -> None:
    """Of the authority's text only the code is kept."""
    refusal = judged(answered(401, entra("AADSTS7000215")))
    assert refusal == Refusal(
        "AADSTS7000215",
        "set AZURE_CLIENT_SECRET to the secret's value, not to its id",
        lasting=True,
    )


def test_the_wait_that_the_authority_asks_for_is_a_number() -> None:
    """The authority may ask in all shapes; from the reading on it is a number of seconds."""
    date = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
    asked = [judged(answered(429, **{"Retry-After": each})) for each in ("30", date, "soon")]
    assert [30.0, 30.0, None] == [refusal.retry_after_s for refusal in asked]


@pytest.mark.parametrize(
    ("number", "named"), [(number, named) for named in NAMED for number in NAMED[named]]
)
def test_hints_name_what_is_to_be_changed(number: int, named: str) -> None:
    """The hint for a number of Entra ID names what is to be changed."""
    hint = judged(answered(401, entra(f"AADSTS{number}"))).hint
    assert named in hint
    assert "look up" not in hint


def test_each_number_has_one_hint() -> None:
    """No number stands twice in the table, where its second hint would hide the first."""
    numbers = [number for group in aadsts._HINTS for number in group]
    assert sorted(set(numbers)) == sorted(numbers)


def test_of_two_numbers_the_more_telling_one_counts() -> None:
    """Of two numbers the one counts that says more."""
    text = entra("AADSTS70002: Error validating credentials. AADSTS50012")
    assert "AADSTS50012" == judged(answered(401, text)).error_code


@pytest.mark.parametrize(
    ("number", "oauth", "lasting"),
    [
        (7000222, "temporarily_unavailable", True),
        (90033, "invalid_client", False),
        (99999, "temporarily_unavailable", False),
        (99999, "invalid_client", True),
    ],
)
def test_the_number_wins_over_oauths_name(number: int, oauth: str, *, lasting: bool) -> None:
    """The number of Entra ID wins over OAuth's name for it; only an unknown one says nothing."""
    refusal = judged(answered(400, entra(f"AADSTS{number}", oauth)))
    assert (f"AADSTS{number}", lasting) == (refusal.error_code, refusal.lasting)
