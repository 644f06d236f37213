"""The Dockerfile as data: its stages and their steps, for the tests that hold and run them."""

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import takewhile

from tests.support import ROOT

DEPLOY = ROOT / "deploy"


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction; of a `COPY --from` the flags belong to the argument."""

    word: str
    argument: str

    @property
    def words(self) -> list[str]:
        """The argument in exec form, or split at white space."""
        if self.argument.startswith("["):
            parts: list[str] = json.loads(self.argument)
            return parts
        return self.argument.split()


def stages() -> list[list[Step]]:
    """Return the steps of each stage, each beginning with FROM."""
    found: list[list[Step]] = []
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, argument = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Step(word, argument))
    return found


def is_sent(path: str) -> bool:
    """Tell whether .dockerignore lets a file or folder of the repository into the build."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        parents = ["/".join(path.split("/")[: n + 1]) for n in range(path.count("/") + 1)]
        if line and not line.startswith("#") and any(fnmatch(part, rule) for part in parents):
            sent = line.startswith("!")
    return sent


def requirements(text: str) -> dict[str, tuple[str, list[str]]]:
    """Read the text of a lock: each distribution with its requirement and its hashes."""
    locked = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        requirement, *hashes = line.split(" --hash=")
        names = "".join(takewhile(lambda letter: letter not in "=[ ", requirement))
        locked[names] = (requirement.strip(), [each.strip() for each in hashes])
    return locked
