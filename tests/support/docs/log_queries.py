"""
The queries of deploy/monitoring as data: which lines a LogQL pipeline takes, what KQL asks for.

A pipeline's filters are carried out as Loki does; what is counted and drawn with them is not.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
STREAM = '{app="bulkrsvp"}'
INTERVALS = {"$__auto": "5m", "$__range": "1h"}

_PIPELINE = re.compile(re.escape(STREAM) + r"(.*?)(?=\[|\Z)", re.DOTALL)
_STAGE = re.compile(
    r"""\s*(?:
        \|(?P<line>[=~])\s*"(?P<text>(?:[^"\\]|\\.)*)"
      | \|\s*json\s+(?P<json>\w+(?:,\s*\w+)*)
      | \|\s*unwrap\s+(?P<unwrap>\w+)
      | \|\s*(?P<label>\w+)(?P<operator>=~?)"(?P<value>[^"]*)"
    )\s*""",
    re.VERBOSE,
)
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Pipeline:
    """The stages of one pipeline behind the stream: line filters, extraction, label filters."""

    text: str

    @property
    def stages(self) -> list[dict[str, str]]:
        """Each stage, by the names of what it has. Raises for what is not understood here."""
        found, place = [], 0
        while place < len(self.text):
            match = _STAGE.match(self.text, place)
            assert match, f"not understood: {self.text[place:]!r}"
            found.append({name: text for name, text in match.groupdict().items() if text})
            place = match.end()
        return found

    @property
    def labels(self) -> set[str]:
        """The fields that are extracted from a line."""
        return {
            name.strip() for stage in self.stages for name in stage.get("json", "").split(",")
        } - {""}

    @property
    def used(self) -> set[str]:
        """The labels that are filtered by, or unwrapped."""
        names = {stage.get("label") or stage.get("unwrap") for stage in self.stages}
        return {name for name in names if name is not None} - {"__error__"}

    def takes(self, line: str) -> bool:
        """Whether a line comes through all filters."""
        fields = json.loads(line) if line.startswith("{") else {}
        return all(_passes(stage, line, fields) for stage in self.stages)


def _passes(stage: dict[str, str], line: str, fields: dict[str, Any]) -> bool:
    if "line" in stage:
        text = re.sub(r"\\(.)", r"\1", stage.get("text", ""))  # as a string of Go is read
        return text in line if stage["line"] == "=" else re.search(text, line) is not None
    if (name := stage.get("label")) is not None and name != "__error__":
        value, wanted = str(fields.get(name) or ""), stage.get("value", "")
        return value == wanted if stage["operator"] == "=" else bool(re.fullmatch(wanted, value))
    return True


def pipelines(expression: str) -> list[Pipeline]:
    """Return the pipelines of an expression; there is at least one."""
    found = [Pipeline(match[1].rstrip(" \n)")) for match in _PIPELINE.finditer(expression)]
    assert found, expression
    return found


def grouped_by(expression: str) -> set[str]:
    """Return the labels that an expression groups or joins by."""
    lists = _GROUPED.findall(expression)
    return {name.strip() for names in lists for name in names.split(",")} - {""}


def alerts() -> list[dict[str, Any]]:
    """Read the alert rules, as a ruler does."""
    read = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Read the dashboard."""
    read: dict[str, Any] = json.loads((FOLDER / "grafana" / "bulkrsvp.json").read_text())
    return read


def shown_expressions() -> Iterator[tuple[str, str]]:
    """Yield the panels' titles and expressions, with what stands in the boxes at first."""
    board = dashboard()
    boxes = {
        f"${box['name']}": box["query"]
        for box in board["templating"]["list"]
        if box["type"] == "textbox"
    }
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], _filled(target["expr"], {**boxes, **INTERVALS})


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text


@dataclass(frozen=True)
class Kql:
    """One query of Log Analytics: what it says of itself, the head, and its own part."""

    name: str
    text: str

    @property
    def head(self) -> str:
        """The lines that say where log lines are read from."""
        return self.text[self.text.index("let since") : self._end_of_head]

    @property
    def body(self) -> str:
        """The query's own part."""
        return self.text[self._end_of_head :]

    @property
    def _end_of_head(self) -> int:
        return self.text.index(", line;\n") + len(", line;\n")

    @property
    def fields(self) -> set[str]:
        """The fields of a line that are read."""
        return set(re.findall(r"\bline\.(\w+)", self.body))

    @property
    def events(self) -> set[str]:
        """The events that are named."""
        return {text for text in _STRING.findall(self.body) if re.fullmatch(r"[a-z]+\.\w+", text)}

    def compared(self, name: str) -> set[str]:
        """Return the words that a column or field is compared with."""
        found = re.findall(rf"\b{name}\)? (?:==|in) (\([^)]*\)|\"[^\"]*\")", self.body)
        return {word for text in found for word in _STRING.findall(text)}

    @property
    def foreign_columns(self) -> set[str]:
        """The columns that are not ours: those of other tables are written in capitals."""
        code = _STRING.sub("", re.sub(r"//.*", "", self.text))
        return set(re.findall(r"\b[A-Z]\w+", code))


def kql_queries() -> list[Kql]:
    """Read all queries."""
    return [Kql(each.name, each.read_text()) for each in sorted((FOLDER / "kql").glob("*.kql"))]


def events_of(texts: Iterable[str], known: Iterable[str]) -> set[str]:
    """Return the known events that texts name, as they are or in a regular expression."""
    whole = "\n".join(texts)
    return {event for event in known if re.search(rf"(?<![\w.]){re.escape(event)}(?!\w)", whole)}
