"""The simulated Graph from outside: a process, and what it tells of itself."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.request import ProxyHandler, Request, build_opener

from tests.bench.child import Child
from tests.bench.graph import Tally

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What Graph has counted since its reset, by the domain of the user."""

    tallies: Mapping[str, Tally]
    cpu_s: float

    def of(self, domain: str) -> Tally:
        """Return what came from one domain."""
        return self.tallies.get(domain, Tally())

    @property
    def taken(self) -> int:
        """Responses taken, each counted once."""
        return sum(each.taken for each in self.tallies.values())

    @property
    def duplicates(self) -> int:
        """Responses taken again: one more mail to an organizer each."""
        return sum(each.duplicates for each in self.tallies.values())

    @property
    def throttled(self) -> int:
        """Calls answered with 429."""
        return sum(each.throttled for each in self.tallies.values())

    @property
    def calls(self) -> int:
        """All calls."""
        return sum(each.calls for each in self.tallies.values())

    @property
    def span_s(self) -> float:
        """From the first call to the last."""
        firsts = [each.first_at for each in self.tallies.values()]
        return max(each.last_at for each in self.tallies.values()) - min(firsts)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A call in the journal."""

    at: float
    mailbox: str
    event: str


class GraphClient:
    """The simulated Graph in a process of its own, from `with` until its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opener = build_opener(ProxyHandler({}))
        self.url = ""

    def __enter__(self) -> Self:
        self._child = Child([sys.executable, "graph.py"], {}, self._folder / "graph.log")
        self._child.wait_for(b"\n", PATIENCE_S)
        self.url = self._child.log.read_text().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def reset(self, **options: Any) -> None:
        """Begin anew; takes what `graph.Options` takes."""
        self._ask("reset", json.dumps(options).encode())

    def counted(self) -> Counted:
        """Return what it has counted."""
        stats = self._ask("stats")
        tallies = {domain: Tally(**each) for domain, each in stats["tallies"].items()}
        return Counted(tallies, stats["cpu_s"])

    def journal(self) -> list[Arrived]:
        """Return each call since a reset with `journal`."""
        return [Arrived(*line) for line in self._ask("journal")]

    def _ask(self, what: str, content: bytes | None = None) -> Any:
        request = Request(f"{self.url}/bench/{what}", data=content)
        with self._opener.open(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)
