"""
The JSON of a page, made such that it can be parsed, in little time and little memory.

All of it goes forward through the bytes once, whatever they are: a page that is not what it should
be costs no more than one that is.
"""

import re
from typing import Final

Text = bytes | bytearray

HEAVY: Final = 1 << 20
"""Bytes of a page from which attendees are cut: with a usual one it takes longer than it saves."""

MAX_LEFT: Final = 2 << 20
"""Bytes without attendees that are worth reading: 500 events have a third of it."""

MAX_OBJECTS: Final = 1 << 16
MAX_VALUES: Final = 1 << 18
"""JSON that is worth reading, attendees aside: a page of 1,000 events has a tenth of it."""

_ATTENDEES: Final = b'"attendees"'
_SOMEBODY: Final = re.compile(rb'"attendees"\s*+:\s*+\[\s*+\{')
_BODIES: Final = re.compile(
    rb'(?:[^"\[\]]++|"(?!attendees"\s*+:\s*+\[)(?:[^"\\]++|\\.)*+"){1,4096}+', re.DOTALL
)
"""
Some of what is in a list without lists. It ends before another list of attendees too, which
may be one that can be cut. So much at once, since nothing else runs during a match.
"""

_MENDED: Final = rb"\ufffd"
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""A surrogate; without its other half, as in a text cut inside an emoji, it is not a text."""

_WHOLE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}){1,4096}+",
    re.DOTALL,
)


def legible(content: Text) -> Text:
    """
    Return the JSON of a page in a form that can be parsed; empty where it would take too much.

    Of attendees on a heavy page it keeps whether there are any: who they are is of no use, and
    made into objects they take most of the room. Half a surrogate in one subject, or bytes that
    are not UTF-8, must not cost the whole page.
    """
    if len(content) > HEAVY:
        content = _without_attendees(content)
    if content.count(b"{") > MAX_OBJECTS or content.count(b",") > MAX_VALUES:
        return b""
    if _HALF.search(content):
        content = _without_halves(content)
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode(errors="replace").encode()
    return content


def _without_attendees(content: Text) -> Text:
    """Return what is left when lists of attendees have one empty object; empty if too much is."""
    if content.count(_ATTENDEES) > MAX_OBJECTS:
        return b""
    left, view, begins = bytearray(), memoryview(content), 0
    at = content.find(_ATTENDEES)
    while at >= 0 and len(left) <= MAX_LEFT:
        end = at + len(_ATTENDEES)
        in_text = content[at - 1 : at] == b"\\"
        somebody = None if in_text else _SOMEBODY.match(content, at)
        if somebody is not None:
            end = _after(_BODIES, content, somebody.end())
            if content[end : end + 1] == b"]":
                left += view[begins : somebody.end()]
                left += b"}"
                begins = end
        at = content.find(_ATTENDEES, end)
    if len(left) + len(content) - begins > MAX_LEFT:
        return b""
    left += view[begins:]
    return left


def _without_halves(content: Text) -> Text:
    """Return it with a mark of the same length for each half of a surrogate."""
    mended, at = bytearray(content), 0
    while True:
        at = _after(_WHOLE, mended, at)
        half = _HALF.match(mended, at)
        if half is None:  # the end, or not JSON in any case
            return mended
        mended[at : half.end()] = _MENDED
        at = half.end()


def _after(some: re.Pattern[bytes], content: Text, at: int) -> int:
    """Return the first place from which a pattern matches no more."""
    while found := some.match(content, at):
        at = found.end()
    return at
