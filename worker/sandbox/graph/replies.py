"""
What the simulated Graph can say: the reply as a value, and each refusal it knows.

Codes and texts are those that Graph is known to use; where nobody has published a text, the one
here is ours and says so. When a refusal applies is decided in `calendar.py`, `throttle.py`,
`tokens.py` and `body.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, and either an error (`code`, `message`) or `content` as it goes on the wire."""

    status: int
    code: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    content_type: str = JSON

    def about(self, user: str) -> "Reply":
        """Put the user's name where the message wants one."""
        return replace(self, message=self.message.replace("{user}", user))


class RefusedError(Exception):
    """Carries the reply that ends a request which cannot go on."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.code)
        self.reply = reply


def bad_request(message: str, code: str = "BadRequest") -> Reply:
    """Refuse what the request says."""
    return Reply(HTTPStatus.BAD_REQUEST, code, message)


def throttled(message: str, retry_after: str) -> Reply:
    """Refuse with 429; an empty `retry_after` leaves the header out."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Reply(HTTPStatus.TOO_MANY_REQUESTS, "ApplicationThrottled", message, headers)


def unknown_segment(segment: str) -> Reply:
    """Refuse a path that leads nowhere, as a `/` inside an id does."""
    text = f"Resource not found for the segment '{segment}'."
    return bad_request(text, "RequestBroker--ParseUri")


def unknown_parameter(name: str, action: str) -> Reply:
    """Refuse a key of the body that the action does not know."""
    return bad_request(
        f"The parameter '{name}' in the request payload is not a valid parameter"
        f" for the operation '{action}'."
    )


def unknown_property(name: str) -> Reply:
    """Refuse a `$select` of something that an event does not have."""
    text = f"Could not find a property named '{name}' on type 'microsoft.graph.event'."
    return bad_request(text, "RequestBroker--ParseUri")


def wrong_value(name: str, value: str) -> Reply:
    """Refuse a moment in the query that cannot be read."""
    text = f"The value '{value}' of parameter '{name}' is invalid."
    return bad_request(text, "ErrorInvalidParameter")


def _cannot_complete(why: str) -> Reply:
    return bad_request(f"Your request can't be completed. {why}", "ErrorInvalidRequest")


ACCEPTED: Final = Reply(HTTPStatus.ACCEPTED)

ORGANIZER: Final = _cannot_complete(
    "You can't respond to this meeting because you're the meeting organizer."
)
NOT_REQUESTED: Final = _cannot_complete("The meeting organizer hasn't requested a response.")
NO_PROPOSALS: Final = _cannot_complete(  # Graph documents the 400 only; code and text are ours
    "This meeting doesn't allow new time proposals."
)
REFUSED: Final = _cannot_complete("The sandbox refuses this event.")  # ours
COMMENT_UNSENT: Final = bad_request(
    "'SendResponse' must be true when 'Comment' is not null", "ErrorInvalidParameter"
)
PROPOSAL_UNSENT: Final = bad_request(  # Graph documents the 400 and the code; the text is ours
    "'SendResponse' must be true when 'ProposedNewTime' is not null", "ErrorInvalidParameter"
)
NO_WINDOW: Final = bad_request(
    "This request requires a time window specified by the query string parameters StartDateTime"
    " and EndDateTime.",
    "ErrorInvalidParameter",
)
LONG_WINDOW: Final = _cannot_complete(
    "The range between the start and end dates is greater than the allowed range. Maximum number"
    " of days: 1825"
)
TURNED_WINDOW: Final = bad_request(  # the code and the text of EWS; those of Graph are not known
    "EndDate is earlier than StartDate", "ErrorCalendarEndDateIsEarlierThanStartDate"
)
OTHER_ZONE: Final = bad_request(  # Graph would convert; that the sandbox knows UTC only is ours
    "The sandbox knows the time zone UTC only.", "TimeZoneNotSupportedException"
)
MALFORMED_ID: Final = bad_request("Id is malformed.", "ErrorInvalidIdMalformed")
NOT_JSON: Final = bad_request(
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload"
    " is of valid JSON format."
)
NOT_ME: Final = bad_request("/me request is only valid with delegated authentication flow.")
WRONG_METHOD: Final = Reply(
    HTTPStatus.METHOD_NOT_ALLOWED,
    "Request_BadRequest",
    "Specified HTTP method is not allowed for the request target.",
)
NOT_FOUND: Final = Reply(
    HTTPStatus.NOT_FOUND,
    "ErrorItemNotFound",
    "The specified object was not found in the store.",
)
NO_MAILBOX: Final = Reply(
    HTTPStatus.NOT_FOUND,
    "MailboxNotEnabledForRESTAPI",
    "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
)
UNDISCOVERED: Final = Reply(
    HTTPStatus.NOT_FOUND, "ResourceNotFound", "Resource could not be discovered."
)
NO_USER: Final = Reply(
    HTTPStatus.NOT_FOUND, "ErrorInvalidUser", "The requested user '{user}' is invalid."
)
NO_DIRECTORY_ENTRY: Final = Reply(
    HTTPStatus.NOT_FOUND,
    "Request_ResourceNotFound",
    "Resource '{user}' does not exist or one of its queried reference-property objects are not"
    " present.",
)
OUT_OF_SCOPE: Final = Reply(
    HTTPStatus.FORBIDDEN,
    "ErrorAccessDenied",
    "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy"
    " settings.",
)
ACCESS_DENIED: Final = Reply(
    HTTPStatus.FORBIDDEN,
    "ErrorAccessDenied",
    "Access is denied. Check credentials and try again.",
)
OVER_CONCURRENCY: Final = "Application is over its MailboxConcurrency limit."
OVER_QUOTA: Final = "Application is over its RequestCount limit."  # ours
