"""
The fields that every row has, and the rules that they keep by themselves and with each other.

`jobs/rows/response.py` and `jobs/rows/selection.py` are made of them. What has passed these checks
can stand in a path of Graph: ids cannot leave their segment. Knows no file and no path.
"""

import re
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator

from jobs.quoting import abbreviated

__all__ = [
    "ID",
    "MAX_COMMENT_BYTES",
    "OBJECT_ID",
    "PLAIN_USER",
    "TORN",
    "Asked",
    "Calendar",
    "Comment",
    "Frozen",
    "Id",
    "User",
    "torn",
]

MAX_USER = 320
"""Characters: 64 before the @ and 255 after it (RFC 5321 4.5.3.1)."""

MAX_ID = 1024
MAX_COMMENT_BYTES = 8192

PLAIN_USER = r"[A-Za-z0-9._'-]{1,64}@[A-Za-z0-9.-]{1,255}"
"""Nearly all principal names, at half the price of the whole rule."""

OBJECT_ID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
ID = rf"[A-Za-z0-9_=.~-]{{1,{MAX_ID}}}"

_PLAIN_USER = re.compile(PLAIN_USER)
_USER = re.compile(r"[^@$][^@]*@[^@]+")
_OBJECT_ID = re.compile(OBJECT_ID)
_ID = re.compile(ID)
_NO_ID = re.compile(r"[^A-Za-z0-9_=.~-]")
_UNSAFE = frozenset("/\\?% ")
_DOTS = frozenset({".", ".."})

TORN = "is not UTF-8; save the file as UTF-8"
"""What is said of a text that is `torn`."""


def torn(text: str) -> bool:
    """Tell whether `text` holds lone surrogates, which is what bytes that are no UTF-8 become."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_user(user: str) -> str:
    if _PLAIN_USER.fullmatch(user):
        return user
    segment = user.isprintable() and _UNSAFE.isdisjoint(user) and len(user) <= MAX_USER
    if segment and (_USER.fullmatch(user) or _OBJECT_ID.fullmatch(user)):
        return user
    raise ValueError(_why_no_user(user))


def _why_no_user(user: str) -> str:
    if torn(user):
        return TORN
    if not user.isprintable() or not _UNSAFE.isdisjoint(user):
        return (
            f"{abbreviated(user)} holds a space, a control character or one of / \\ ? %; remove it"
        )
    if len(user) > MAX_USER:
        return f"has {len(user)} characters, and {MAX_USER} are allowed"
    if user.casefold() == "me":
        return "an application has no 'me'; give the object id or the user principal name"
    if user.startswith("$"):  # Graph: user-get wants such a name in brackets, not in a segment
        return "a user principal name that begins with $ cannot be addressed; give the object id"
    return (
        f"{abbreviated(user)} is neither an object id (a GUID) "
        "nor a user principal name (name@domain)"
    )


def _check_id(text: str) -> str:
    """Return the URL-safe form of an Outlook id; `/` and `+` come from Office.js and EWS."""
    safe = text.replace("/", "-").replace("+", "_")
    if _ID.fullmatch(safe) and _DOTS.isdisjoint(text.split("/")):
        return safe
    raise ValueError(_why_no_id(safe))


def _why_no_id(text: str) -> str:
    if torn(text):
        return TORN
    if not text:
        return "is empty; give the id as Graph shows it"
    if len(text) > MAX_ID:
        return f"has {len(text)} characters, and {MAX_ID} are allowed"
    if stranger := _NO_ID.search(text):
        return (
            f"{abbreviated(text)} holds {abbreviated(stranger[0])}, which no id does; "
            "give the id as Graph shows it, not encoded for a URL"
        )
    return f"{abbreviated(text)} is no id; give the id as Graph shows it"


def _check_calendar(calendar: str) -> str:
    return "default" if calendar.casefold() == "default" else _check_id(calendar)


def _check_comment(comment: str) -> str | None:
    if torn(comment):
        raise ValueError(TORN)
    size = len(comment.encode())
    if size > MAX_COMMENT_BYTES:
        raise ValueError(f"has {size} bytes of UTF-8, and {MAX_COMMENT_BYTES} are allowed")
    if "\0" in comment:
        raise ValueError("holds a NUL character; remove it")
    return comment or None


User = Annotated[str, AfterValidator(_check_user)]
"""An object id, or a user principal name."""

Id = Annotated[str, AfterValidator(_check_id)]
"""An id of Outlook, URL-safe."""

Calendar = Annotated[str, AfterValidator(_check_calendar)]
"""`default`, or a calendar's id."""

Comment = Annotated[str, AfterValidator(_check_comment)]
"""Text for the organizer; an empty one is none."""


class Frozen(BaseModel):
    """Values that never change, under Graph's own names; errors about them repeat no content."""

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
