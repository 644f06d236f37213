"""The README as data: its sections, tables, code and invocations, for the tests that hold it."""

import re
import shlex
from dataclasses import dataclass

from tests.support import ROOT

_HEADING = re.compile(r"^#{1,6} (.+)$")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_INVOKED = re.compile(r"(?:^|[ &/])bulkrsvp ((?:-|[a-z]+\b)[^#;|<>&]*)")


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and its rows, cell by cell."""

    header: list[str]
    rows: list[list[str]]

    def spans(self, column: str) -> list[list[str]]:
        """Return what stands in code in each cell of a column."""
        place = self.header.index(column)
        return [_SPAN.findall(row[place]) for row in self.rows]

    def names(self, column: str) -> list[str]:
        """Return the one name in code that each cell of a column begins with."""
        return [spans[0] for spans in self.spans(column)]


class Readme:
    """The text of a README, taken apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.prose = _FENCE.sub("", text)
        self._tables = _find_tables(self.prose)

    @classmethod
    def load(cls) -> "Readme":
        """Read the README of this repository."""
        return cls((ROOT / "README.md").read_text())

    def table(self, section: str, *columns: str) -> Table:
        """Return the one table under a heading whose columns begin with these."""
        found = [
            table
            for heading, table in self._tables
            if heading == section and tuple(table.header[: len(columns)]) == columns
        ]
        assert 1 == len(found), f"{len(found)} tables {columns} under {section!r}"
        return found[0]

    def section(self, heading: str) -> dict[str, str]:
        """Return the parts of a section by the anchors of their headings."""
        section = re.split(rf"^## {re.escape(heading)}$", self.text, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", section, flags=re.MULTILINE)[0]
        _, *parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
        return {anchor(name): part for name, part in zip(parts[::2], parts[1::2], strict=True)}

    def blocks(self, language: str) -> list[str]:
        """Return the fenced blocks in a language."""
        return [text for found, text in _FENCE.findall(self.text) if found == language]

    @property
    def spans(self) -> list[str]:
        """What stands in code inside the prose."""
        return _SPAN.findall(self.prose)

    @property
    def invocations(self) -> list[list[str]]:
        """The arguments of each call of the console command that the code shows."""
        typed = [
            line.removeprefix("$ ")
            for block in [*self.blocks("console"), *self.blocks("sh")]
            for line in block.splitlines()
            if line.startswith(("$ ", "pip install"))
        ]
        said = [match[1] for text in [*self.spans, *typed] for match in _INVOKED.finditer(text)]
        return [shlex.split(arguments) for arguments in said]


def anchor(heading: str) -> str:
    """Return what a link to a heading ends with."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def _find_tables(prose: str) -> list[tuple[str, Table]]:
    tables: list[tuple[str, Table]] = []
    heading, cells = "", list[list[str]]()
    for line in [*prose.splitlines(), ""]:
        if line.startswith("|"):
            cells.append([cell.strip() for cell in line[1:].rstrip(" |").split("|")])
            continue
        if cells:
            tables.append((heading, _table(cells)))
            cells = []
        if match := _HEADING.match(line):
            heading = match[1]
    return tables


def _table(cells: list[list[str]]) -> Table:
    header, _, *rows = cells
    # Empty cells at the end of a row are cut off with its last bar.
    return Table(header, [row + [""] * (len(header) - len(row)) for row in rows])
