r"""
Characters that a terminal obeys, or that rearrange text, and how they are shown.

Control characters, line and paragraph separators, bidirectional controls, characters without
width, and lone surrogates are written as Python writes them in a string: `\x1b`, `\u202e`. Joiners
stay, because scripts and emoji need them. Pure text in and out; it knows no terminal.
"""

import re
from typing import Final

_SEEN_AND_OBEYED: Final = r"\t\n\r"
_OBEYED: Final = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 and C1, where escape sequences begin
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls (UAX 9, 2)
    r"\u2028\u2029"  # separators of lines and paragraphs
    r"\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # no width, and nothing to see
    r"\ud800-\udfff"  # halves of a character, which cannot be written as UTF-8
)

_LINE: Final = re.compile(f"[{_SEEN_AND_OBEYED}{_OBEYED}]")
_LINES: Final = re.compile(f"[\t\r{_OBEYED}]")
_CELL: Final = re.compile(f"[{_OBEYED}]")
_WRITTEN: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")
_BACKSLASH: Final = "\\"


def escaped(text: str) -> str:
    """Return `text` as one line that a terminal only shows."""
    return _LINE.sub(_written, text)


def escaped_lines(text: str) -> str:
    """Return `text` as `escaped` does, but keep where its lines end."""
    return _LINES.sub(_written, text)


def packed(text: str) -> str:
    """
    Return `text` for a cell, so that `unpacked` returns it again, whatever it holds.

    Tabs and line breaks stay: a cell may hold them. A backslash is escaped only before what
    would be read as an escape.
    """
    return _CELL.sub(_written, _WRITTEN.sub(_without_backslash, text))


def unpacked(text: str) -> str:
    """Return what `packed` was given."""
    return _WRITTEN.sub(_read, text)


def _written(found: re.Match[str]) -> str:
    return _write(found[0])


def _write(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _without_backslash(found: re.Match[str]) -> str:
    return rf"\x5c{found[0][1:]}" if _is_escape(found) else found[0]


def _read(found: re.Match[str]) -> str:
    return _meant(found) if _is_escape(found) else found[0]


def _is_escape(found: re.Match[str]) -> bool:
    """Whether `packed` may have written this, in the one way that it writes it."""
    meant = _meant(found)
    if meant == _BACKSLASH:
        return found[1] is not None
    return _CELL.fullmatch(meant) is not None and _write(meant) == found[0]


def _meant(found: re.Match[str]) -> str:
    return chr(int(found[1] or found[2], 16))
