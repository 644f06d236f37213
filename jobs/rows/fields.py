"""
The fields that every row has, and the rules that they keep by themselves and with each other.

`jobs/rows/response.py` and `jobs/rows/selection.py` are made of them. What has passed these checks
can stand in a path of Graph: ids cannot leave their segment. Knows no file and no path.
"""

import re
from typing import Annotated, Any, Final, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator

from jobs.rows.hints.addresses import MAX_LENGTH, OBJECT_ID, is_user, why_no_user
from jobs.rows.hints.ids import ID, why_no_id, why_wrong_calendar, why_wrong_event, why_wrong_group
from jobs.rows.hints.unwritten import why_unwritten

__all__ = [
    "MAX_COMMENT_BYTES",
    "TORN",
    "WRITTEN",
    "Asked",
    "Calendar",
    "CalendarGroup",
    "Comment",
    "EventId",
    "Frozen",
    "Id",
    "User",
    "torn",
]

MAX_COMMENT_BYTES = 8192

WRITTEN: Final = {"written": True}
"""
The context of a validation of what a person or a program of theirs has written.

Without it only those rules count that keep a request where it belongs: what has been queued is not
refused by rules that came later.
"""

_USER = re.compile(rf"[^@$][^@]*@[^@]+|{OBJECT_ID}")
_ID = re.compile(ID)
_UNSAFE = frozenset("/\\?% ")
_DOTS = frozenset({".", ".."})

TORN = "is not UTF-8; save the file as UTF-8"
"""The message for a text that is `torn`."""


def torn(text: str) -> bool:
    """Whether `text` has lone surrogates, which bytes that are not UTF-8 become."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_user(user: str, info: ValidationInfo) -> str:
    if is_user(user) or (not info.context and _is_segment(user)):
        return user
    raise ValueError(TORN if torn(user) else why_no_user(user))


def _is_segment(user: str) -> bool:
    plain = user.isprintable() and _UNSAFE.isdisjoint(user) and len(user) <= MAX_LENGTH
    return plain and _USER.fullmatch(user) is not None


def _check_id(text: str) -> str:
    """Return the URL-safe form of an Outlook id; `/` and `+` come from Office.js and EWS."""
    safe = text.replace("/", "-").replace("+", "_")
    if _ID.fullmatch(safe) and _DOTS.isdisjoint(text.split("/")):
        return safe
    raise ValueError(TORN if torn(text) else why_no_id(text))


def _check_event(text: str, info: ValidationInfo) -> str:
    if info.context and (why := why_wrong_event(text)):
        raise ValueError(why)
    return _check_id(text)


def _check_calendar(calendar: str, info: ValidationInfo) -> str:
    if calendar.casefold() == "default":
        return "default"
    if info.context and (why := why_wrong_calendar(calendar)):
        raise ValueError(why)
    return _check_id(calendar)


def _check_group(group: str, info: ValidationInfo) -> str:
    if info.context and (why := why_wrong_group(group)):
        raise ValueError(why)
    return _check_id(group)


def _check_comment(comment: str, info: ValidationInfo) -> str | None:
    if torn(comment):
        raise ValueError(TORN)
    size = len(comment.encode())
    if size > MAX_COMMENT_BYTES:
        raise ValueError(f"has {size} bytes of UTF-8, and {MAX_COMMENT_BYTES} are allowed")
    if "\0" in comment:
        raise ValueError("holds a NUL character; remove it")
    if info.context and (why := why_unwritten(comment)):
        raise ValueError(f"{why}; write the text that is meant, or none")
    return comment if comment.strip() else None


User = Annotated[str, AfterValidator(_check_user)]
"""An object id, or a user principal name."""

Id = Annotated[str, AfterValidator(_check_id)]
"""An id of Outlook, URL-safe."""

EventId = Annotated[str, AfterValidator(_check_event)]
"""An event's id, URL-safe."""

Calendar = Annotated[str, AfterValidator(_check_calendar)]
"""`default`, or a calendar's id."""

CalendarGroup = Annotated[str, AfterValidator(_check_group)]
"""A calendar group's id."""

Comment = Annotated[str, AfterValidator(_check_comment)]
"""Text for the organizer; a blank one counts as absent."""


class Frozen(BaseModel):
    """Values that never change, under Graph's own names; errors do not repeat their content."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


class Asked(Frozen):
    """
    What a row asks of a mailbox; the models made of it declare the fields, in their order.

    Raises `pydantic.ValidationError` (a `ValueError`) with one entry for each field that is wrong.
    """

    user: User

    @field_validator("send_response", check_fields=False)
    @classmethod
    def _check_silence(cls, send_response: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  # pydantic passes it so
        if not send_response and info.data.get("comment"):
            raise ValueError("must not be false with a comment: Graph refuses it; drop one of them")
        return send_response

    @field_validator("calendar_group", check_fields=False)
    @classmethod
    def _check_group(cls, group: str | None, info: ValidationInfo) -> str | None:
        if group and info.data.get("calendar", "") in {None, "default"}:
            raise ValueError("needs a calendar id in calendar; add it or drop the group")
        return group

    @property
    def mailbox(self) -> str:
        """The user, case folded: what Graph throttles, and what a slice never splits."""
        return self.user.casefold()

    def to_json(self) -> bytes:
        """Return the canonical form: fixed order, Graph's names, absent fields left out."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, source: bytes | dict[str, Any]) -> Self:
        """
        Return what JSON text, or an object read from it, describes.

        Checks everything again: whoever can write to the ledger must not be able to address
        another path of Graph. Raises `pydantic.ValidationError`.
        """
        if isinstance(source, bytes):
            return cls.model_validate_json(source, by_alias=True, by_name=False)
        validate = cls.__pydantic_validator__.validate_python  # model_validate's own way, half-way
        return cast("Self", validate(source, by_alias=True, by_name=False))

    @classmethod
    def from_row(cls, fields: dict[str, Any]) -> Self:
        """
        Return what a row describes, as JSON Lines have it.

        Besides all that `from_json` checks, its values must be able to be what they claim. Raises
        `pydantic.ValidationError`.
        """
        validate = cls.__pydantic_validator__.validate_python
        return cast("Self", validate(fields, by_alias=True, by_name=False, context=WRITTEN))
