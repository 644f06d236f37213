"""
Most rows are usual, and their JSON shows at a glance that nothing is wrong with them.

A pattern over the whole text stands for the checks of `jobs/rows/response.py`, at a quarter of
their price. It knows a part of what they accept and nothing of what they refuse: what it matches, a
`Response` reads without a complaint and writes in these bytes; of all else it says nothing.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import orjson

from jobs.rows.fields import MAX_COMMENT_BYTES
from jobs.rows.hints.addresses import OBJECT_ID
from jobs.rows.hints.ids import DOUBTFUL_EVENT
from jobs.rows.hints.unwritten import SIGNS
from jobs.rows.response import Action

__all__ = ["Usual", "at_a_glance", "line_at_a_glance", "row_at_a_glance"]

_SILENT = dict.fromkeys(("user", "event", "action")) | {"sendResponse": True}
_TELLING = dict.fromkeys(("user", "event", "action", "comment")) | {"sendResponse": True}
"""The fields in the order of `Response`, for a row's own to be laid over."""

_NAME = r"[A-Za-z0-9_-]{1,30}+(?:[.'][A-Za-z0-9_-]{1,30}+(?:[.'][A-Za-z0-9_-]{1,30}+)?)?"
_LABEL = r"[A-Za-z0-9]{1,30}+(?:-[A-Za-z0-9]{1,30}+)?"
_DOMAIN = rf"{_LABEL}\.(?:{_LABEL}\.(?:{_LABEL}\.)?)?[A-Za-z]{{1,20}}+"
_USER = rf"{_NAME}@{_DOMAIN}|(?!0{{8}}){OBJECT_ID}"
"""Nearly all users; groups that are optional cost less than those that are repeated."""

_EVENT = rf"(?:(?=A[AQ][Mk])|(?!{DOUBTFUL_EVENT}))[A-Za-z0-9_=~-]{{1,1024}}+"
_ACTION = "|".join(Action)
_WRITTEN = (
    r"(?:(?=[A-LO-RTV-Za-mo-tv-z])"
    r"|(?![\s=\\(?0-]|[\xc2\xe1-\xe3]|n[/.]|N[/.A]|(?i:null|none|nil|nan|nat|und)"
    r"|System|Microsoft%s))"
)
"""How a comment begins that a person wrote: what nobody may have written is looked at."""

_BLANKS = r"|[\u0085\u00a0\u1680\u2000-\u205f\u3000]"
"""Blanks, and dashes that stand for nothing; in UTF-8 they have the bytes above."""

_COMMENT = rf'{_WRITTEN % ""}(?:[^"\\{SIGNS}]++|\\[^u])++'
"""A text in JSON; NUL is not in it, which would be written as an escape with u."""

_ESCAPED = r'"\\\x00-\x1f\ud800-\udfff' + SIGNS
"""What cannot stand in JSON as it is, or in UTF-8, or is looked at."""

_TEXT = _WRITTEN % _BLANKS

_USUAL = re.compile(
    rf'{{"user":"(?:{_USER})","event":"{_EVENT}","action":"(?:{_ACTION})",'
    rf'(?:"comment":"{_COMMENT}","sendResponse":true|"sendResponse":(?:true|false))}}'.encode()
)
_USUAL_LINE = re.compile(
    rf'{{"user": ?"({_USER})", ?"event": ?"({_EVENT})", ?"action": ?"({_ACTION})"'
    rf'(?:, ?"comment": ?"({_TEXT}[^{_ESCAPED}]++)")?(?:, ?"sendResponse": ?true)?}}[ \t\r\n]*'
)
_CELLS = {
    "user": f"(?P<user>{_USER})",
    "event": f"(?P<event>{_EVENT})",
    "action": f"(?P<action>{_ACTION})",
    "comment": f"(?P<comment>(?:{_TEXT}[^{_ESCAPED}]++)?)",
}
_QUOTED = (frozenset[str](), frozenset({"comment"}), frozenset(_CELLS))
"""Which cells have quotes, as programs write tables: those that need them, or all."""


class Usual(NamedTuple):
    """A usual row: whose it is, the event that it answers, and its canonical JSON."""

    mailbox: bytes
    event: bytes
    body: bytes


def at_a_glance(fields: dict[str, Any]) -> bytes | None:
    """Return the canonical JSON of the response that `fields` are, or None to have them checked."""
    ordered = (_TELLING if "comment" in fields else _SILENT) | fields
    try:
        body = orjson.dumps(ordered)
    except orjson.JSONEncodeError:  # torn text, or a number beyond 64 bits
        return None
    if len(body) < MAX_COMMENT_BYTES and _USUAL.fullmatch(body):
        return body
    return None


def line_at_a_glance(line: str) -> Usual | None:
    """Return the response that stands in a line of JSON, or None to have the line read."""
    if (match := _USUAL_LINE.fullmatch(line)) is None:
        return None
    return _usual(*match.groups())


def row_at_a_glance(header: Sequence[str], delimiter: str) -> Callable[[str], Usual | None]:
    """
    Return what looks at the lines under a `header` of CSV, as `line_at_a_glance` does at others.

    Where the header has other columns than most have, no line is usual.
    """
    missing = _CELLS.keys() - header
    common = missing <= {"comment"} and _CELLS.keys() >= set(header)
    patterns = [_row_pattern(header, delimiter, quoted) for quoted in _QUOTED if common]

    def glance(line: str) -> Usual | None:
        for pattern in patterns:
            if match := pattern.fullmatch(line):
                return _usual(*match.group(*_CELLS))
        return None

    return glance


def _row_pattern(header: Sequence[str], delimiter: str, quoted: Collection[str]) -> re.Pattern[str]:
    text = f"(?P<comment>(?:{_TEXT}[^{delimiter}{_ESCAPED}]++)?)"
    bare = _CELLS | {"comment": text}
    cells = [f'"{_CELLS[name]}"' if name in quoted else bare[name] for name in header]
    absent = "" if "comment" in header else "(?P<comment>)"
    return re.compile(delimiter.join(cells) + absent + r"[\r\n]*")


def _usual(user: str, event: str, action: str, comment: str | None) -> Usual | None:
    told = f'"comment":"{comment}",' if comment else ""
    text = f'{{"user":"{user}","event":"{event}","action":"{action}",{told}"sendResponse":true}}'
    body = text.encode()
    if len(body) >= MAX_COMMENT_BYTES:
        return None
    return Usual(user.lower().encode(), event.encode(), body)
