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
    GET    /sandbox/calendar/USER            events that were planted or changed
    POST   /sandbox/calendar/USER            plant a list of events; nothing else exists then
    PUT    /sandbox/calendar/USER/EVENT      plant an event or change some of it; returns all
    POST   /sandbox/company                  make up people with calendars; returns the people
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from worker.sandbox.calendar.calendars import Mailbox
from worker.sandbox.calendar.company import Company, CompanyOrder
from worker.sandbox.calendar.planting import Planting
from worker.sandbox.graph.faults import Rule
from worker.sandbox.options import Options
from worker.sandbox.world import World

PREFIX: Final = "/sandbox/"

_RULES: Final = TypeAdapter(list[Rule])
_PLANTINGS: Final = TypeAdapter(list[Planting])
_CHANGES: Final = TypeAdapter(dict[str, Any])


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
                return _json(self._mailbox(user).tell())
        return None

    def _write(self, asked: tuple[str, ...], content: bytes) -> web.Response | None:
        match asked:
            case ("PUT", "options"):
                return _json(self._set_options(content))
            case ("PUT", "calendar", user, event):
                return _json(self._put_event(user, event, content))
            case ("POST", "company"):
                return _json(self._populate(CompanyOrder.model_validate_json(content)))
            case ("POST", "faults"):
                self._world.faults.arm(_RULES.validate_json(content))
            case ("POST", "calendar", user):
                self._mailbox(user).plant(_PLANTINGS.validate_json(content))
            case ("DELETE", what) if what in self._removals:
                self._removals[what]()
            case _:
                return None
        return web.Response(status=204)

    @property
    def _removals(self) -> dict[str, Callable[[], None]]:
        return {
            "journal": self._world.journal.clear,
            "faults": self._world.faults.disarm,
            "tokens": self._world.tokens.revoke,
        }

    def _mailbox(self, user: str) -> Mailbox:
        return self._world.calendars.mailbox(user, self._world.options)

    def _set_options(self, content: bytes) -> dict[str, Any]:
        now = self._world.options.model_dump()
        changed = Options.model_validate(now | _CHANGES.validate_json(content))
        self._world.options = changed
        return changed.model_dump()

    def _put_event(self, user: str, event: str, content: bytes) -> Any:
        mailbox = self._mailbox(user)
        mailbox.change(event, _CHANGES.validate_json(content))
        return mailbox.tell_of(event)

    def _populate(self, order: CompanyOrder) -> dict[str, Any]:
        now = order.now or datetime.fromtimestamp(self._world.clock.unix(), UTC)
        company = Company.generate(order.seed, order.people, now)
        self._world.populate(company)
        return company.tell()


def _explain(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{_place(fault['loc'])}{fault['msg']}" for fault in faults)


def _place(location: Iterable[int | str]) -> str:
    place = ".".join(str(step) for step in location)
    return f"{place}: " if place else ""


def _wrong(message: str) -> web.Response:
    return _json({"error": {"code": "InvalidRequest", "message": message}}, status=400)


def _json(value: Any, status: int = 200) -> web.Response:
    content = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=status, body=content, content_type="application/json")


def _json_lines(values: Iterable[Any]) -> web.Response:
    lines = b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)
    return web.Response(body=lines, content_type="application/jsonl")
