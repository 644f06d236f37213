"""
How foreign text is quoted: shortened in a message, neutralised in a cell of CSV.

Rows, ids, subjects, and what Graph and Redis say are written by others. `config/escaping.py` says
which characters are escaped. Pure: it knows no file, no table and no terminal.
"""

import re
from typing import Final

from config.escaping import escaped, escaped_lines, packed, unpacked

__all__ = ["abbreviated", "cell", "escaped", "escaped_lines", "of_cell", "refusal"]

MAX_QUOTED: Final = 40
"""Characters of a value in a message; the rest of a line is for the message itself."""

MAX_REFUSAL: Final = 300
"""Characters of an error message from another program."""

_CALCULATED: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""
How a cell begins that a spreadsheet calculates, perhaps behind apostrophes (OWASP: CSV Injection).

The last four are =, +, - and @ in full width, which some spreadsheets take for the same.
"""

_PIPELINED: Final = re.compile(
    r"Command # \d+ \((\S+) .*\) of pipeline caused error: \(?['\"]?(.*?)['\"]?,?\)?", re.DOTALL
)
"""How redis-py words an error in a pipeline: with all arguments, which may be packed rows."""


def abbreviated(value: str) -> str:
    """Quote `value` for a message: shortened, without anything that a terminal would obey."""
    short = value if len(value) <= MAX_QUOTED else f"{value[: MAX_QUOTED - 3]}..."
    return ascii(short)


def refusal(error: BaseException) -> str:
    """Return what `error` says, at most `MAX_REFUSAL` characters, without a command's arguments."""
    text = str(error) or type(error).__name__
    if found := _PIPELINED.fullmatch(text):
        text = f"{found[1]}: {found[2]}"
    return escaped(text if len(text) <= MAX_REFUSAL else f"{text[: MAX_REFUSAL - 3]}...")


def cell(text: str) -> str:
    """
    Return `text` for a cell of CSV; `of_cell` returns it again, whatever it is.

    An apostrophe goes before what a spreadsheet would calculate.
    """
    safe = packed(text)
    return f"'{safe}" if _CALCULATED.match(safe) else safe


def of_cell(text: str) -> str:
    """Return what `cell` was given."""
    return unpacked(text[1:] if text.startswith("'") and _CALCULATED.match(text) else text)
