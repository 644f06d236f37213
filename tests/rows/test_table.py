"""However a table is cut into rows, its lines and cells are those that a reader of CSV finds."""

import csv
from io import BytesIO, TextIOWrapper
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.rows.jsonl import COLUMNS, Problem
from jobs.rows.table import read_csv

NAMES = COLUMNS[:4]
PIECES = ['"', '""', ",", '",', ',"', "a", " b", "\n", "\r\n", "\r", "\0", "\x1c", "\u2028", "é"]


def lines_of(text: str) -> TextIOWrapper:
    """Return `text` as a file has it."""
    return TextIOWrapper(BytesIO(text.encode()), "utf-8", newline="")


def by_one_reader(text: str) -> list[tuple[int, dict[str, Any] | None]]:
    """Return each row and its line, as one reader of CSV has them; for a broken one, None."""
    reader = csv.reader(lines_of(text), strict=True)
    found: list[tuple[int, dict[str, Any] | None]] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return found[1:]
        except csv.Error:
            found.append((line, None))
            continue
        fields = {name: cell for name, cell in zip(NAMES, cells, strict=False) if cell}
        if any(cells):
            found.append((line, fields if len(cells) <= len(NAMES) else None))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@example(f'{"x" * 131_073}\n"a"\n')
@example(f'{"x" * 131_072}\n"{"x" * 131_073}"\na\n')
@example('a,"b\n\nc",d\n"e"f,g\nh,"i')
@example('"a","b,c","","d"\n"a""b","c"\n""\n"a"",""b"\n"a",b","c"\n"')
def test_rows_are_those_of_one_reader(rest: str) -> None:
    """Quotes or none, broken or whole: each row starts where it does, and holds what it does."""
    text = f"{','.join(NAMES)}\n{rest}"
    found = [
        (each.line, None) if isinstance(each, Problem) else each
        for each in read_csv(lines_of(text))
    ]

    assert by_one_reader(text) == found
