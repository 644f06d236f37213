"""
One set of versions for all: the cut-off in `pyproject.toml`, the image's locks, and uv itself.

`.ci/renew` moves them together. No test here needs a network or asks what day it is: what the
cut-off gives is what uv has installed for this run, and noted in `uv.lock`.
"""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT
from tests.support.docs.dockerfile import DEPLOY, requirements
from tests.support.docs.pages import Pages

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RENEW = (ROOT / ".ci" / "renew").read_text()
LOCKS = {"requirements.txt": "bulkrsvp", "build-requirements.txt": "hatchling"}
"""What the image is locked to, and whose needs that meets."""

STALE = "these are not the versions of the cut-off; uv lock --upgrade takes them"


def test_the_cut_off_is_a_moment_in_utc() -> None:
    """The cut-off is a moment, and no date that each time zone reads otherwise."""
    cut_off = datetime.fromisoformat(PROJECT["tool"]["uv"]["exclude-newer"])
    assert "UTC" == cut_off.tzname()


def test_what_builds_is_tested() -> None:
    """The tests' environment holds what the image is built with, from the same requirement."""
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["build"]
    assert {"include-group": "build"} in PROJECT["dependency-groups"]["dev"]


def test_every_install_says_its_versions() -> None:
    """Whatever is installed by a command comes in one version of uv, by it, or by a lock."""
    newest = ROOT / ".ci" / "newest"  # its purpose is to have no versions
    files = [*(ROOT / ".ci").iterdir(), *DEPLOY.rglob("*")]
    texts = [path.read_text() for path in files if path.is_file() and path != newest]
    texts += [page.text for page in Pages.load()]
    lines = [line for text in texts for line in text.splitlines() if "pip install" in line]
    pins = {pin for line in lines for pin in re.findall(r"\buv==[0-9.]+", line)}
    said = re.compile(
        r'pip install uv==|pip install "\$uv"|uv pip install|--require-hashes|--no-index'
    )
    assert [] == [line for line in lines if not said.search(line)]
    assert 1 == len(pins)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_plain(name: str) -> None:
    """A lock file holds versions and hashes; no address, no option, no comment, no path."""
    for requirement, hashes in requirements((DEPLOY / name).read_text()).values():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( ; .+)?", requirement)
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_what_is_tested(name: str) -> None:
    """For this machine a lock holds what is needed, directly or not, as it is installed here."""
    locked = map(
        Requirement, (each for each, _ in requirements((DEPLOY / name).read_text()).values())
    )
    here = {each.name: str(each.specifier) for each in locked if applies(each)}
    needed = {need for need in needs_of(LOCKS[name]) if need != "bulkrsvp"}
    assert {need: f"=={version(need)}" for need in needed} == here, STALE


def applies(requirement: Requirement, extra: str = "") -> bool:
    """Tell whether a requirement counts on this machine."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def needs_of(root: str) -> set[str]:
    """Return the name of a distribution, and of all that it needs on this machine."""
    wanted, seen = [(root, "")], set[tuple[str, str]]()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) not in seen:
            seen.add((name, extra))
            wanted += needed(name, extra)
    return {name for name, _ in seen}


def needed(name: str, extra: str) -> Iterator[tuple[str, str]]:
    """List what a distribution needs by itself, for one of its extras or none."""
    for each in map(Requirement, requires(name) or []):
        if applies(each, extra):
            yield from ((canonicalize_name(each.name), more) for more in ("", *each.extras))


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_what_resolves(name: str) -> None:
    """For all machines a lock is what `.ci/renew` would write for these versions."""
    uv = shutil.which(os.environ.get("UV", "uv"))
    if uv is None or not (ROOT / "uv.lock").exists():
        pytest.skip("the tests were not started by uv run, so nothing is resolved")
    (export,) = re.findall(rf"^uv (export .+) > deploy/{name}$", RENEW, re.MULTILINE)
    command = [uv, *shlex.split(export)]
    exported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert requirements(exported) == requirements((DEPLOY / name).read_text()), STALE
