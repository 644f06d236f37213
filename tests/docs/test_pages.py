"""The pages as a whole: short, reachable from the front page, and linked to what is there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from zipfile import ZipFile

import pytest

from tests.support import ROOT
from tests.support.docs.pages import Page, Pages

PAGES = {page.name: page for page in Pages.load()}
FRONT = PAGES["README.md"]

NAMED = re.compile(r"\b((?:[\w-]+/)*[\w-]+\.md)(?:#([\w-]+))?")
"""How a page is named in code, in help and in what is deployed."""


def targets(page: Page) -> list[tuple[str, str]]:
    """Return the files and headings that a page's links lead to, in this repository."""
    here = str(Path(page.name).parent)
    inside = [link.partition("#") for link in page.links if "://" not in link]
    return [
        (normpath(f"{here}/{path}") if path else page.name, heading) for path, _, heading in inside
    ]


def test_the_front_page_is_short() -> None:
    """The front page has at most 180 lines and 10 KB."""
    assert len(FRONT.text.splitlines()) <= 180
    assert len(FRONT.text.encode()) <= 10 * 1024


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_a_page_is_short(page: Page) -> None:
    """No page has 400 lines, and no two of its headings have the same anchor."""
    assert len(page.text.splitlines()) < 400
    assert len(page.anchors) == len(set(page.anchors))


def test_the_map_leads_to_every_page() -> None:
    """Every page is one step from the front page, by its map."""
    mapped = FRONT.parts()["the-pages"]
    linked = {path for path, _ in targets(Page(FRONT.name, mapped))}
    assert {*PAGES} - {FRONT.name} == {path for path in linked if path.endswith(".md")}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    """Every relative link leads to a file, and to a heading of it where it names one."""
    for path, heading in targets(page):
        assert (ROOT / path).exists(), path
        assert not heading or heading in PAGES[path].anchors, f"{path}#{heading}"


def shipped() -> Iterator[tuple[str, str]]:
    """List what is installed or deployed, with its text; pages aside."""
    for folder in ("config", "jobs", "worker", "deploy"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in {".md", ".pyc"}:
                yield str(path.relative_to(ROOT)), path.read_text(errors="replace")


def test_pages_named_in_code_exist() -> None:
    """A page that is named in code, in help or in what is deployed is there, with its heading."""
    named = [(path, *found) for path, text in shipped() for found in NAMED.findall(text)]
    assert named
    for path, page, heading in named:
        assert page in PAGES, path
        assert not heading or heading in PAGES[page].anchors, f"{path}: {page}#{heading}"


def test_nothing_sends_to_the_front_page() -> None:
    """Code and what is deployed name the page that has it: the front page is a map."""
    assert [] == [path for path, text in shipped() if re.search(r"\b[Tt]he README\b", text)]


def test_a_wheel_has_no_pages(tmp_path: Path) -> None:
    """What is installed has all modules and scripts of the ledger, and no page."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as packed:
        names = packed.namelist()
    modules = [
        str(path.relative_to(ROOT))
        for folder in ("config", "jobs", "worker")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua"}
    ]
    assert {*modules} <= {*names}
    assert [] == [name for name in names if name.endswith(".md")]
