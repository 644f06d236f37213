"""What watches the log asks for what the log has: queries, dashboard, alerts and their runbooks."""

import json
import re
from collections.abc import Iterator

import orjson
import pytest

from jobs.outcome import Outcome
from tests.support.docs.log_queries import (
    FOLDER,
    STREAM,
    Kql,
    alerts,
    dashboard,
    events_of,
    grouped_by,
    kql_queries,
    pipelines,
    shown_expressions,
)
from tests.support.docs.pages import Page, Pages
from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient
from worker.graph.verdict import Verdict
from worker.process.log_sink import _explained

PAGES = Pages.load()
RUNBOOK = Page.load("deploy/monitoring/runbook.md")
TABLE = PAGES.table("Log lines", "event", "level", "when", "fields")
LEVELS = dict(zip(TABLE.names("event"), [row[1].split(", ") for row in TABLE.rows], strict=True))
FIELDS = dict(zip(TABLE.names("event"), TABLE.spans("fields"), strict=True))
HEAD = {"timestamp", "level", "event", "service"}

QUERIES = kql_queries()
ALERTS = alerts()
EXPRESSIONS = [*((each["alert"], each["expr"]) for each in ALERTS), *shown_expressions()]

SHOWN_BY_A_RUN = {
    "worker.started",
    "worker.alive",
    "token.refreshed",
    "batch.submitted",
    "selection.found",
    "call.finished",
    "response.settled",
    "mailbox.paused",
    "batch.finished",
    "worker.stopped",
}

TABLES = {
    "ContainerLogV2": {"TimeGenerated", "LogMessage"},
    "ContainerAppConsoleLogs_CL": {"TimeGenerated", "Log_s"},
    "ContainerAppConsoleLogs": {"TimeGenerated", "Log"},
    # Azure Monitor's reference of tables: MicrosoftGraphActivityLogs
    "MicrosoftGraphActivityLogs": {
        *("AadTenantId", "ApiVersion", "AppId", "ClientAuthMethod", "ClientRequestId"),
        *("DurationMs", "IPAddress", "OperationId", "RequestId", "RequestMethod", "RequestUri"),
        *("ResponseSizeBytes", "ResponseStatusCode", "Roles", "TimeGenerated", "UserAgent"),
    },
}


def rows() -> list[dict[str, object]]:
    """Make rows that end in several ways, and one mailbox that is throttled first."""
    ends = {"ada": "plain", "grace": "unreadable-1", "unlicensed": "x", "busy": "y", "alan": "lost"}
    given: list[dict[str, object]] = [
        {"user": f"{user}@contoso.com", "event": event} for user, event in ends.items()
    ]
    given.append({"user": "linus@contoso.com", "events": {}})
    return [{**row, "action": "decline"} for row in given]


def documented(event: str) -> Iterator[str]:
    """Make lines of an event that a run cannot show, one for each level, as the table has them."""
    for level in LEVELS[event]:
        head = {"timestamp": "2026-12-01T00:00:00Z", "level": level, "event": event}
        fields = dict.fromkeys(FIELDS[event], "x")
        yield orjson.dumps({**head, "service": "bulkrsvp", **fields}).decode()


def test_what_is_asked_for_is_written(program: Program, sandbox: SandboxClient) -> None:
    """Each pipeline takes lines of a real run, or documented ones, and they have its fields."""
    sandbox.plant("linus@contoso.com", [{"id": "e", "start": "2026-12-01T10:00:00Z"}])
    program.submit(rows())
    worker = program.burst()
    real = worker.written.decode().splitlines()
    shown = {line["event"] for line in worker.log}
    assert shown >= SHOWN_BY_A_RUN

    lines = [*real, *(line for event in LEVELS if event not in shown for line in documented(event))]
    lines.append(_explained(OSError()).decode())
    wrong = [
        (name, pipeline.text)
        for name, expression in EXPRESSIONS
        for pipeline in pipelines(expression)
        if not (taken := [line for line in lines if pipeline.takes(line)])
        or any(not pipeline.labels <= set(json.loads(line)) for line in taken if pipeline.labels)
    ]
    assert [] == wrong
    written = {event: set(FIELDS[event]) | HEAD for event in LEVELS}
    for line in worker.log:
        assert {*line} <= written[line["event"]]


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_labels_are_extracted_before_they_are_used(name: str, expression: str) -> None:
    """What an expression filters, unwraps or groups by has been taken out of the line before."""
    for pipeline in pipelines(expression):
        assert pipeline.used <= pipeline.labels, name
    common = set.intersection(*(each.labels for each in pipelines(expression)))
    assert grouped_by(expression) <= common, name
    assert expression.count("{app=") == expression.count(STREAM)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_kql_queries_name_what_exists(query: Kql) -> None:
    """A query names events, fields and words that there are, and can be pasted as it is."""
    assert query.events <= set(LEVELS)
    of_events = {name for event in query.events for name in FIELDS[event]}
    assert query.fields <= of_events | HEAD
    assert query.compared("outcome") <= set(Outcome)
    assert query.compared("verdict") <= set(Verdict)
    assert query.compared("level") <= {level for levels in LEVELS.values() for level in levels}
    assert query.head == QUERIES[0].head
    assert query.text.startswith("// ")
    assert "\n\n" not in query.text, "an empty line ends a query in the editor of Log Analytics"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_queries_name_only_columns_of_microsofts_tables(query: Kql) -> None:
    """A query names no column that Microsoft's tables do not have."""
    assert query.foreign_columns <= {*TABLES, *(name for t in TABLES.values() for name in t)}


def test_the_pages_list_every_query_and_file() -> None:
    """The pages list every query, and every file beside them."""
    listed = PAGES.table("In Log Analytics", "query").names("query")
    assert sorted(listed) == [query.name for query in QUERIES]
    others = [each for each in FOLDER.rglob("*") if each.suffix in {".json", ".yaml"}]
    assert [] == [
        each.name
        for each in others
        if f"`deploy/monitoring/{each.relative_to(FOLDER)}`" not in PAGES.text
    ]


def test_every_grave_line_has_an_alert() -> None:
    """What needs an administrator or an operator raises an alert of at least that severity."""
    for event, levels in LEVELS.items():
        for level in {"error", "critical"} & set(levels):
            raised = {
                each["labels"]["severity"]
                for each in ALERTS
                if events_of([each["expr"].replace("\\", "")], [event])
            }
            assert level in raised, event


def test_an_alert_has_its_own_name_a_severity_and_a_sentence() -> None:
    """An alert has a name of its own, a severity that is a level, and a sentence."""
    names = [each["alert"] for each in ALERTS]
    assert len(names) == len(set(names))
    for each in ALERTS:
        assert each["labels"]["severity"] in {"warning", "error", "critical"}
        assert each["annotations"]["summary"]
        told = set(re.findall(r"\$labels\.(\w+)", each["annotations"]["summary"]))
        assert told <= grouped_by(each["expr"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_leads_to_its_heading_in_the_runbook(alert: dict[str, dict[str, str]]) -> None:
    """An alert leads to the heading that says what to do, and the text there names it."""
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert RUNBOOK.name == page
    assert f"`{alert['alert']}`" in RUNBOOK.parts()[anchor]


def test_every_runbook_is_led_to() -> None:
    """No heading there tells of an alert that there is not."""
    parts = RUNBOOK.parts().values()
    named = {name for part in parts for name in re.findall(r"`(Bulkrsvp\w+)`", part)}
    assert named == {each["alert"] for each in ALERTS}


def test_panels_lie_side_by_side_and_ask_the_chosen_loki() -> None:
    """Panels have numbers of their own, lie side by side, and ask the Loki that was chosen."""
    panels = dashboard()["panels"]
    assert len(panels) == len({each["id"] for each in panels})
    taken = [cell for each in panels for cell in cells(**each["gridPos"])]
    assert len(taken) == len(set(taken))
    assert {"${datasource}"} == {t["datasource"]["uid"] for each in panels for t in each["targets"]}


def cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    """Return the places that a panel takes."""
    return [(column, row) for column in range(x, x + w) for row in range(y, y + h)]
