"""Foreign text is data: on a terminal, in a table, in a message, and in a cell of CSV."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from config.escaping import escaped, escaped_lines
from jobs.console import report
from jobs.operations.results import results_csv
from jobs.quoting import MAX_REFUSAL, cell, of_cell, refusal
from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.reading import Format, Problem, Row, read_rows
from jobs.rows.response import Response
from jobs.rows.selection import Selection
from tests.support.program import Program
from tests.support.redis.own_redis import OwnRedis
from tests.support.sandbox_client import SandboxClient

OBEYED = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of characters that a terminal obeys, or that cannot be written."""

BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
IN_CELLS = frozenset("\t\r\n")

TRICKY = st.text(
    st.sampled_from("'=+-@\t\r\n\\xu5c1b20e;,\"| \x1b\x9b\x00\u202e\u2066\u200f\ufeff\uff1d")
)
ANY = TRICKY | st.text() | st.text(st.characters(categories=["Cs", "Cc", "Cf", "L"]))
WRITABLE = TRICKY.map(lambda text: text.replace("\0", ""))

EVE = "eve@fabrikam.com"
SUBJECTS = {
    "e1": "=cmd|'/c calc'!A1",
    "e2": '=HYPERLINK("http://x.example/?"&A1,"open")',
    "e3": "@SUM(1+1)",
    "e4": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "e5": "ok \u202efdp.exe",
    "e6": "'=1+1",
}


def obeyed(text: str, *, allowed: frozenset[str] = frozenset()) -> set[str]:
    """Return the characters of a text that do more than being seen."""
    return {
        character
        for character in text
        if unicodedata.category(character) in OBEYED
        or unicodedata.bidirectional(character) in BIDIRECTIONAL
    } - allowed


def harmful(text: str) -> bool:
    """Tell whether a text holds anything that may be shown escaped."""
    return any(unicodedata.category(each) in OBEYED | {"Cf"} for each in text)


def as_results(asked: Response | Selection) -> dict[str, Any]:
    """Return a line of results for what was asked, with nothing that Graph has said."""
    empty = dict.fromkeys(("outcome", "reason", "status", "requestId", "clientRequestId"))
    return {**json.loads(asked.to_json()), "batch": "b", "row": "1", **empty}


def read_back(asked: Response | Selection) -> list[Row | Problem]:
    """Write what was asked as results in CSV, and return what `submit` reads there."""
    text = "".join(results_csv([as_results(asked)]))
    raw: Any = io.BytesIO(text.encode())
    return list(read_rows(io.BufferedReader(raw), format=Format.CSV))


@given(ANY)
def test_a_terminal_only_shows_foreign_text(text: str) -> None:
    """Whatever a text holds, a terminal only shows it; what does no harm is shown as it is."""
    shown = escaped(text)
    assert set() == obeyed(shown)
    assert harmful(text) or text == shown


@given(ANY)
def test_a_message_keeps_its_lines_and_steers_nothing(text: str) -> None:
    """A message keeps where its lines end, and nothing else that a terminal obeys."""
    assert set() == obeyed(escaped_lines(text), allowed=frozenset("\n"))
    assert text.count("\n") == escaped_lines(text).count("\n")


@pytest.mark.parametrize(
    "text", ["Zoë", "日本語", "\u0645\u06cc\u200c\u062e", "👩\u200d🚀", r"C:\temp", "a'b"]
)
def test_text_of_any_script_is_shown_as_it_is(text: str) -> None:
    """Text of any script is shown, and stands in a cell, as it is."""
    assert [text, text] == [escaped(text), cell(text)]


@given(ANY)
def test_a_cell_is_never_calculated(text: str) -> None:
    """A cell is never calculated, holds no control character, and is read as it was."""
    written = cell(text)
    assert set() == obeyed(written, allowed=IN_CELLS)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert text == of_cell(written)


@given(WRITABLE.filter(lambda text: why_unwritten(text) is None))
def test_any_comment_comes_back(comment: str) -> None:
    """A comment that went through results in CSV is the comment that was submitted."""
    response = Response(user="ada@contoso.com", event="-e", action="decline", comment=comment)
    assert [response.to_json()] == [row.body for row in read_back(response) if isinstance(row, Row)]


@given(
    WRITABLE.filter(lambda text: text.strip() and why_unwritten(text) is None),
    st.sampled_from(["@fabrikam.com", "-a@fabrikam.com", "external"]),
)
def test_any_selection_comes_back(subject: str, organizer: str) -> None:
    """A selection that went through results in CSV selects what it selected."""
    events = {"from": "now", "subject": subject, "organizer": [organizer]}
    selection = Selection.from_json(
        {"user": "'x@contoso.com", "events": events, "action": "decline"}
    )
    (row,) = read_back(selection)
    assert isinstance(row, Row), row
    assert selection.to_json() == row.body


@pytest.mark.parametrize("header", ["", ",batch", ",outcome"])
def test_an_apostrophe_outside_results_is_text(header: str) -> None:
    """Outside of results an apostrophe at the start of a cell is text."""
    text = f"user,event,action,comment{header}\nada@contoso.com,e,decline,'=x\n"
    raw: Any = io.BytesIO(text.encode())
    (row,) = read_rows(io.BufferedReader(raw), format=Format.CSV)
    assert isinstance(row, Row)
    assert b'"comment":"\'=x"' in row.body


def test_subjects_of_strangers_are_neither_obeyed_nor_calculated(
    program: Program, sandbox: SandboxClient
) -> None:
    """In the review step the subjects of strangers are seen, and neither obeyed nor calculated."""
    planted = [
        {"id": name, "subject": subject, "start": f"2099-01-1{n}T10:00:00Z", "organizer": EVE}
        for n, (name, subject) in enumerate(SUBJECTS.items())
    ]
    sandbox.plant("ada@contoso.com", planted)
    events = {"from": "2099-01-01T00:00:00Z", "to": "2099-02-01T00:00:00Z"}
    row = {"user": "ada@contoso.com", "events": events, "action": "decline", "comment": "=bye"}
    plan = program.submit([row], "--plan")
    program.burst()

    table = program.here("results", plan)
    text = program.here("results", plan, "--format", "csv").out
    cells = [value for line in csv.DictReader(io.StringIO(text)) for value in line.values()]
    lines = program.results(plan)
    exact = {line["event"]: line["subject"] for line in lines}
    assert set() == obeyed(table.out, allowed=frozenset("\n"))
    assert r"\x1b]0;owned\x07\x1b[2J" in table.out
    assert r"ok \u202efdp.exe" in table.out
    assert set() == obeyed(text, allowed=IN_CELLS)
    assert [] == [value for value in cells if value.startswith(("=", "+", "-", "@"))]
    assert exact == SUBJECTS

    (program.folder / "results.csv").write_text(text)
    applied = program.here("apply", plan, "--json").json
    again = program.here("submit", "results.csv", "--json").json
    assert (applied["batch"], False) == (again["batch"], again["created"])


@pytest.mark.parametrize("said", ["[/x]", "[bold]x[/bold]", "\x1b[2J", "\u202ex"])
def test_what_graph_says_is_no_markup(said: str) -> None:
    """A request id is shown as it came, also if it looks like markup or steers a terminal."""
    response = Response(user="ada@contoso.com", event="e", action="decline")
    screen = io.StringIO()
    report.show_results(report.output(screen), [{**as_results(response), "requestId": said}])
    assert escaped(said) in screen.getvalue()
    assert set() == obeyed(screen.getvalue(), allowed=frozenset("\n"))


@pytest.fixture
def full_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Run a Redis that takes no more writes."""
    server = OwnRedis(tmp_path / "full")
    server.start()
    server.client.config_set("maxmemory", "1")
    yield server
    server.close()


def test_a_refusal_repeats_no_rows(program: Program, full_redis: OwnRedis) -> None:
    """A Redis that takes no rows is quoted with its reason, and without the rows."""
    comment = "".join(f"{n * 7919 % 10007}" for n in range(1500))
    rows = [
        {"user": f"p{n}@contoso.com", "event": f"e{n}", "action": "decline", "comment": comment}
        for n in range(300)
    ]
    refused = program("submit", program.write("rows.jsonl", rows), REDIS_URL=full_redis.url)

    assert 4 == refused.code
    assert "command not allowed when used memory" in refused.err
    assert len(refused.err) < MAX_REFUSAL + 100


def test_what_redis_says_is_cut_and_steers_nothing() -> None:
    """What Redis says is cut to a length, and cannot steer a terminal."""
    assert "WRONGTYPE \\x1b[2J" == refusal(ResponseError("WRONGTYPE \x1b[2J"))
    assert MAX_REFUSAL == len(refusal(ResponseError("x" * 100_000)))
