"""
How an event looks in Graph's JSON: each property that the simulated Graph can show.

Names and shapes are those of Graph's event resource; only what is asked for is made.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from worker.sandbox.calendar.event import Event, Person
from worker.sandbox.calendar.traits import Answer, EventState
from worker.sandbox.graph.replies import RefusedError, unknown_property

_TOLD_AT: Final = "2026-01-05T09:00:00Z"
_UNTOLD_AT: Final = "0001-01-01T00:00:00Z"
_UNTOLD: Final = {Answer.NONE, Answer.NOT_RESPONDED}
_SHOWN_AS: Final = {Answer.ACCEPTED: "busy", Answer.ORGANIZER: "busy", Answer.DECLINED: "free"}


def shown(event: Event, state: EventState, select: Iterable[str] | None) -> dict[str, Any]:
    """
    Return the selected properties and the id, or all.

    Raises `RefusedError` for a property that no event has.
    """
    names = _PROPERTIES if select is None else select
    for name in names:
        if name not in _PROPERTIES:
            raise RefusedError(unknown_property(name))
    return {"id": event.id} | {name: _PROPERTIES[name](event, state) for name in names}


def _moment(moment: datetime) -> dict[str, str]:
    local = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
    return {"dateTime": f"{local}0", "timeZone": "UTC"}


def _party(person: Person) -> dict[str, Any]:
    return {"emailAddress": {"name": person.name, "address": person.address}}


def _attendees(event: Event, _: EventState) -> list[dict[str, Any]]:
    # Others see of each other's answers what the organizer has told them: here, nothing.
    status = {"response": Answer.NONE, "time": _UNTOLD_AT}
    return [{"type": "required", "status": status} | _party(one) for one in event.attendees]


def _response_status(_: Event, state: EventState) -> dict[str, str]:
    time = _UNTOLD_AT if state.response in _UNTOLD else _TOLD_AT
    return {"response": state.response, "time": time}


def _recurrence(event: Event, _: EventState) -> dict[str, Any] | None:
    if event.series is None:
        return None
    return {
        "pattern": {"type": "daily", "interval": event.series.every_days},
        "range": {
            "type": "numbered",
            "startDate": event.start.date().isoformat(),
            "numberOfOccurrences": event.series.count,
            "recurrenceTimeZone": event.time_zone,
        },
    }


_PROPERTIES: Final[dict[str, Callable[[Event, EventState], Any]]] = {
    "id": lambda event, _: event.id,
    "iCalUId": lambda event, _: event.i_cal_uid,
    "subject": lambda event, _: event.subject,
    "type": lambda event, _: event.type,
    "seriesMasterId": lambda event, _: event.master,
    "recurrence": _recurrence,
    "start": lambda event, _: _moment(event.start),
    "end": lambda event, _: _moment(event.end),
    "isAllDay": lambda event, _: event.is_all_day,
    "originalStartTimeZone": lambda event, _: event.time_zone,
    "originalEndTimeZone": lambda event, _: event.time_zone,
    "organizer": lambda event, _: _party(event.organizer),
    "attendees": _attendees,
    "hideAttendees": lambda _, __: False,
    "isOrganizer": lambda _, state: state.is_organizer,
    "isCancelled": lambda _, state: state.is_cancelled,
    "responseRequested": lambda _, state: state.response_requested,
    "allowNewTimeProposals": lambda _, state: state.allow_new_time_proposals,
    "showAs": lambda _, state: _SHOWN_AS.get(state.response, "tentative"),
    "responseStatus": _response_status,
}
