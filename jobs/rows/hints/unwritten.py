"""
Texts that nobody wrote: what programs leave in a cell for nothing, an error, an object, or a name.

In a field of ids any of it is refused at sight. A comment is somebody's text, so there only what
can hardly be meant is: `none of us` and `[draft]` are texts, `NULL` and `[Last Name]` are not.
"""

import re
from typing import Final

from jobs.quoting import abbreviated

__all__ = ["NOTHING", "SIGNS", "why_unwritten"]

NOTHING: Final = (
    r"(?i:n/a|n\.a\.?|null|none|nil|nan|nat|undefined)|NA|[-\u2010-\u2015]{1,3}|\?{1,3}|0"
)
"""What programs write where a value is absent, as a whole text."""

SIGNS: Final = r"#$%<\[{|\xab"
"""Of these, one stands in whatever else nobody wrote, unless it stands at the beginning."""

_NOTHING: Final = re.compile(
    rf"\s*(?:{NOTHING}|\\N|\$(?i:null|none)"
    r"|[(<\[](?i:null|none|nil|blank|empty|n/a|not set|unknown)[)>\]])\s*"
)
_ERROR: Final = re.compile(
    r"(?<![\w#&])#(?:N/A|NAME\?|REF!|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!"
    r"|UNKNOWN!|BUSY!|PYTHON!|GETTING_DATA|ERROR!|#{3,}"
    r"|NV\b|WERT!|BEZUG!|ZAHL!|NOM\s?\?|VALEUR\s?!|NOMBRE\s?!|¡VALOR!|¡REF!|¡NUM!|¿NOMBRE\?)"
)
"""Of Excel in English, German, French and Spanish, and of Google; `####` is a narrow column."""

_FORMULA: Final = re.compile(r"\s*=\s*(?:[A-Z][A-Z0-9.]+\(|\$?[A-Z]{1,3}\$?[0-9]+\b)")

_OBJECT: Final = re.compile(
    r"@\{\s*\w*\s*(?:=|\}|\Z)"
    r"|\b(?:System|Microsoft)\.(?:\w+\.)*\w+(?:`\d+)?\[[^\]]*\]"
    r"|\A\s*(?:System(?:\.[A-Z]\w*)+|Microsoft(?:\.[A-Z]\w*){2,})(?![\w.])"
    r"|\[object \w+\]"
    r"|<[\w.]+ object at 0x[0-9a-fA-F]+>|<class '[\w.]+'>"
    r"|\A\s*(?:\{\s*[\"'].*\}|\[\s*[{\"'].*\]|\{\s*\}|\[\s*\])\s*\Z",
    re.DOTALL,
)
"""In PowerShell and .NET, in JavaScript, in Python, and as JSON."""

_VARIABLE: Final = r"[A-Za-z_]\w*[a-z_]\w*|[A-Z]{6,}|NAME|USER|UPN|MAIL|EMAIL|DATE|TEXT"
"""Not `$MSFT` and `$USD`, which people write."""

_PLACEHOLDER: Final = re.compile(
    r"\{\{.{0,99}?\}\}|\{[%!].{1,99}?\}|[$#%@]\{.{1,99}?\}|\$\([A-Za-z_][\w.: ]*\)"
    r"|<%.{1,99}?%>|\[%.{1,99}?%\]|\*\|\w+\|\*|<<[\w .-]+>>"
    r"|(?<![\w^_\\}])\{(?:[A-Za-z_][\w.]*|[0-9])\}"
    r"|(?<![\w%])%%?[A-Za-z_]\w*%%?(?!\w)|(?<![\w%])%(?:\(\w+\))?[sd](?!\w)"
    rf"|(?<![\w$])\$(?:{_VARIABLE})\b",
    re.DOTALL,
)
"""Of mail merges, templates, shells, and formats of print."""

_GAP: Final = re.compile(
    r"\[\[?\s*([A-Za-z][\w\s.-]{0,40})\]|<\s*([A-Za-z][\w\s.-]{0,40})>|«([^»]{0,40})»"
)
_PARTS: Final = re.compile(r"[\s_.-]+|(?<=[a-z])(?=[A-Z])")
_NOUN: Final = re.compile(
    r"(?:(?:first|last|user|full|display|sur)?name|e?mail|address|date|day|user|upn|manager"
    r"|successor|company|department|phone|reason|organi[sz]er|employee)s?"
)
_WORD: Final = re.compile(
    rf"{_NOUN.pattern}|the|your|my|their|insert|enter|add|first|last|full|given|family|display|job"
    r"|here|of|leaving|end|start|e|new|old|person|id|title|number"
)
"""Of a gap that a person was to fill: one of the nouns, and nothing but these words."""


def why_unwritten(text: str) -> str | None:
    """Say what left `text`, or a part of it, there and for what; None if a person may have."""
    if _NOTHING.fullmatch(text):
        return f"{abbreviated(text.strip())} is what a program writes for nothing"
    if found := _ERROR.search(text):
        return f"{abbreviated(found[0])} is what a spreadsheet writes for an error"
    if _FORMULA.match(text):
        return "is a formula that no spreadsheet has calculated"
    if found := _OBJECT.search(text):
        return f"{_kind(found[0].strip())} is how a program shows an object"
    if found := _PLACEHOLDER.search(text) or _gap(text):
        return f"{abbreviated(found[0])} is a placeholder that was not filled in"
    return None


def _kind(shown: str) -> str:
    """Return how an object is shown, without what it holds."""
    for begin, end in ("@{", "}"), ("{", "}"), ("[{", "}]"), ('["', '"]'), ("['", "']"):
        if shown.startswith(begin):
            return f"{begin}...{end}"
    return abbreviated(shown)


def _gap(text: str) -> re.Match[str] | None:
    for found in _GAP.finditer(text):
        gap = next(filter(None, found.groups()), "").strip()
        words = [part.casefold() for part in _PARTS.split(gap)]
        if all(map(_WORD.fullmatch, words)) and any(map(_NOUN.fullmatch, words)):
            return found
    return None
