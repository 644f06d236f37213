"""
Ids of events and calendars: other kinds of ids that are taken for them, and names of calendars.

An id of Graph says nothing of itself, so what is known are the beginnings of the others.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

from jobs.quoting import abbreviated
from jobs.rows.hints.addresses import OBJECT_ID
from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.hints.wording import CUT, bare, did_you_mean, what_stands_round

__all__ = [
    "DOUBTFUL_EVENT",
    "ID",
    "why_no_id",
    "why_wrong_calendar",
    "why_wrong_event",
    "why_wrong_group",
]

MAX_ID: Final = 1024
ID: Final = rf"[A-Za-z0-9_=.~-]{{1,{MAX_ID}}}"

_ID: Final = re.compile(ID)
_NO_ID: Final = re.compile(r"[^A-Za-z0-9_=.~-]")
_AS_GRAPH: Final = "give the id as Graph shows it"

_GLOBAL: Final = (
    r"(?i:040000008200E00074C5B7101A82E008)|BAAAAIIA4AB0xbcQGoLgC"
    r"|MDQwMDAwMDA4MjAwR|MDQwMDAwMDA4MjAwZ"
)
"""[MS-OXOCAL] 2.2.1.27: in hexadecimal, in base64, and the former in base64."""

_OTHERS: Final = (
    (re.compile(_GLOBAL), "an iCalUId or a global object id, the same in every calendar"),
    (re.compile(r"0{8}[0-9A-Fa-f]{32,}\Z"), "an EntryID of MAPI"),
    (re.compile(rf"{OBJECT_ID}\Z"), "a GUID, which no id of Outlook is"),
    (re.compile(r"(?:CQ|Dw|EQ)AAAB[QUY]AAA"), "a changeKey"),
    (re.compile(r"MSo[0-9A-Za-z]"), "the id of an online meeting"),
)

DOUBTFUL_EVENT: Final = (
    rf"{_GLOBAL}|0{{8}}|[0-9a-fA-F]{{8}}-|DwAA|CQAA|EQAA|MSo"
    r"|(?:(?i:null|none|nil|nan|nat|undefined)|n-a|N-A|NA|-{1,3}|0)(?![A-Za-z0-9_=~-])"
)
"""How an event begins that may be no id; a pattern for a quick look, which errs to this side."""

_DEFAULT_NAMES: Final = re.compile(
    r"(?i:(?:my|default|primary)?[\s_-]*calendar|calend(?:rier|ario|\xe1rio)|kalender|agenda"
    r"|kalenteri|kalendarz|kalend\xe1[\u0159r]|kalendar|napt\xe1r|takvim|primary)"
)
"""What Outlook calls the default calendar, and Google calls a person's own."""

_WORDS: Final = re.compile(
    r"(?i:work|team|home|main|private|family)"
    r"|[a-z]{5,24}|[A-Z][a-z]{4,24}|[A-Z]?[a-z]{3,}(?:[ _-]+[A-Z]?[a-z]{2,})+"
)
"""Names that people give; in an id so many small letters do not follow each other."""


def why_no_id(text: str) -> str:
    """Say why `text` cannot be an id in a path, and what to write."""
    return next(_complaints(text, abbreviated(text)))


def _complaints(text: str, shown: str) -> Iterator[str]:
    if not text:
        yield f"is empty; {_AS_GRAPH}"
    if not text.strip("."):
        yield f"{shown} is not an id; {_AS_GRAPH}"
    if why := why_unwritten(text):
        yield f"{why}; give the id, or leave it out where it may be absent"
    if CUT.search(text):
        yield _cut(text)
    if meant := _meant(text):
        coded = f"{shown} holds '%'; write the id not encoded for a URL"
        why = coded if "%" in text else what_stands_round(meant, text)
        yield f"{why}; {did_you_mean(meant)}"
    if len(text) > MAX_ID:
        yield f"has {len(text)} characters, and {MAX_ID} are allowed"
    if "@" in text or ":" in text:
        yield f"{shown} is an address, or an id of another program; {_AS_GRAPH}"
    if stranger := _NO_ID.search(text):
        no_id = f"{shown} holds {abbreviated(stranger[0])}, which no id does"
        yield f"{no_id}; {_AS_GRAPH}, not encoded for a URL"
    yield f"{shown} is not an id; {_AS_GRAPH}"


def why_wrong_event(text: str) -> str | None:
    """Say why `text` is no event's id, though it might be one by its letters; None if it may be."""
    if why := why_unwritten(text):
        return f"{why}; give the event's id"
    return _why_another(text) or _why_damaged(text)


def why_wrong_calendar(text: str) -> str | None:
    """Say why `text` is no calendar's id, `default` aside; None if it may be."""
    if why := why_unwritten(text):
        return f"{why}; give the calendar's id, or leave it out"
    if _DEFAULT_NAMES.fullmatch(text):
        return f"{abbreviated(text)} is a calendar's name; {did_you_mean('default')}"
    if _WORDS.fullmatch(text):
        return f"{abbreviated(text)} is a calendar's name; write default, or the calendar's id"
    return _why_another(text) or _why_damaged(text)


def why_wrong_group(text: str) -> str | None:
    """Say why `text` is no calendar group's id; None if it may be."""
    if why := why_unwritten(text):
        return f"{why}; give the group's id, or leave it out"
    if re.search(r"\w{2} \w{2}", text) or _DEFAULT_NAMES.fullmatch(text) or _WORDS.fullmatch(text):
        return f"{abbreviated(text)} is a group's name; give its id, or leave it out"
    return _why_another(text) or _why_damaged(text)


def _why_another(text: str) -> str | None:
    for pattern, kind in _OTHERS:
        if pattern.match(text):
            return f"{abbreviated(text)} is {kind}; give the id that Graph shows"
    return None


def _why_damaged(text: str) -> str | None:
    if CUT.search(text) and text.strip("."):
        return _cut(text)
    if text.endswith(".") and text.strip("."):
        return f"{abbreviated(text)} ends with a dot; {did_you_mean(text[:-1])}"
    return None


def _cut(text: str) -> str:
    return f"{abbreviated(text)} was cut for the screen; give the whole id, from an export"


def _meant(text: str) -> str | None:
    """Return the id that stands in `text` with something round it, or None."""
    plain = bare(text)
    if plain.startswith("https://"):  # the webLink of an event
        plain = "".join(parse_qs(urlsplit(text).query).get("itemid", [""])[:1])
    safe = plain.replace("/", "-").replace("+", "_")
    good = _ID.fullmatch(safe) and safe != text
    return safe if good and why_wrong_event(safe) is None else None
