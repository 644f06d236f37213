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

from jobs.rows.fields import ID, MAX_COMMENT_BYTES, OBJECT_ID, PLAIN_USER
from jobs.rows.response import Action

__all__ = ["at_a_glance"]

_SILENT = dict.fromkeys(("user", "event", "action")) | {"sendResponse": True}
_TELLING = dict.fromkeys(("user", "event", "action", "comment")) | {"sendResponse": True}
"""The fields in the order of `Response`, for a row's own to be laid over."""

_USER = rf"{PLAIN_USER}|{OBJECT_ID}"
_EVENT = rf"(?!\.\.?(?!{ID})){ID}"
_ACTION = "|".join(Action)
_COMMENT = r'(?:[^"\\]++|\\[^u])++'
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
