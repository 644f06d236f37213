"""Graph in memory: one mailbox's calendar, what was taken there, and what may still arrive."""

from typing import Any, NamedTuple

import orjson

from tests.interleavings.model.actors import Request, Told
from worker.graph.reply import TransportEnd


class Late(NamedTuple):
    """A call that was given up, and may arrive until `ends_ms`."""

    client_request_id: str
    event: str
    ends_ms: int


class Calendar(NamedTuple):
    """The calls that were taken, by event and id, those that may still arrive, what was refused."""

    taken: tuple[tuple[str, str], ...] = ()
    late: tuple[Late, ...] = ()
    refused: frozenset[str] = frozenset()

    def take(self, event: str, client_request_id: str) -> "Calendar":
        """Return it after a response was taken."""
        return self._replace(taken=(*self.taken, (event, client_request_id)))

    def delay(self, late: Late) -> "Calendar":
        """Return it with a call on its way that nobody waits for."""
        return self._replace(late=(*self.late, late))

    def refuse(self, event: str) -> "Calendar":
        """Return it after a call was refused."""
        return self._replace(refused=self.refused | {event})

    def arrive(self, late: Late) -> "Calendar":
        """Return it after a late call was taken."""
        left = tuple(each for each in self.late if each is not late)
        return self._replace(late=left).take(late.event, late.client_request_id)


def event_of(request: Request) -> str:
    """Return the event that a request is about; "" for a page of a calendar."""
    _, found, rest = request.target.partition("/events/")
    return rest.split("/")[0].split("?")[0] if found else ""


ACCEPTED = Told.of((202, (), b"", None))
LOST = Told.of((None, (), b"", TransportEnd.RESET))


def throttling() -> Told:
    """Return a reply that asks to wait for a second."""
    return _error(429, "TooManyRequests", (("Retry-After", "1"),))


def failure() -> Told:
    """Return a reply that says nothing of what was done."""
    return _error(503, "ServiceUnavailable")


def refusal() -> Told:
    """Return a reply that refuses for good."""
    return _error(403, "ErrorAccessDenied")


def show(calendar: Calendar, request: Request) -> Told:
    """Return what a look, or a page, shows."""
    if event := event_of(request):
        return _found(_event(calendar, event))
    return _found({"value": [_listed(calendar, f"E{number}") for number in (1, 2)]})


def _found(answer: dict[str, Any]) -> Told:
    return Told.of((200, (("Content-Type", "application/json"),), orjson.dumps(answer), None))


def _event(calendar: Calendar, event: str) -> dict[str, Any]:
    answered = any(taken == event for taken, _ in calendar.taken)
    return {
        "responseStatus": {
            "response": "tentativelyAccepted" if answered else "notResponded",
            "time": "0001-01-01T00:00:00Z",
        },
        "isOrganizer": False,
        "isCancelled": False,
        "responseRequested": True,
        "allowNewTimeProposals": True,
    }


def _listed(calendar: Calendar, event: str) -> dict[str, Any]:
    time = {"dateTime": "2023-12-01T10:00:00.0000000", "timeZone": "UTC"}
    organizer = {"emailAddress": {"name": "Olga", "address": "olga@contoso.com"}}
    return _event(calendar, event) | {
        "id": event,
        "type": "singleInstance",
        "subject": event,
        "start": time,
        "end": time,
        "organizer": organizer,
        "attendees": [organizer],
    }


def _error(status: int, code: str, headers: tuple[tuple[str, str], ...] = ()) -> Told:
    body = orjson.dumps({"error": {"code": code, "message": ""}})
    return Told.of((status, (("Content-Type", "application/json"), *headers), body, None))
