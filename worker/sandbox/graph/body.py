"""
What the body of an action says, and what Graph refuses in it whatever the event is.

Both spellings of the keys are read, as Graph does: `sendResponse` and `SendResponse`. The body
is read apart from the worker's own checks, which the sandbox is there to test.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from worker.sandbox.graph.replies import (
    COMMENT_UNSENT,
    NOT_JSON,
    PROPOSAL_UNSENT,
    RefusedError,
    bad_request,
    unknown_parameter,
)

_PARAMETERS: Final = frozenset({"comment", "sendResponse", "proposedNewTime"})
_SLOT: Final = frozenset({"start", "end"})
_LOCAL_TIME: Final = frozenset({"dateTime", "timeZone"})


@dataclass(frozen=True, slots=True)
class ActionBody:
    """What matters of a body: whether the organizer is told, and of another time."""

    sends: bool
    proposes: bool


def read_body(content: bytes, content_type: str, action: str) -> ActionBody:
    """
    Read the body of an action (Graph: event-decline, event-tentativelyaccept).

    Raises `RefusedError` with the 400 that Graph would answer.
    """
    given = _parse(content, content_type, action)
    comment = _typed(given, "comment", str)
    sends = _typed(given, "sendResponse", bool) is not False  # left out, it means true
    proposal = _typed(given, "proposedNewTime", dict)
    if proposal is not None:
        _check_slot(proposal)
    if not sends and comment is not None:
        raise RefusedError(COMMENT_UNSENT)
    if not sends and proposal is not None:
        raise RefusedError(PROPOSAL_UNSENT)
    return ActionBody(sends, proposal is not None)


def _parse(content: bytes, content_type: str, action: str) -> dict[str, Any]:
    try:
        given = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise RefusedError(NOT_JSON) from None
    if not isinstance(given, dict) or "json" not in content_type:
        raise RefusedError(NOT_JSON)
    named = {_camel(key): value for key, value in given.items()}
    for name in named.keys() - _PARAMETERS:
        raise RefusedError(unknown_parameter(name, action))
    return named


def _camel(key: str) -> str:
    return key[:1].lower() + key[1:]


def _typed(given: dict[str, Any], name: str, kind: type) -> Any:
    value = given.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise RefusedError(bad_request(f"Cannot convert the value of '{name}' to the expected type."))


def _check_slot(proposal: dict[str, Any]) -> None:
    """Want start and end, each a local time with a zone, and nothing else."""
    for moment in _exactly(proposal, _SLOT):
        if not isinstance(moment, dict):
            raise RefusedError(bad_request("A moment must be a dateTime and a timeZone."))
        if not all(isinstance(text, str) for text in _exactly(moment, _LOCAL_TIME)):
            raise RefusedError(bad_request("A dateTime and a timeZone must be text."))


def _exactly(given: dict[str, Any], names: frozenset[str]) -> list[Any]:
    named = {_camel(key): value for key, value in given.items()}
    if named.keys() != names:
        wanted = " and ".join(sorted(names))
        raise RefusedError(bad_request(f"'proposedNewTime' wants {wanted} here."))
    return list(named.values())
