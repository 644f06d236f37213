"""
What the simulated Graph received, call by call: the truth that tests and users compare with.

A `Call` is written in while it is under way; an `Entry` is what a reader gets. Nothing here
decides anything.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson


@dataclass(slots=True)
class Call:
    """One call while it is under way; the fields mean what they mean in `Entry`."""

    sequence: int
    arrived_s: float
    arrived_at: float
    method: str
    path: str
    client_request_id: str | None
    request_id: str
    mailbox: str = ""
    user: str | None = None
    event: str | None = None
    action: str | None = None
    content: bytes = b""
    authorized: bool = False
    in_flight: int = 0
    early: bool = False
    status: int | None = None
    code: str | None = None
    fault: str | None = None
    taken: bool = False
    delivered: bool = False
    ended_s: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One call as the simulated Graph saw it.

    `arrived_s` and `ended_s` are monotonic seconds, `arrived_at` and `ended_at` Unix time; a call
    ends when its reply is written or its connection is gone. `path` is the request target as
    received, encoded, with its query; `user`, `event` and `action` (none for a look) are read
    from it, and `mailbox` is the user case-folded. `in_flight` counts the calls of that mailbox
    at arrival, this one included. `early` is a call inside a Retry-After. `status` is the status
    line that went out (none where none did), `fault` the effect of a rule. `taken` means that the
    calendar changed: the organizer gets a mail. `delivered` means that a whole reply was written
    to an open connection.
    """

    sequence: int
    arrived_s: float
    arrived_at: float
    method: str
    path: str
    client_request_id: str | None
    request_id: str
    mailbox: str
    user: str | None
    event: str | None
    action: str | None
    body: Any
    authorized: bool
    in_flight: int
    early: bool
    status: int | None
    code: str | None
    fault: str | None
    taken: bool
    delivered: bool
    ended_s: float | None
    ended_at: float | None


_SHARED: Final = tuple(item.name for item in fields(Entry) if item.name != "body")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An answer that an organizer was told more than once."""

    user: str
    event: str
    times: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Sums over the journal; `user` is case-folded, `statuses` counts faults without one as 0."""

    calls: int
    looks: int
    taken: int
    throttled: int
    early: int
    unauthorized: int
    token_requests: int
    statuses: dict[int, int]
    faults: dict[str, int]
    max_in_flight: dict[str, int]
    duplicates: list[Duplicate]


class Journal:
    """All calls since the start, or since it was cleared; sequences go on through a clearing."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._last = 0

    def next_sequence(self) -> int:
        """Return the number of the next call, from 1."""
        self._last += 1
        return self._last

    def append(self, call: Call) -> None:
        """Remember a call from its arrival on."""
        self._calls.append(call)

    def clear(self) -> None:
        """Forget the calls so far."""
        self._calls = []

    def entries(self, since: int = 0) -> list[Entry]:
        """Return the calls with a sequence above `since`, in the order of their arrival."""
        return [_entry(call) for call in self._calls if call.sequence > since]

    def stats(self, token_requests: int) -> Stats:
        """Add the calls up."""
        calls = self._calls
        return Stats(
            calls=len(calls),
            looks=sum(call.action is None for call in calls),
            taken=sum(call.taken for call in calls),
            throttled=sum(call.status == 429 for call in calls),  # noqa: PLR2004  # throttled
            early=sum(call.early for call in calls),
            unauthorized=sum(not call.authorized for call in calls),
            token_requests=token_requests,
            statuses=dict(Counter(call.status or 0 for call in calls)),
            faults=dict(Counter(call.fault for call in calls if call.fault)),
            max_in_flight=_max_in_flight(calls),
            duplicates=_duplicates(calls),
        )


def _entry(call: Call) -> Entry:
    shared = {name: getattr(call, name) for name in _SHARED}
    return Entry(**shared, body=_body(call.content))


def _body(content: bytes) -> Any:
    """Return the parsed body; what is no JSON as text, and nothing as None."""
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")


def _max_in_flight(calls: Iterable[Call]) -> dict[str, int]:
    most: dict[str, int] = {}
    for call in calls:
        if call.mailbox and call.in_flight > most.get(call.mailbox, 0):
            most[call.mailbox] = call.in_flight
    return most


def _duplicates(calls: Iterable[Call]) -> list[Duplicate]:
    taken = Counter((call.mailbox, call.event or "") for call in calls if call.taken)
    return [Duplicate(*key, times) for key, times in taken.items() if times > 1]
