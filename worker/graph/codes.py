"""
Graph's error codes and their meaning for a response: a table, without decisions.

Letter case never counts: Graph spells `ResourceNotFound` in two ways. What is not listed here is
judged by its status. Codes come from public reports and from Exchange's own list (EWS:
ResponseCode); `worker/graph/verdict.py` decides what follows from them.
"""

from typing import Final

from jobs.outcome import Reason


def _folded(*codes: str) -> frozenset[str]:
    return frozenset(code.casefold() for code in codes)


NO_WORD: Final = _folded("UnknownError")
"""Graph's codes when the server behind it answered nothing that Graph could read."""

GONE: Final = _folded("ErrorItemNotFound", "ErrorCalendarOccurrenceIsDeletedFromRecurrence")
"""The only proof that an event is gone; every other 404 may be about something else."""

AWAY: Final = _folded(
    "ErrorMailboxMoveInProgress",
    "ErrorMailboxStoreUnavailable",
    "ErrorMailboxFailover",
    "ErrorServerBusy",
    "MailboxInfoStale",
    "ResourceUnhealthy",
)
"""The mailbox cannot be used now, for minutes or for hours; nothing was carried out."""

QUOTA: Final = _folded("ErrorExceededMessageLimit")
"""The mailbox may send no more for now; nothing was carried out."""

DOUBTFUL: Final = _folded(
    "ConcurrentItemSave",
    "ErrorConnectionFailed",
    "ErrorInternalServerError",
    "ErrorInternalServerTransientError",
    "ErrorInvalidRecipients",
    "ErrorIrresolvableConflict",
    "ErrorItemSave",
    "ErrorStaleObject",
    "ErrorTimeoutExpired",
    "IrresolvableConflict",
)
"""It may have been done all the same, or may pass: conflicts, faults inside, mail not delivered."""

TOKEN: Final = _folded(
    "CompactToken",
    "ExpiredAuthenticationToken",
    "InvalidAuthenticationToken",
    "OrganizationFromTenantGuidNotFound",
    "TokenNotFound",
)
"""Of a 401: they speak of the token, or of its tenant, and not of a mailbox."""

NO_ORGANIZATION: Final = "OrganizationFromTenantGuidNotFound".casefold()

SHARED: Final = _folded("ErrorInvalidRequest")
"""Several refusals have these codes, and only a text in English tells them apart."""

SHARED_BY_PROPOSALS: Final = _folded("ErrorInvalidRequest", "ErrorInvalidParameter")
"""The same for proposals of a new time (Graph documents that 400 without its code)."""

_CODES: Final = {
    Reason.NOT_FOUND: [
        "ErrorItemNotFound",
        "ErrorCalendarOccurrenceIsDeletedFromRecurrence",
        "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
    ],
    Reason.MAILBOX_UNAVAILABLE: [
        "ErrorAccountDisabled",
        "ErrorInvalidLicense",
        "ErrorMailboxConfiguration",
        "ErrorMissingEmailAddress",
        "ErrorNonExistentMailbox",
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotFound",
        "MailboxNotHostedInExchangeOnline",
        "MailboxNotSupportedForRESTAPI",
        "ResourceNotFound",
    ],
    Reason.USER_NOT_FOUND: ["ErrorInvalidUser", "Request_ResourceNotFound"],
    Reason.TENANT_UNAVAILABLE: ["OrganizationFromTenantGuidNotFound", "UnknownTenantId"],
    Reason.CALENDAR_NOT_FOUND: [
        "ErrorCalendarFolderIsInvalidForCalendarView",
        "ErrorFolderNotFound",
        "ErrorNonExistentFolder",
        "ErrorParentFolderNotFound",
    ],
    Reason.OTHER_MAILBOX: ["ErrorInvalidMailboxItemId"],
    Reason.ACCESS_DENIED: [
        "AccessDenied",
        "AuthOMMissingRequiredPermissions",
        "Authorization_RequestDenied",
        "ErrorAccessDenied",
        "ErrorImpersonateUserDenied",
    ],
    Reason.SENDING_DENIED: [
        "ErrorAccountSuspend",
        "ErrorAccountSuspendShowTierUpgrade",
        "ErrorMessageSubmissionBlocked",
        "ErrorSendAsDenied",
    ],
    Reason.QUOTA_EXCEEDED: ["ErrorQuotaExceeded", "ErrorSubmissionQuotaExceeded"],
    Reason.MALFORMED_ID: [
        "ErrorInvalidId",
        "ErrorInvalidIdEmpty",
        "ErrorInvalidIdMalformed",
        "ErrorInvalidIdMalformedEwsLegacyIdFormat",
        "ErrorInvalidIdMonikerTooLong",
        "ErrorInvalidIdTooLong",
        "ErrorInvalidIdXml",
        "RequestBroker--ParseUri",
    ],
    Reason.ORGANIZER: [
        "ErrorCalendarIsOrganizerForAccept",
        "ErrorCalendarIsOrganizerForDecline",
        "ErrorCalendarIsOrganizerForRemove",
        "ErrorCalendarIsOrganizerForTentative",
    ],
    Reason.CANCELLED: [
        "ErrorCalendarIsCancelledForAccept",
        "ErrorCalendarIsCancelledForDecline",
        "ErrorCalendarIsCancelledForRemove",
        "ErrorCalendarIsCancelledForTentative",
    ],
}

REASONS: Final = {code.casefold(): reason for reason, codes in _CODES.items() for code in codes}
"""The reason that a code names, by the code in lower case."""

ANYWHERE: Final = frozenset(
    {Reason.MAILBOX_UNAVAILABLE, Reason.USER_NOT_FOUND, Reason.TENANT_UNAVAILABLE}
)
"""Reasons that hold whatever the status: there was no mailbox to carry anything out."""

ELSEWHERE: Final = ANYWHERE | {Reason.CALENDAR_NOT_FOUND}
"""Reasons about what is around an event, which prove nothing about the event itself."""
