"""
A calendar view: the query that asks for one, and the page that answers it; and a plain list.

What lies in the window is `planted.py`'s; here it is ordered, cut into pages and written. A link
to a further page counts on from the first event, as Graph's does: what leaves the calendar
between two pages moves the others up, and a caller who answers while paging misses some.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from operator import attrgetter
from typing import Final
from urllib.parse import parse_qsl, quote

import orjson

from worker.sandbox.calendar.calendars import Mailbox
from worker.sandbox.calendar.planted import Slot
from worker.sandbox.calendar.properties import shown
from worker.sandbox.graph.replies import (
    LONG_WINDOW,
    NO_WINDOW,
    OTHER_ZONE,
    TURNED_WINDOW,
    RefusedError,
    Reply,
    bad_request,
    wrong_value,
)
from worker.sandbox.graph.target import Target, selected
from worker.sandbox.options import Options

_LONGEST: Final = timedelta(days=1825)
_DEFAULT_TOP: Final = "10"
_KNOWN: Final = {"$select", "$top", "$skip", "$orderby"}
_ORDER: Final = re.compile(r"start/datetime(?: (asc|desc))?")
_ZONE: Final = re.compile(r'outlook\.timezone="?([^",;]*)')


@dataclass(frozen=True, slots=True)
class _Query:
    """What a view is asked for; `order` is `asc`, `desc`, or none."""

    start: datetime
    end: datetime
    top: int
    skip: int
    order: str | None
    select: list[str] | None


class View:
    """
    One call for a calendar view (Graph: calendar-list-calendarview, user-list-calendarview).

    Raises `RefusedError` for a query that Graph refuses, and for one that only Graph knows.
    """

    def __init__(self, path: str, prefer: str, graph_url: str) -> None:
        self._path, _, query = path.partition("?")
        self._pairs = parse_qsl(query, keep_blank_values=True)
        self._query = _read(self._pairs, selected(path))
        self._graph_url = graph_url
        zone = _ZONE.search(prefer)
        if zone and zone[1].casefold() not in {"utc", "etc/utc", "etc/gmt"}:
            raise RefusedError(OTHER_ZONE)

    def of(self, mailbox: Mailbox, target: Target, options: Options) -> Reply:
        """Return the page that is asked for; `RefusedError` for what cannot be seen."""
        query = self._query
        found = _ordered(
            mailbox.within(target.calendar, query.start, query.end),
            query.order,
            singles_first=options.singles_first,
        )
        until = query.skip + min(query.top, options.page_size)
        page = {"@odata.context": self._context(target)}
        if until < len(found):
            origin = options.next_link_origin or self._graph_url
            page["@odata.nextLink"] = origin + self._further(until - options.page_overlap)
        events = [
            shown(mailbox.event(slot.event), mailbox.state(slot.event), query.select)
            for slot in found[query.skip : until]
        ]
        headers = {"Preference-Applied": 'outlook.timezone="UTC"'}
        return Reply(HTTPStatus.OK, headers=headers, content=orjson.dumps(page | {"value": events}))

    def _further(self, skip: int) -> str:
        """Return the same request from another event on, in the spelling of Graph's links."""
        pairs = [pair for pair in self._pairs if pair[0].lower() != "$skip"]
        pairs.append(("$skip", str(max(skip, 0))))
        return f"{self._path}?{'&'.join(f'{name}={_encoded(value)}' for name, value in pairs)}"

    def _context(self, target: Target) -> str:
        version = self._path.split("/")[1]
        return f"{self._graph_url}/{version}/$metadata#users('{quote(target.user)}')/calendarView"


def list_events(path: str, mailbox: Mailbox) -> Reply:
    """
    Return one page of the events that were planted, series among them (Graph: user-list-events).

    Of other queries than `$top` and `$select` the sandbox would have to guess what they bring.
    Raises `RefusedError` for one, and where the user cannot be seen.
    """
    values = dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))
    if unknown := values.keys() - {"$top", "$select"}:
        raise RefusedError(bad_request(f"The sandbox does not know {sorted(unknown)} in a list."))
    top = _number(values, "$top", _DEFAULT_TOP, least=1)
    found = [
        shown(mailbox.event(event), mailbox.state(event), selected(path))
        for event in mailbox.planted()[:top]
    ]
    return Reply(HTTPStatus.OK, content=orjson.dumps({"value": found}))


def _read(pairs: list[tuple[str, str]], select: list[str] | None) -> _Query:
    values = {name.lower(): value for name, value in pairs}
    for name in values:
        if name.startswith("$") and name not in _KNOWN:
            # Graph may know it; the sandbox would have to guess what it answers.
            raise RefusedError(bad_request(f"The sandbox does not know '{name}' in a view."))
    start, end = _window(values)
    return _Query(
        start,
        end,
        top=_number(values, "$top", _DEFAULT_TOP, least=1),
        skip=_number(values, "$skip", "0", least=0),
        order=_order(values.get("$orderby")),
        select=select,
    )


def _window(values: Mapping[str, str]) -> tuple[datetime, datetime]:
    if not values.get("startdatetime") or not values.get("enddatetime"):
        raise RefusedError(NO_WINDOW)
    start, end = _moment(values, "StartDateTime"), _moment(values, "EndDateTime")
    if end < start:
        raise RefusedError(TURNED_WINDOW)
    if end - start > _LONGEST:
        raise RefusedError(LONG_WINDOW)
    return start, end


def _moment(values: Mapping[str, str], name: str) -> datetime:
    """Read a moment; without an offset it is UTC. A `+` that was not encoded is a space here."""
    value = values[name.lower()]
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise RefusedError(wrong_value(name, value)) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _number(values: Mapping[str, str], name: str, default: str, *, least: int) -> int:
    value = values.get(name, default)
    if not value.isdecimal() or int(value) < least:
        raise RefusedError(bad_request(f"The value '{value}' of '{name}' is invalid."))  # ours
    return int(value)


def _order(value: str | None) -> str | None:
    if value is None:
        return None
    found = _ORDER.fullmatch(value.strip().lower())
    if found is None:
        text = f"The sandbox orders a view by 'start/dateTime' only, and not by '{value}'."
        raise RefusedError(bad_request(text))
    return found[1] or "asc"


def _ordered(slots: list[Slot], order: str | None, *, singles_first: bool) -> list[Slot]:
    if order == "desc":
        return slots[::-1]
    if order is None and singles_first:
        return sorted(slots, key=attrgetter("is_instance"))
    return slots


def _encoded(value: str) -> str:
    """Encode as Graph's links are: with small letters, which are easily lost on the way."""
    return re.sub("%..", lambda found: found[0].lower(), quote(value, safe=",/"))
