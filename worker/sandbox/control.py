"""
The sandbox's own paths under `/sandbox/` on the Graph port: read what happened, set what shall.

They serve tests in other processes and people with curl. What is posted is checked as a whole
before any of it is used; what is wrong comes back as 400 with every fault named.

    GET    /sandbox/journal?since=SEQ        what Graph received, as JSON lines
    DELETE /sandbox/journal                  forget it
    GET    /sandbox/stats                    the journal added up
    POST   /sandbox/faults                   a list of rules
    DELETE /sandbox/faults                   disarm all
    PUT    /sandbox/options                  change some options; returns all
    GET    /sandbox/tokens                   requests at the token endpoint, as JSON lines
    DELETE /sandbox/tokens                   revoke every token
    GET    /sandbox/calendar/USER            events that are no longer as their names say
    PUT    /sandbox/calendar/USER/EVENT      change some of an event's state; returns all
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from worker.sandbox.faults import Rule
from worker.sandbox.world import World

PREFIX: Final = "/sandbox/"

_RULES: Final = TypeAdapter(list[Rule])
_CHANGES: Final = TypeAdapter(dict[str, Any])
_Model = TypeVar("_Model", bound=BaseModel)


class Control:
    """Answers every request under `/sandbox/`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Read or change the world."""
        content = await request.read()
        path, _, query = request.raw_path.removeprefix(PREFIX).partition("?")
        # Decoded after it was split: a user or an event may hold a slash here.
        asked = (request.method, *(unquote(segment) for segment in path.split("/")))
        try:
            answer = self._read(asked, query) if asked[0] == "GET" else self._write(asked, content)
        except ValidationError as error:
            return _wrong(_explain(error))
        except ValueError as error:  # `since` is no number
            return _wrong(str(error))
        return answer or web.Response(status=404, text="no such path under /sandbox/\n")

    def _read(self, asked: tuple[str, ...], query: str) -> web.Response | None:
        match asked:
            case ("GET", "journal"):
                since = int(parse_qs(query).get("since", ["0"])[0])
                return _json_lines(self._world.journal.entries(since))
            case ("GET", "stats"):
                return _json(self._world.stats())
            case ("GET", "tokens"):
                return _json_lines(self._world.tokens.requests)
            case ("GET", "calendar", user):
                return _json(self._changed(user))
        return None

    def _write(self, asked: tuple[str, ...], content: bytes) -> web.Response | None:
        match asked:
            case ("POST", "faults"):
                self._world.faults.arm(_RULES.validate_json(content))
                return _done()
            case ("PUT", "options"):
                self._world.options = _with_changes(self._world.options, content)
                return _json(self._world.options.model_dump())
            case ("PUT", "calendar", user, event):
                return _json(self._put_event(user, event, content))
            case ("DELETE", what) if what in self._removals:
                self._removals[what]()
                return _done()
        return None

    @property
    def _removals(self) -> dict[str, Callable[[], None]]:
        return {
            "journal": self._world.journal.clear,
            "faults": self._world.faults.disarm,
            "tokens": self._world.tokens.revoke,
        }

    def _changed(self, user: str) -> dict[str, Any]:
        mailbox = self._world.calendars.mailbox(user, self._world.options)
        return {event: state.model_dump(by_alias=True) for event, state in mailbox.changed.items()}

    def _put_event(self, user: str, event: str, content: bytes) -> dict[str, Any]:
        mailbox = self._world.calendars.mailbox(user, self._world.options)
        state = _with_changes(mailbox.state(event), content)
        mailbox.put(event, state)
        return state.model_dump(by_alias=True)


def _with_changes(now: _Model, content: bytes) -> _Model:
    """Return `now` with what the JSON object in `content` changes."""
    changes = _CHANGES.validate_json(content)
    return type(now).model_validate(now.model_dump(by_alias=True) | changes)


def _explain(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{_place(fault['loc'])}{fault['msg']}" for fault in faults)


def _place(location: Iterable[int | str]) -> str:
    place = ".".join(str(step) for step in location)
    return f"{place}: " if place else ""


def _wrong(message: str) -> web.Response:
    return _json({"error": {"code": "InvalidRequest", "message": message}}, status=400)


def _done() -> web.Response:
    return web.Response(status=204)


def _json(value: Any, status: int = 200) -> web.Response:
    content = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=status, body=content, content_type="application/json")


def _json_lines(values: Iterable[Any]) -> web.Response:
    lines = b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)
    return web.Response(body=lines, content_type="application/jsonl")
