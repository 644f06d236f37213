"""The pages as data: sections, tables, links, code and invocations, for their tests."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from tests.support import ROOT

FOLDERS = ("config", "jobs", "worker", "deploy", "tests")
"""Where pages stand, beside those at the root."""

_HEADING = re.compile(r"^#{1,6} (.+)$")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)]+)\)")
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


class Page:
    """The text of a page, taken apart."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.prose = _FENCE.sub("", text)
        self.tables = _find_tables(self.prose)

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a page by its path from the root of the repository."""
        return cls(name, (ROOT / name).read_text())

    @property
    def anchors(self) -> list[str]:
        """What links to its headings end with, in their order."""
        headings = map(_HEADING.match, self.prose.splitlines())
        return [anchor(heading[1]) for heading in headings if heading]

    @property
    def links(self) -> list[str]:
        """Where its links and pictures lead, as they are written."""
        return _LINK.findall(self.prose)

    def parts(self) -> dict[str, str]:
        """Return the text below each heading of the second level, by its anchor."""
        _, *parts = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)
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


class Pages:
    """All pages, read as one: what a test asks for stands on one of them, wherever that is."""

    def __init__(self, pages: list[Page]) -> None:
        self._pages = pages

    @classmethod
    def load(cls) -> Self:
        """Read all pages of this repository."""
        return cls([Page.load(name) for name in _names()])

    def __iter__(self) -> Iterator[Page]:
        return iter(self._pages)

    def table(self, section: str, *columns: str) -> Table:
        """Return the one table under such a heading whose columns begin with these."""
        found = [
            table
            for page in self
            for heading, table in page.tables
            if heading == section and tuple(table.header[: len(columns)]) == columns
        ]
        assert 1 == len(found), f"{len(found)} tables {columns} under {section!r}"
        return found[0]

    def blocks(self, language: str) -> list[str]:
        """Return the fenced blocks in a language."""
        return [block for page in self for block in page.blocks(language)]

    @property
    def text(self) -> str:
        """All that is written."""
        return "\n".join(page.text for page in self)

    @property
    def spans(self) -> list[str]:
        """What stands in code inside the prose."""
        return [span for page in self for span in page.spans]

    @property
    def invocations(self) -> list[list[str]]:
        """The arguments of each call of the console command that the pages show."""
        return [arguments for page in self for arguments in page.invocations]


def _names() -> list[str]:
    folders = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
    found = [*ROOT.glob("*.md"), *folders]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "table.md")


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
