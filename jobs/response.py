"""
What a mailbox says to an invitation, and the rules that one response must keep by itself.

Everything that reaches Graph has passed these checks, from a row and again from the ledger: ids
cannot leave their path segment, and what Graph is known to refuse is not built. Rules between
several rows stand in `jobs/batch.py`; paths and bodies of requests are `worker/graph.py`'s.
"""

import re
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)

from jobs.timezones import find_zone, nearest_zone

__all__ = ["Action", "LocalTime", "Response", "TimeSlot", "abbreviated"]

MAX_USER = 320
"""Characters: 64 before the @ and 255 after it (RFC 5321 4.5.3.1)."""

MAX_ID = 1024
MAX_COMMENT_BYTES = 8192

_PLAIN_USER = re.compile(r"[A-Za-z0-9._'-]{1,64}@[A-Za-z0-9.-]{1,255}")
"""Nearly all of them, at half the price of the whole rule."""

_USER = re.compile(r"[^@$][^@]*@[^@]+")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID = re.compile(rf"[A-Za-z0-9_=.~-]{{1,{MAX_ID}}}")
_NO_ID = re.compile(r"[^A-Za-z0-9_=.~-]")
_LOCAL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,7})?)?",
)
_UNSAFE = frozenset("/\\?% ")
_TORN = "is not UTF-8; save the file as UTF-8"
_DOTS = frozenset({".", ".."})


class Action(StrEnum):
    """What a response does; the values are the names of Graph's calls."""

    DECLINE = "decline"
    TENTATIVELY_ACCEPT = "tentativelyAccept"


_ACTIONS = {action.value: action for action in Action} | {"tentative": Action.TENTATIVELY_ACCEPT}


def abbreviated(value: str) -> str:
    """Quote `value` for a message: shortened, and nothing in it that a terminal would obey."""
    return ascii(value if len(value) <= 40 else value[:37] + "...")  # noqa: PLR2004  # fits a line


def _torn(text: str) -> bool:
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
    if _torn(user):
        return _TORN
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
    if _torn(text):
        return _TORN
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


def _read_action(text: object) -> Action:
    action = _ACTIONS.get(text) if isinstance(text, str) else None
    if action is not None:
        return action
    raise ValueError(f"must be decline or tentativelyAccept{_action_hint(text)}")


def _action_hint(text: object) -> str:
    if not isinstance(text, str):
        return ""
    if text.casefold() in {"accept", "accepted", "cancel"}:
        return f"; bulkrsvp does not send {abbreviated(text)}"
    known = {name.casefold(): name for name in _ACTIONS}
    near = get_close_matches(text[:64].casefold(), known, n=1)
    hint = f"; did you mean {known[near[0]]}?" if near else ""
    return f", not {abbreviated(text)}{hint}"


def _check_comment(comment: str) -> str | None:
    if _torn(comment):
        raise ValueError(_TORN)
    size = len(comment.encode())
    if size > MAX_COMMENT_BYTES:
        raise ValueError(f"has {size} bytes of UTF-8, and {MAX_COMMENT_BYTES} are allowed")
    if "\0" in comment:
        raise ValueError("holds a NUL character; remove it")
    return comment or None


def _check_date_time(text: str) -> str:
    if not _LOCAL.fullmatch(text):
        raise ValueError(
            f"{abbreviated(text)} is not YYYY-MM-DDTHH:MM:SS; "
            "write local time without an offset or Z, the zone stands in timeZone"
        )
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{abbreviated(text)} is not in the calendar; correct it") from None
    return text


def _check_time_zone(name: str) -> str:
    if find_zone(name):
        return name
    near = nearest_zone(name)
    hint = f"did you mean {near}?" if near else "give one like Europe/Oslo or UTC"
    raise ValueError(f"{abbreviated(name)} is neither a Windows nor an IANA time zone; {hint}")


class _Frozen(BaseModel):
    """Values that never change, under Graph's own names; errors about them repeat no content."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


class LocalTime(_Frozen):
    """A time on the clock of a zone (Graph: dateTimeTimeZone)."""

    date_time: Annotated[str, AfterValidator(_check_date_time)] = Field(alias="dateTime")
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = Field(alias="timeZone")

    def to_utc(self) -> datetime:
        """Return the naive time in UTC; raises `OverflowError` at the ends of the calendar."""
        local = datetime.fromisoformat(self.date_time)
        zone = find_zone(self.time_zone)
        offset = zone.utcoffset(local) if zone else None
        return local - offset if offset else local


class TimeSlot(_Frozen):
    """A proposed time; its end comes after its start, whatever their zones (Graph: timeSlot)."""

    start: LocalTime
    end: LocalTime

    @field_validator("end")
    @classmethod
    def _check_order(cls, end: LocalTime, info: ValidationInfo) -> LocalTime:
        start: LocalTime | None = info.data.get("start")
        try:
            ordered = start is None or start.to_utc() < end.to_utc()
        except OverflowError:
            raise ValueError("the years 1 and 9999 cannot be used; correct the date") from None
        if not ordered:
            raise ValueError("must come after the start; correct one of them")
        return end


class Response(_Frozen):
    """
    One response: who answers which invitation, and how.

    `event` is the event's id in that user's own mailbox, URL-safe. `calendar` is None, `default`
    or a calendar's id, and with `calendar_group` always an id. Raises `pydantic.ValidationError`
    (a `ValueError`) with one entry for each field that is wrong.
    """

    user: Annotated[str, AfterValidator(_check_user)]
    event: Annotated[str, AfterValidator(_check_id)]
    action: Annotated[Action, BeforeValidator(_read_action)]
    comment: Annotated[str, AfterValidator(_check_comment)] | None = None
    send_response: StrictBool = Field(default=True, alias="sendResponse")
    proposed_new_time: TimeSlot | None = Field(default=None, alias="proposedNewTime")
    calendar: Annotated[str, AfterValidator(_check_calendar)] | None = None
    calendar_group: Annotated[str, AfterValidator(_check_id)] | None = Field(
        default=None, alias="calendarGroup"
    )

    @field_validator("send_response")
    @classmethod
    def _check_silence(cls, send_response: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  # pydantic passes it so
        if not send_response and info.data.get("comment"):
            raise ValueError("must not be false with a comment: Graph refuses it; drop one of them")
        return send_response

    @field_validator("proposed_new_time")
    @classmethod
    def _check_told(cls, slot: TimeSlot | None, info: ValidationInfo) -> TimeSlot | None:
        if slot and info.data.get("send_response") is False:
            raise ValueError("needs sendResponse true: Graph refuses it else; drop one of them")
        return slot

    @field_validator("calendar_group")
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
        Return the response that JSON text, or an object read from it, describes.

        Checks everything again: whoever can write to the ledger must not be able to address
        another path of Graph. Raises `pydantic.ValidationError`.
        """
        if isinstance(source, bytes):
            return cls.model_validate_json(source, by_alias=True, by_name=False)
        validate = cls.__pydantic_validator__.validate_python  # model_validate's own way, half-way
        return cast("Self", validate(source, by_alias=True, by_name=False))
