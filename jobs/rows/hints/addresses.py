"""
Users and organizers: what can be the name of one, and what stands round it where a text cannot.

A principal name has the letters that Entra ID allows (Graph: user, userPrincipalName), and a domain
with a dot; so has an organizer's address, and some letters more that people outside may have.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from jobs.quoting import abbreviated
from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.hints.wording import CUT, bare, did_you_mean, what_stands_round

__all__ = [
    "MAX_LENGTH",
    "OBJECT_ID",
    "is_organizer",
    "is_user",
    "why_no_organizer",
    "why_no_user",
]

MAX_LENGTH: Final = 320
"""Characters: 64 before the @ and 255 after it (RFC 5321 4.5.3.1)."""

OBJECT_ID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_LABEL: Final = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_DOMAIN: Final = rf"(?:{_LABEL}\.)+(?=[A-Za-z]){_LABEL}"
_NAME: Final = r"(?!\.)(?!.*\.\.)[A-Za-z0-9'._!#^~$-]+(?<!\.)"

_IS_DOMAIN: Final = re.compile(_DOMAIN)
_IS_USER: Final = re.compile(rf"(?!\$){_NAME}@{_DOMAIN}|(?![0-]+\Z){OBJECT_ID}")
_IS_ORGANIZER: Final = re.compile(
    rf"{_NAME.replace('$-', '$+&=-')}@{_DOMAIN}|@{_DOMAIN}|(?i:internal|external)"
)

_PREFIX: Final = re.compile(
    r"(?i:mailto|smtp|e-?mail|upn)\s*:|[ic]:0[^|]{0,9}\|(?:[\w.-]+\|)?", re.IGNORECASE
)
"""Of links, of `proxyAddresses` in a directory, and of claims in SharePoint."""

_NO_ORGANIZER: Final = (
    "is none of an address (name@domain), a domain (@domain), internal and external"
)

_NAMED: Final = re.compile(r"(?P<name>[^<>@]*)<(?P<address>[^<>]+)>[\s,;.]*")
_EXCEPT: Final = re.compile(r"\b(?i:not|no|all|but|except|without|ohne|nicht|sauf|sans)\b")
_ROUGHLY: Final = re.compile(r"[^\s@,;:<>()\[\]\"|/\\]+@[^\s@,;:<>()\[\]\"|/\\]+")
_APART: Final = re.compile(r"[\s,;:|<>()\[\]\"]+")
_STRANGE: Final = re.compile(r"[^A-Za-z0-9'._!#^~$@-]")
_LOGON: Final = re.compile(r"[\w.-]+\\[^\\@]+")
_PATH: Final = re.compile(r"(?i:https?:|www\.|/|ex:|x500:)")
_UNSAFE: Final = frozenset("/\\?% ")
_FILE: Final = re.compile(r"[\w./ -]+\.(?:csv|tsv|txt|xlsx?|jsonl?|ndjson)", re.IGNORECASE)
_WITHOUT_HYPHENS: Final = re.compile("[0-9a-fA-F]{32}")


def is_user(text: str) -> bool:
    """Tell whether `text` is an object id, or can be a principal name."""
    return _IS_USER.fullmatch(text) is not None and len(text) <= MAX_LENGTH


def is_organizer(text: str) -> bool:
    """Tell whether `text` can be an address or a domain, or is one of the two words."""
    return _IS_ORGANIZER.fullmatch(text) is not None and len(text) <= MAX_LENGTH


def why_no_user(text: str) -> str:
    """Say why `text` names no user, and what does."""
    if text.casefold() == "me":
        return "an application has no 'me'; give the object id or the user principal name"
    if why := why_unwritten(text):
        return f"{why}; give the user"
    meant = re.sub(r"\s*@\s*", "@", _meant(text) or "")
    if _WITHOUT_HYPHENS.fullmatch(meant):
        meant = "-".join(re.split(r"(?<=^.{8})|(?<=^.{12})|(?<=^.{16})|(?<=^.{20})", meant))
    if meant != text and is_user(meant):
        return f"{what_stands_round(meant, text)}; {did_you_mean(meant)}"
    return next(chain(_complaints(text), _complaints_of_a_user(text)))


def why_no_organizer(text: str) -> str:
    """Say why `text` is no organizer, and what is."""
    if why := why_unwritten(text):
        return f"{why}; name an organizer, or leave it out"
    meant = _meant(text) or ""
    if _IS_DOMAIN.fullmatch(meant) and not _PATH.match(meant):
        return f"{abbreviated(text)} {_NO_ORGANIZER}; {did_you_mean(f'@{meant}')}"
    if is_organizer(meant.removeprefix("*")):
        meant = meant.removeprefix("*")
        return f"{what_stands_round(meant, text)}; {did_you_mean(meant)}"
    if is_user(text) and "@" not in text:
        return "is an object id, and calendars show addresses; give the organizer's address"
    if not text.isascii():
        ascii_form = "as calendars show it, its domain in ASCII (xn--...)"
        return f"{abbreviated(text)} holds other letters than addresses do; write it {ascii_form}"
    return next(_complaints(text), f"{abbreviated(text)} {_NO_ORGANIZER}")


def _meant(text: str) -> str | None:
    """Return `text` without what stands round it, or None if it may be something else as well."""
    if CUT.search(text):
        return None
    named = _NAMED.fullmatch(text.strip().strip(",;"))
    if named and _EXCEPT.search(named["name"]):
        return None
    plain = bare(named["address"] if named else text)
    return bare(_PREFIX.sub("", plain, count=1)) if _PREFIX.match(plain) else plain


def _complaints(text: str) -> Iterator[str]:
    """Yield what is wrong with `text` as an address of any kind, as far as that can be told."""
    shown, found = abbreviated(text), _ROUGHLY.findall(text)
    if CUT.search(text) and text.strip("."):
        yield f"{shown} was cut, or has two dots in a row; give the whole, from an export"
    if len(text) > MAX_LENGTH:
        yield f"has {len(text)} characters, and {MAX_LENGTH} are allowed"
    if (count := sum("@" in part for part in _APART.split(text))) > 1:
        yield f"{shown} names {count} addresses; give each by itself, a user in a row"
    if "*" in text:
        yield f"{shown} has a wildcard, which has no meaning here; name each by itself"
    if _LOGON.fullmatch(text):
        yield f"{shown} is a logon name of Windows; give name@domain"
    if _PATH.match(text):
        yield f"{shown} is a path, and not an address; give name@domain"
    rest = text.replace(found[0], "", 1).strip() if found else ""
    if rest and "@" not in rest:
        yield (
            f"{shown} holds {abbreviated(rest)} beside an address; "
            "put that where it belongs, in a column or an option of its own"
        )
    if re.fullmatch(r"[^@]+@[^@.]+", text):
        yield f"{shown} has no dot in its domain; give the whole domain"


def _complaints_of_a_user(text: str) -> Iterator[str]:
    shown = abbreviated(text)
    if _FILE.fullmatch(text):
        yield f"{shown} looks like a file; bulkrsvp offboard - < FILE reads the users in one"
    if text.startswith("$"):  # Graph: user-get wants such a name in brackets, not in a segment
        yield "a user principal name that begins with $ cannot be addressed; give the object id"
    if text and set(text) <= {"0", "-"}:
        yield "is the GUID that stands for nothing; give the user's own"
    if not text.isprintable() or not _UNSAFE.isdisjoint(text):
        yield (
            f"{shown} holds a space, a control character or one of / \\ ? %, which no user does; "
            "correct it, or give the object id"
        )
    if "@" in text and (strange := _STRANGE.search(text)):
        yield (
            f"{shown} holds {abbreviated(strange[0])}, which no user principal name does; "
            "correct it, or give the object id"
        )
    yield f"{shown} is neither an object id (a GUID) nor a user principal name (name@domain)"
