"""
The shortcut for usual rows: one pattern over a row's JSON shows that nothing is wrong with it.

It stands for the checks of `jobs/rows/response.py`, at a fraction of their price, and in one place:
behind the readers of JSON Lines and CSV, so neither of them knows of it. It covers a part of what
the checks accept and nothing that they refuse: what it matches, a `Response` reads without a
complaint and writes in these bytes. Every other row is checked in full.
"""

import re
from typing import Any

import orjson

from jobs.rows.fields import MAX_COMMENT_BYTES
from jobs.rows.hints.addresses import OBJECT_ID
from jobs.rows.hints.ids import DOUBTFUL_EVENT
from jobs.rows.hints.unwritten import SIGNS
from jobs.rows.response import Action

__all__ = ["at_a_glance"]

_SILENT = dict.fromkeys(("user", "event", "action")) | {"sendResponse": True}
_TELLING = dict.fromkeys(("user", "event", "action", "comment")) | {"sendResponse": True}
"""The fields in the order of `Response`, for a row's own to be laid over."""

_NAME = r"[A-Za-z0-9_-]{1,30}+(?:[.'][A-Za-z0-9_-]{1,30}+(?:[.'][A-Za-z0-9_-]{1,30}+)?)?"
_LABEL = r"[A-Za-z0-9]{1,30}+(?:-[A-Za-z0-9]{1,30}+)?"
_DOMAIN = rf"{_LABEL}\.(?:{_LABEL}\.(?:{_LABEL}\.)?)?[A-Za-z]{{1,20}}+"
_PLAIN = r"[A-Za-z0-9_-]{1,30}+(?:[.'][A-Za-z0-9_-]{1,30}+)?@[A-Za-z0-9]{1,30}+\.[A-Za-z]{1,20}+"
_USER = rf"{_PLAIN}|{_NAME}@{_DOMAIN}|(?!0{{8}}){OBJECT_ID}"
"""Nearly all users, the most frequent form first; repeated groups would cost more."""

_EVENT = rf"(?:(?=A[AQ][Mk])|(?!{DOUBTFUL_EVENT}))[A-Za-z0-9_=~-]{{1,1024}}+"
_ACTION = "|".join(Action)
_WRITTEN = (
    r"(?:(?=[A-LO-RTV-Za-mo-tv-z])"
    r"|(?![\s=\\(?0-]|[\xc2\xe1-\xe3]|n[/.]|N[/.A]|(?i:null|none|nil|nan|nat|und)"
    r"|System|Microsoft))"
)
"""How a comment begins that a person wrote: what nobody may have written is looked at."""

_COMMENT = rf'{_WRITTEN}(?:[^"\\{SIGNS}]++|\\[^u])++'
"""A text in JSON; NUL is not in it, which would be written as an escape with u."""

_USUAL = re.compile(
    rf'{{"user":"(?:{_USER})","event":"{_EVENT}","action":"(?:{_ACTION})",'
    rf'(?:"comment":"{_COMMENT}","sendResponse":true|"sendResponse":(?:true|false))}}'.encode()
)


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
