"""The table of log lines is held to the source, and to lines that were really written."""

from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from jobs.ledger.forms.batch import read_batch
from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.open_slice import OpenSlice
from jobs.outcome import Ending, Outcome, Reason
from jobs.record import Record
from jobs.rows.response import Action, Response
from tests.support.docs.log_calls import written_events
from tests.support.docs.pages import Pages
from worker.graph.reply import Reply
from worker.graph.verdict import Verdict
from worker.slice import log_lines

WRITTEN = written_events()
TABLE = Pages.load().table("Log lines", "event", "level", "when", "fields")
LEVELS = dict(zip(TABLE.names("event"), [row[1].split(", ") for row in TABLE.rows], strict=True))
FIELDS = dict(zip(TABLE.names("event"), TABLE.spans("fields"), strict=True))

RESPONSE = Response(user="ada@contoso.com", event="AAMk=", action=Action.DECLINE)
REPLY = Reply(status=202, arrived_at=datetime(2026, 12, 1, tzinfo=UTC), duration_ms=1.0)
ENDINGS = [
    Ending(Outcome.SENT, Reason.ACCEPTED),
    Ending(Outcome.FAILED, Reason.NOT_FOUND),
    Ending(Outcome.UNCERTAIN),
]


def logged(ending: Ending) -> list[dict[str, Any]]:
    """Account for a call, a lost call, a response and a batch; return the lines."""
    capture = LogCapture()
    log = structlog.wrap_logger(None, processors=[capture])
    entry = Entry(1, RESPONSE, Record(ending=ending))
    counts = {f"outcome:{ending.outcome}".encode(): b"1"}
    part = OpenSlice(read_batch("b", counts), 0, "w", 1, 0, 0, {1: entry}, [entry], [])
    log_lines.call_finished(
        log,
        part,
        entry,
        attempt=1,
        method="POST",
        client_request_id="c",
        reply=REPLY,
        verdict=Verdict.SENT,
    )
    log_lines.call_lost(log, part, entry)
    log_lines.response_settled(log, part, entry)
    log_lines.batch_finished(log, part.batch)
    return [dict(line) for line in capture.entries]


def test_the_table_lists_every_event_once() -> None:
    """The table lists every event that the code can log once, and no other."""
    assert sorted(WRITTEN) == sorted(TABLE.names("event"))


@pytest.mark.parametrize("event", sorted(WRITTEN))
def test_events_have_the_documented_fields(event: str) -> None:
    """The fields of an event are those that the source gives it."""
    assert len(FIELDS[event]) == len(set(FIELDS[event]))
    if WRITTEN[event].whole:
        assert WRITTEN[event].fields == set(FIELDS[event])
    else:
        assert WRITTEN[event].fields < set(FIELDS[event])


@pytest.mark.parametrize("event", sorted(WRITTEN))
def test_events_have_the_documented_levels(event: str) -> None:
    """The levels of an event are those that the source gives it, where it does not choose."""
    assert WRITTEN[event].levels <= set(LEVELS[event])
    if WRITTEN[event].fixed:
        assert WRITTEN[event].levels == set(LEVELS[event])


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.outcome.value)
def test_accounting_lines_have_the_listed_fields_in_order(ending: Ending) -> None:
    """The lines of calls, responses and batches have the listed fields, in the listed order."""
    for line in logged(ending):
        event, level = line.pop("event"), line.pop("log_level")
        assert FIELDS[event] == list(line)
        assert level in LEVELS[event]


def test_all_levels_are_used() -> None:
    """No level is listed for a response or a batch that its line never has."""
    lines = [line for ending in ENDINGS for line in logged(ending)]
    for event in ("call.finished", "response.settled", "batch.finished"):
        assert set(LEVELS[event]) == {line["log_level"] for line in lines if line["event"] == event}
