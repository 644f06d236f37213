"""The log lines that the product's source can write, read from its syntax trees."""

import ast
from collections import defaultdict
from dataclasses import dataclass, field

from tests.support import ROOT

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
PACKAGES = ("config", "jobs", "worker")


@dataclass
class Written:
    """
    What the calls for one event write.

    `whole` is false where fields, and `fixed` where a level, are chosen at run time.
    """

    fields: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    whole: bool = True
    fixed: bool = True


def written_events() -> dict[str, Written]:
    """Return every event that a call to a logger names, with its fields and fixed levels."""
    events: dict[str, Written] = defaultdict(Written)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (levels := _logged_at(node.func)) is not None:
                    _note(events, node, levels)
    return dict(events)


def _logged_at(function: ast.expr) -> set[str] | None:
    """Return the levels of a logger's method, none if chosen at run time, None for others."""
    match function:
        case ast.Attribute(value=logger, attr=name) if name in LEVELS and _is_logger(logger):
            return {"error" if name == "exception" else name}
        case ast.Attribute(value=logger, attr="log") if _is_logger(logger):
            return set()
        case ast.Call(func=ast.Name(id="getattr"), args=[logger, *_]) if _is_logger(logger):
            return set()
        case ast.IfExp(body=body, orelse=other):
            first, second = _logged_at(body), _logged_at(other)
            return None if first is None or second is None else first | second
    return None


def _is_logger(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.lstrip("_") == "log"


def _note(events: dict[str, Written], call: ast.Call, levels: set[str]) -> None:
    names = [
        argument.value
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    assert 1 == len(names), f"line {call.lineno}: an event is to be named by a constant"
    keywords = {each.arg for each in call.keywords}
    written = events[names[0]]
    written.levels |= levels
    written.fixed &= bool(levels)
    written.whole &= None not in keywords
    written.fields |= {_shown(name) for name in keywords if name is not None}
    if isinstance(call.func, ast.Attribute) and call.func.attr == "exception":
        written.fields.add("exception")


def _shown(name: str) -> str:
    return "exception" if name == "exc_info" else name
