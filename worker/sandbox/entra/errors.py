"""
What the simulated Entra ID says when it issues no token: AADSTS numbers and their shape.

Numbers, OAuth names and statuses are Microsoft's (Entra ID: error codes); most texts are ours.
"""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

_STATUS_BY_NAME: Final = {
    "invalid_client": HTTPStatus.UNAUTHORIZED,
    "temporarily_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class EntraError:
    """An AADSTS number, its OAuth name, its text, and the status it comes with."""

    number: int
    name: str
    text: str
    status: int

    def body(self, at: datetime, trace_id: str, correlation_id: str) -> dict[str, Any]:
        """Return the body in Entra ID's shape."""
        stamp = at.strftime("%Y-%m-%d %H:%M:%SZ")
        description = (
            f"AADSTS{self.number}: {self.text} Trace ID: {trace_id}"
            f" Correlation ID: {correlation_id} Timestamp: {stamp}"
        )
        return {
            "error": self.name,
            "error_description": description,
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }


def _error(number: int, name: str, text: str) -> EntraError:
    return EntraError(number, name, text, _STATUS_BY_NAME.get(name, HTTPStatus.BAD_REQUEST))


NO_PARAMETER: Final = _error(
    900144, "invalid_request", "The request body lacks 'client_id', 'scope' or 'grant_type'."
)
WRONG_GRANT: Final = _error(
    70003, "unsupported_grant_type", "The app asked for a grant type that is not supported."
)
WRONG_SCOPE: Final = _error(
    70011, "invalid_scope", "The scope of client credentials must end in '/.default'."
)
UNKNOWN_RESOURCE: Final = _error(
    500011, "invalid_resource", "The resource of the scope was not found in the tenant."
)
UNKNOWN_TENANT: Final = _error(90002, "invalid_request", "The tenant was not found.")
UNKNOWN_APP: Final = _error(
    700016, "unauthorized_client", "The application was not found in the tenant."
)
NO_CREDENTIAL: Final = _error(
    7000218, "invalid_client", "The request has neither 'client_assertion' nor 'client_secret'."
)
WRONG_SECRET: Final = _error(
    7000215,
    "invalid_client",
    "Invalid client secret provided. Ensure the secret being sent in the request is the client"
    " secret value, not the client secret ID.",
)
WRONG_ASSERTION: Final = _error(50027, "invalid_client", "The assertion is no JSON web token.")
UNAVAILABLE: Final = _error(90033, "temporarily_unavailable", "A transient error has occurred.")

_MORE: Final = (
    _error(7000222, "invalid_client", "The provided client secret keys are expired."),
    _error(700027, "invalid_client", "The signature of the assertion is not valid."),
    _error(700024, "invalid_client", "Client assertion is not within its valid time range."),
    _error(70021, "invalid_client", "No federated identity record matches the assertion."),
    _error(700211, "invalid_client", "No federated identity record has the assertion's issuer."),
    _error(7000229, "invalid_client", "The app has no service principal in the tenant."),
    _error(7000112, "unauthorized_client", "The application is disabled."),
    _error(53003, "access_denied", "Access has been blocked by Conditional Access policies."),
    _error(90038, "invalid_request", "The tenant belongs to another national cloud."),
    _error(50196, "invalid_grant", "The app asks for the same token in a loop."),
    _error(90055, "temporarily_unavailable", "The tenant is throttled."),
)

_KNOWN: Final = {
    error.number: error
    for error in (
        NO_PARAMETER,
        WRONG_GRANT,
        WRONG_SCOPE,
        UNKNOWN_RESOURCE,
        UNKNOWN_TENANT,
        UNKNOWN_APP,
        NO_CREDENTIAL,
        WRONG_SECRET,
        WRONG_ASSERTION,
        UNAVAILABLE,
        *_MORE,
    )
}


def entra_error(number: int) -> EntraError:
    """Return the error with this AADSTS number; one that is not listed is `invalid_request`."""
    return _KNOWN.get(number) or _error(number, "invalid_request", "The request was refused.")
