"""What the pages say of places holds: hosts, files, clouds, the sandbox, the way of imports."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from config.clouds import CLOUDS
from tests.support import ROOT
from tests.support.docs.pages import Page, Pages
from worker.sandbox import control
from worker.sandbox.calendar.traits import BUSY, EVENT_TRAITS, USER_TRAITS

PAGES = Pages.load()
EXAMPLE_HOSTS = {"contoso.com", "localhost:6379", "learn.microsoft.com"}
HOST = re.compile(
    r"(?://|@|\b)((?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|us|cn|co|sh|cloud)\b|localhost)(:\d+)?"
)
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|lua|toml))|\.ci/run")


def test_the_table_lists_the_clouds() -> None:
    """The table lists the clouds as they are called."""
    expected = [
        [
            f"`{cloud.name}`",
            f"`{cloud.graph_url}`",
            f"`{cloud.authority}`",
            "yes" if cloud.proposals_allowed else "no",
        ]
        for cloud in CLOUDS.values()
    ]
    table = PAGES.table("The clouds", "`BULKRSVP_CLOUD`")
    assert expected == [[name, *rest] for name, _, *rest in table.rows]


def test_the_table_lists_events_that_behave_by_name() -> None:
    """The table lists the events that behave by their names."""
    assert list(EVENT_TRAITS) == PAGES.table("Names that decide", "event").names("event")


def test_the_table_lists_users_that_behave_by_name() -> None:
    """The table lists the users that behave by their names."""
    assert [*USER_TRAITS, BUSY] == PAGES.table("Names that decide", "user").names("user")


def test_the_table_lists_the_sandboxs_own_paths() -> None:
    """The table lists the sandbox's own paths."""
    told = re.findall(r"^ +((?:GET|POST|PUT|DELETE) +/\S+)", control.__doc__ or "", re.MULTILINE)
    expected = [" ".join(path.split()) for path in told]
    assert expected == PAGES.table("Reading and steering it", "path").names("path")


def test_every_file_that_is_named_exists() -> None:
    """Every file and folder of ours that is named exists."""
    named = {span for span in PAGES.spans if FILE.fullmatch(span)}
    assert "worker/slice/work.py" in named
    assert [] == [name for name in sorted(named) if not (ROOT / name).exists()]


def test_the_drawing_has_every_folder_of_code() -> None:
    """The drawing has every folder of code, and each folder in it is there."""
    page = Page.load("worker/README.md")
    (drawing,) = (block for block in page.blocks("text") if "\nconfig/" in block)
    path, drawn = list[str](), set[str]()
    for line in drawing.splitlines():
        name, indent = line.split()[0], len(line) - len(line.lstrip())
        path[indent // 4 :] = [name]
        drawn.add("".join(path))
    packages = {
        f"{found.parent.relative_to(ROOT)}/"
        for folder in ("config", "jobs", "worker")
        for found in (ROOT / folder).rglob("__init__.py")
    }
    assert packages <= drawn
    assert [] == [folder for folder in sorted(drawn) if not (ROOT / folder).is_dir()]


def test_no_foreign_host_is_named() -> None:
    """No host is named but Microsoft's, this machine and examples: above all no registry."""
    clouds = CLOUDS.values()
    microsoft = {urlsplit(url).netloc for c in clouds for url in (c.graph_url, c.authority)}
    named = {host + port for host, port in HOST.findall(PAGES.text)}
    assert named == microsoft | EXAMPLE_HOSTS


def test_imports_go_one_way() -> None:
    """Imports go one way: worker, jobs, config; the rule that says so is kept."""
    linter = Path(sys.executable).parent / "lint-imports"
    kept = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == kept.returncode, kept.stdout
    assert "config <- jobs <- worker, never back KEPT" in kept.stdout


def test_a_line_of_prose_holds_one_sentence() -> None:
    """A line of prose holds one sentence."""
    lines = [line for page in PAGES for line in page.prose.splitlines()]
    prose = [line for line in lines if not line.startswith(("|", "#"))]
    assert [] == [line for line in prose if re.search(r"(?<!\d)[.!?] [A-Z`*]", line)]
