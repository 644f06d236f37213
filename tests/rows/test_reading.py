"""A file becomes rows, or a list of all that is wrong with it, by line and name."""

import csv
import json
from datetime import UTC, datetime
from io import BufferedReader, BytesIO, StringIO
from typing import Any, cast

import pytest

from jobs.rows.reading import Format, Problem, Row, choose_format, read_rows
from jobs.rows.response import Response
from jobs.rows.selection import Selection

ROW: dict[str, Any] = {"user": "ada@contoso.com", "event": "AAMkAGI2", "action": "decline"}
HEADER = "user,event,action"
FULL = f"{HEADER},comment,sendResponse,proposedStart,proposedEnd,timeZone,calendar,calendarGroup"


NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def read(
    data: str | bytes, form: Format = Format.CSV, *, proposals_allowed: bool = True
) -> list[Row | Problem]:
    """Return what comes out of `data`."""
    raw = BytesIO(data if isinstance(data, bytes) else data.encode())
    stream = BufferedReader(cast("Any", raw))
    rows = read_rows(stream, format=form, proposals_allowed=proposals_allowed, now=NOW)
    return list(rows)


def jsonl(*objects: dict[str, Any]) -> str:
    """Return JSON Lines of `objects`."""
    return "".join(json.dumps(each) + "\n" for each in objects)


def row(line: int, number: int, **changes: Any) -> Row:
    """Return the row that ROW with `changes` must become."""
    return Row.of(line, number, Response.from_json(ROW | changes))


SLOT = {
    "start": {"dateTime": "2026-12-02T18:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2026-12-02T19:00:00", "timeZone": "UTC"},
}


def test_csv_and_json_lines_say_the_same() -> None:
    """All fields come out of both formats alike."""
    line = (
        'ada@contoso.com,AAMkAGI2,tentative,"a, ""b""",YES,'
        "2026-12-02T18:00:00,2026-12-02T19:00:00,UTC,Cal,Grp"
    )
    same: dict[str, Any] = {
        "action": "tentativelyAccept",
        "comment": 'a, "b"',
        "sendResponse": True,
        "proposedNewTime": SLOT,
        "calendar": "Cal",
        "calendarGroup": "Grp",
    }

    assert [row(2, 1, **same)] == read(f"{FULL}\n{line}\n")
    assert [row(1, 1, **same)] == read(jsonl(ROW | same), Format.JSONL)


def test_a_row_is_found_at_the_line_where_it_starts() -> None:
    """Comments over several lines and blank lines do not shift what comes after them."""
    text = (
        f"\n{HEADER},comment\n"
        'a@b.c,E1,decline,"one\r\ntwo\n\nfour"\n'
        "\n"
        ",,,\n"
        "a@b.c,E2,decline\n"
        "a@b.c,E3,decline,x"
    )

    assert [
        row(3, 1, user="a@b.c", event="E1", comment="one\r\ntwo\n\nfour"),
        row(9, 2, user="a@b.c", event="E2"),
        row(10, 3, user="a@b.c", event="E3", comment="x"),
    ] == read(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", Format)
def test_what_excel_and_powershell_write_can_be_read(encoding: str, form: Format) -> None:
    """Byte order marks are understood, in both formats."""
    text = {
        Format.CSV: f"{HEADER},comment\nada@contoso.com,AAMkAGI2,decline,né\n",
        Format.JSONL: "\n" + json.dumps(ROW | {"comment": "né"}, ensure_ascii=False),
    }[form]

    assert [row(2, 1, comment="né")] == read(text.encode(encoding), form)


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_header_without_commas_names_its_separator(sign: str) -> None:
    """Excel writes semicolons where the comma is the decimal sign."""
    text = f"{HEADER},comment\nada@contoso.com,AAMkAGI2,decline,x\n".replace(",", sign)

    assert [row(2, 1, comment="x")] == read(text)


@pytest.mark.parametrize(
    ("told", "meant"),
    [("true", True), ("FALSE", False), ("1", True), ("0", False), ("Yes", True), ("no", False)],
)
def test_csv_takes_the_usual_words_for_a_boolean(told: str, meant: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A spreadsheet has no booleans of one spelling; an empty cell is absent."""
    text = f"{HEADER},sendResponse\nada@contoso.com,AAMkAGI2,decline,{told}\n"

    assert [row(2, 1, sendResponse=meant)] == read(text)


def test_results_can_be_fed_back_in() -> None:
    """What `results` adds to a row is passed over, in both formats."""
    added = {
        "batch": "b",
        "row": 7,
        "outcome": "failed",
        "reason": "not_found",
        "status": 404,
        "attempts": 1,
        "requestId": "r",
        "clientRequestId": "c",
        "settledAt": "2026-12-02T18:00:00Z",
        "subject": "s",
        "start": "x",
        "organizer": "o",
    }
    whole = ROW | added
    text = f"{','.join(whole)}\n{','.join(map(str, whole.values()))}\n"

    assert [row(2, 1)] == read(text)
    assert [row(1, 1)] == read(jsonl(whole), Format.JSONL)


def test_null_is_absent_in_json_lines() -> None:
    """A null says nothing, whatever the field."""
    nothing = dict.fromkeys(["comment", "sendResponse", "proposedNewTime", "calendar", "subject"])

    assert [row(1, 1)] == read(jsonl(ROW | nothing), Format.JSONL)


GOOD = "ada@contoso.com,AAMkAGI2,decline"
START, END = "2026-12-02T18:00:00", "2026-12-02T19:00:00"
NO_QUOTE = 'opens a quote that is not closed; close it, and write a quote inside as ""'
KNOWN = (
    "known are user, event, action, comment, sendResponse, proposedStart, proposedEnd, "
    "timeZone, calendar, calendarGroup, from, to, series, organizer, subject, ifNotRequested"
)


@pytest.mark.parametrize(
    ("text", "line", "field", "part"),
    [
        ("", 1, "file", "holds no rows"),
        ("\n\n", 1, "file", "holds no rows"),
        (f"{HEADER}\n", 1, "file", "holds no rows"),
        (f"{HEADER},\n{GOOD}", 1, "header", f"'' is not a known column; {KNOWN}"),
        (
            f"{HEADER},coment\n{GOOD}",
            1,
            "header",
            "'coment' is not a known column; did you mean comm",
        ),
        (f"{HEADER},SENDRESPONSE\n{GOOD}", 1, "header", "did you mean sendResponse?"),
        (f"{HEADER},user\n{GOOD}", 1, "header", "names 'user' twice"),
        ("user,action\na,decline", 1, "header", "lacks the column event; add it, or from and"),
        (f"{GOOD}\n", 1, "header", f"'decline' is not a known column; {KNOWN}"),
        ("user,form,to,action\na,now,now,decline", 1, "header", "did you mean from?"),
        (f"{HEADER}\n{GOOD},x", 2, "row", "has 4 cells, and the header 3"),
        (f'{HEADER}\n{GOOD}\na,"b\nc\n', 3, "row", NO_QUOTE),
        (f'{HEADER}\na,"b"c,d\n', 2, "row", "is not CSV"),
        (f'{HEADER}\n"{"x" * 140_000}\n', 2, "row", NO_QUOTE),
        (f"{HEADER}\n\n,AAMk,decline", 3, "user", "is missing; add it"),
        (f"{HEADER}\na@b.c,,decline", 2, "event", "is missing; add it"),
        (f"{HEADER}\na@b.c,AAMk,", 2, "action", "is missing; add it"),
        (f"{HEADER}\nme,AAMk,decline", 2, "user", "an application has no 'me'"),
        (f"{HEADER}\na b@c.d,AAMk,decline", 2, "user", "holds 'a' beside an address"),
        (f"{HEADER}\na@b.c,AA%2F,decline", 2, "event", "not encoded for a URL"),
        (f"{HEADER}\na@b.c,..,decline", 2, "event", "is not an id"),
        (f"{HEADER}\na@b.c,AAMk,Accept", 2, "action", "does not send 'Accept'"),
        (f"{FULL}\n{GOOD},,maybe", 2, "sendResponse", "must be true or false"),
        (f"{FULL}\n{GOOD},x,false", 2, "sendResponse", "must not be false with a comment"),
        (f"{FULL}\n{GOOD},{'x' * 8193}", 2, "comment", "has 8193 bytes"),
        (f"{FULL}\n{GOOD},a\0b", 2, "comment", "NUL"),
        (f"{FULL}\n{GOOD},,,{START},,UTC", 2, "proposedEnd", "is missing"),
        (f"{FULL}\n{GOOD},,,,{END},UTC", 2, "proposedStart", "is missing"),
        (f"{FULL}\n{GOOD},,,{START},{END}", 2, "timeZone", "is missing"),
        (f"{FULL}\n{GOOD},,,{START},{END},Oslo", 2, "timeZone", "did you mean Europe/Oslo?"),
        (f"{FULL}\n{GOOD},,,{START}Z,{END},UTC", 2, "proposedStart", "without an offset"),
        (f"{FULL}\n{GOOD},,,{END},{START},UTC", 2, "proposedEnd", "must come after the start"),
        (f"{FULL}\n{GOOD},,no,{START},{END},UTC", 2, "proposedStart", "needs sendResponse true"),
        (f"{FULL}\n{GOOD},,,,,,a b", 2, "calendar", "no id"),
        (f"{FULL}\n{GOOD},,,,,,,Grp", 2, "calendarGroup", "needs a calendar id"),
        (f"{FULL}\n{GOOD},,,,,,default,Grp", 2, "calendarGroup", "needs a calendar id"),
        ("x" * 1_100_000, 1, "file", "has a line of over 1048576 characters"),
        (f"{HEADER},comment\n{GOOD},".encode() + b"n\xe9e", 2, "comment", "is not UTF-8"),
        (f"{HEADER}\n".encode() + b"n\xe9@b.c,E,decline", 2, "user", "is not UTF-8"),
        ("user,event\n".encode("utf-16") + b"\x00\xd8\x0a\x00", 1, "file", "is not UTF-16"),
    ],
)
def test_bad_csv_is_refused_by_line_and_column(
    text: str | bytes, line: int, field: str, part: str
) -> None:
    """Each kind of wrong row is named where it stands, under the column's own name."""
    found = [each for each in read(text) if isinstance(each, Problem) and part in each.text]

    assert [(line, field)] == [(each.line, each.field) for each in found]


@pytest.mark.parametrize(
    ("text", "line", "field", "part"),
    [
        ("", 1, "file", "holds no rows"),
        (" \n\t\n", 1, "file", "holds no rows"),
        ("\n{\n}", 2, "row", "is not JSON (unexpected end of data, column"),
        ('{"user": "a",}', 1, "row", "is not JSON (trailing comma"),
        ("[{}]", 1, "row", "is not an object"),
        ('"user"', 1, "row", "is not an object"),
        ('{"user": "a@b.c", "action": "decline"}', 1, "event", "is missing; add it"),
        (jsonl(ROW | {"coment": "x"}), 1, "coment", "is not a known name; did you mean comment?"),
        (jsonl(ROW | {"send_response": True}), 1, "send_response", "did you mean sendResponse?"),
        (jsonl(ROW | {"\x1b[31m": 1}), 1, "'\\x1b[31m'", "is not a known name; known are user,"),
        (jsonl(ROW | {"evnts": {}}), 1, "evnts", "is not a known name; did you mean events?"),
        ('{"user": "a", "user": "b"}', 1, "row", "holds 'user' twice"),
        ('{"proposedNewTime": {"end": 1, "end": 2}}', 1, "row", "holds 'end' twice"),
        (jsonl(ROW, ROW | {"user": 7}), 2, "user", "must be text, in quotes"),
        (jsonl(ROW | {"sendResponse": "true"}), 1, "sendResponse", "must be true or false"),
        (jsonl(ROW | {"sendResponse": 1}), 1, "sendResponse", "must be true or false"),
        (jsonl(ROW | {"proposedNewTime": "x"}), 1, "proposedNewTime", "must be an object"),
        (
            jsonl(ROW | {"proposedNewTime": {**SLOT, "ende": 1}}),
            1,
            "proposedNewTime.ende",
            "did you mean end?",
        ),
        (
            jsonl(ROW | {"proposedNewTime": {**SLOT, "end": {"datetime": END}}}),
            1,
            "proposedNewTime.end.datetime",
            "did you mean dateTime?",
        ),
        (b'{"user": "\xe9"}', 1, "row", "is not UTF-8"),
        (b'{"user": "\\ud800"}', 1, "row", "is not JSON"),
    ],
)
def test_bad_json_lines_are_refused_by_line_and_key(
    text: str | bytes, line: int, field: str, part: str
) -> None:
    """Each kind of wrong object is named where it stands, under the key's own name."""
    problems = [each for each in read(text, Format.JSONL) if isinstance(each, Problem)]
    found = [each for each in problems if part in each.text]

    assert [(line, field)] == [(each.line, each.field) for each in found]


def test_a_row_tells_all_that_is_wrong_with_it() -> None:
    """Nobody has to submit twice to learn of the second mistake in a row."""
    assert [
        Problem(
            2, "user", "an application has no 'me'; give the object id or the user principal name"
        ),
        Problem(2, "action", "must be decline or tentativelyAccept, not 'x'"),
        Problem(2, "timeZone", "is missing; add it"),
        Problem(2, "proposedEnd", "is missing; add it"),
        row(3, 2),
    ] == read(f"{FULL}\nme,AAMk,x,,,{START}\n{GOOD}\n")


def test_clouds_without_proposals_refuse_them() -> None:
    """Where Graph's schema lacks proposed times, a row that has one is refused up front."""
    text = "is not known to Graph in the US Government and China clouds; leave it out"
    csv = f"{FULL}\n{GOOD},,,{START},{END},UTC"
    lines = jsonl(ROW | {"proposedNewTime": SLOT})

    assert Problem(2, "proposedStart", text) in read(csv, proposals_allowed=False)
    assert Problem(1, "proposedNewTime", text) in read(lines, Format.JSONL, proposals_allowed=False)
    assert [row(1, 1)] == read(jsonl(ROW), Format.JSONL, proposals_allowed=False)


def test_no_message_repeats_a_comment_or_speaks_of_validation() -> None:
    """Messages are for an administrator, and what was written to people is not in them."""
    bad = ROW | {"comment": "secret\0", "user": "secret\0", "sendResponse": "secret", "x": "secret"}
    texts = [each.text for each in read(jsonl(bad), Format.JSONL) if isinstance(each, Problem)]

    assert len(texts) == 4
    assert not [text for text in texts if "alue error" in text or "nput" in text]
    assert [text[:26] for text in texts if "secret" in text] == ["'secret\\x00' holds a space"]


def test_quotes_in_a_text_are_no_repeated_keys() -> None:
    """What looks like keys inside a comment is a comment."""
    tricky = {"comment": '"user": "x", "user": {"a": 1}', "proposedNewTime": SLOT}

    assert [row(1, 1, **tricky)] == read(jsonl(ROW | tricky), Format.JSONL)


def test_a_problem_is_printed_as_file_line_field() -> None:
    """Editors and terminals can jump to what is wrong."""
    assert (
        Problem(3, "user", "is missing; add it").located("leavers.csv")
    ) == "leavers.csv:3: user: is missing; add it"


@pytest.mark.parametrize(
    ("name", "head", "wanted", "chosen"),
    [
        ("a.csv", b'{"user"', None, Format.CSV),
        ("A.CSV", b"", Format.JSONL, Format.JSONL),
        ("a.jsonl", b"user,", None, Format.JSONL),
        ("a.ndjson", b"", None, Format.JSONL),
        ("a.json", b"", None, Format.JSONL),
        ("-", b' \n\t{"user"', None, Format.JSONL),
        ("-", b"\xef\xbb\xbf{", None, Format.JSONL),
        ("-", '{"user"'.encode("utf-16"), None, Format.JSONL),
        ("-", b"[", None, Format.JSONL),
        ("a.txt", b"user,event", None, Format.CSV),
        ("-", b"", None, Format.CSV),
    ],
)
def test_the_format_is_the_option_the_suffix_or_the_first_letter(
    name: str, head: bytes, wanted: Format | None, chosen: Format
) -> None:
    """What the administrator says goes first, then the name, then the content."""
    assert chosen is choose_format(name, head, wanted)


def test_the_stream_stays_open_for_its_owner() -> None:
    """Standard input belongs to the process, not to whoever has read it."""
    stream = BufferedReader(cast("Any", BytesIO(jsonl(ROW).encode())))

    assert [row(1, 1)] == list(read_rows(stream, format=Format.JSONL))
    assert not stream.closed


def test_reading_may_end_before_the_file_does() -> None:
    """Whoever stops early, and closes the file, hears no complaint from the reader."""
    stream = BufferedReader(cast("Any", BytesIO(jsonl(ROW, ROW).encode())))
    rows = read_rows(stream, format=Format.JSONL)

    assert row(1, 1) == next(rows)
    stream.close()
    del rows


def selection(line: int, number: int, events: dict[str, Any], **changes: Any) -> Row:
    """Return the selection row that ROW with `events` in the place of its event must become."""
    fields = {"user": ROW["user"], "events": events, "action": "decline"} | changes
    return Row.of(line, number, Selection.from_json(fields))


EVERYTHING: dict[str, Any] = {
    "from": "2026-12-02T00:00+01:00",
    "to": "2027-06-30T00:00:00Z",
    "series": "occurrences",
    "organizer": ["@b.c", "d@e.f", "internal"],
    "subject": "Weekly, with all",
}


def test_a_selection_is_the_same_in_both_formats() -> None:
    """All fields of a selection come out of both formats alike."""
    header = "user,action,from,to,series,organizer,subject,ifNotRequested,calendar"
    line = (
        "ada@contoso.com,decline,2026-12-02T00:00+01:00,2027-06-30T00:00:00Z,occurrences,"
        '"internal; D@e.f,@b.c","Weekly, with all",skip,Cal'
    )
    more = {"ifNotRequested": "skip", "calendar": "Cal"}
    lines = jsonl({**ROW, "event": None, "events": EVERYTHING, **more})

    assert [selection(2, 1, EVERYTHING, **more)] == read(f"{header}\n{line}\n")
    assert [selection(1, 1, EVERYTHING, **more)] == read(lines, Format.JSONL)


def test_a_selection_may_leave_everything_out() -> None:
    """An empty object selects what comes; a null in it is as good as absent."""
    nothing = dict.fromkeys(["from", "to", "series", "organizer", "subject"])
    lines = [{"user": ROW["user"], "action": "decline", "events": each} for each in ({}, nothing)]

    assert [selection(1, 1, {}), selection(2, 2, {})] == read(jsonl(*lines), Format.JSONL)


WHO = "ada@contoso.com,decline"


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (f"user,action,from\n{WHO},", {}),
        (f"user,action,from\n{WHO}", {}),
        (f"user,action,from,event\n{WHO},,", {}),
        (f"user,action,from,event\n{WHO},now,", {}),
        (f"user,action,series,event\n{WHO},occurrences,", {"series": "occurrences"}),
        (f"user,action,organizer\n{WHO},@b.c", {"organizer": "@b.c"}),
        (f"user,action,organizer\n{WHO},", {}),
        (f"user,action,subject,event\n{WHO},x,", {"subject": "x"}),
        (
            f"user,action,start,organizer,subject\n{WHO},y,d@e.f e@f.g,x",
            {"subject": "x", "organizer": ["d@e.f", "e@f.g"]},
        ),
        (f"user,action,series,row,organizer\n{WHO},whole,7,d@e.f", {"organizer": "d@e.f"}),
    ],
)
def test_a_csv_row_without_an_event_selects(text: str, events: dict[str, Any]) -> None:
    """Where there is no event, the columns of a selection make the row one."""
    assert [selection(2, 1, events)] == read(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (f"user,action,event,subject\n{WHO},,", "event"),
        (f"user,action,event,organizer,subject,row\n{WHO},,d@e.f,x,7", "event"),
        (f"user,action,event,from,to,series,organizer,subject,row\n{WHO},,,,,d@e.f,x,7", "event"),
        (f"user,action,from,organizer,subject,outcome\n{WHO},,d@e.f,x,sent", "event"),
        (f"user,action,organizer,subject,batch\n{WHO},d@e.f,x,b", "header"),
    ],
)
def test_an_event_that_was_lost_does_not_become_all_events(text: str, field: str) -> None:
    """In results that came back, and where only an event could be told of, an id is missed."""
    (problem,) = read(text)

    assert isinstance(problem, Problem)
    assert (field, True) == (problem.field, "event" in problem.text or "missing" in problem.text)


def test_what_tells_of_an_event_is_passed_over() -> None:
    """Beside an event, its subject, start and organizer are for the reader of the file."""
    text = "user,event,action,from,to,series,organizer,subject,start\n"
    text += "ada@contoso.com,AAMkAGI2,decline,,,,not an address,x,y\n"

    assert [row(2, 1)] == read(text)


def test_selections_in_results_can_be_fed_back_in() -> None:
    """What the results say of a selection reads as the selection that it was, in both formats."""
    told = Selection.from_json(
        {"user": ROW["user"], "events": EVERYTHING, "action": "decline", "calendar": "default"}
    )
    found = ROW | {"subject": "s", "start": "x", "organizer": "o"}
    added = {"batch": "b", "row": 12, "outcome": None, "settledAt": None}
    lines = jsonl(json.loads(told.to_json()) | added, found | {"row": "12.1"})
    cells = EVERYTHING | {"organizer": " ".join(EVERYTHING["organizer"])}
    table = StringIO()
    names = ["user", "event", "action", "calendar", "start", *EVERYTHING, *added]
    writer = csv.DictWriter(table, names)
    writer.writeheader()
    writer.writerow({"user": ROW["user"], "action": "decline", "calendar": "default"} | cells)
    writer.writerow(found | {"row": "12.1"})

    assert [Row.of(1, 1, told), row(2, 2)] == read(lines, Format.JSONL)
    assert [Row.of(2, 1, told), row(3, 2)] == read(table.getvalue())


@pytest.mark.parametrize(
    ("cells", "field", "part"),
    [
        ("E,now,,,,,", "from", "is for rows that find their events, not for a single event"),
        ("E,,now,,,,", "to", "is for rows that find their events"),
        ("E,,,whole,,,", "series", "is for rows that find their events"),
        ("E,,,,,,skip", "ifNotRequested", "is for rows that find their events"),
        (",x,,,,,", "from", "'x' is not an ISO 8601 time; write it as 2026-12-01T17:00+01:00 or"),
        (",2026-12-01T17:00,,,,,", "from", "has no time zone"),
        (",1999-12-01T17:00Z,,,,,", "from", "give a year from 2000 to 2200, or now"),
        (",,tomorrow,,,,", "to", "'tomorrow' is not an ISO 8601 time"),
        (",,now,,,,", "to", "must come after from, which is 2026-12-01T12:00:00Z"),
        (",2027-01-01T00:00+01:00,2027-01-01T00:00+02:00,,,,", "to", "is 2027-01-01T00:00:00+01:"),
        (",,2031-11-30T12:00:00.000001Z,,,,", "to", "is 1,826 days after from, and 1,825 are all"),
        (",,,each,,,", "series", "must be whole or occurrences, not 'each'"),
        (",,,,contoso.com,,", "organizer", "is none of an address (name@domain), a domain (@dom"),
        (",,,,a@b@c,,", "organizer", "is none of an address"),
        (",,,,;,,", "organizer", "is an empty list; name an organizer, or leave it out"),
        (",,,,,  ,", "subject", "is empty; give text that the subject contains"),
        (f",,,,,{'x' * 256},", "subject", "has 256 characters, and 255 are allowed"),
        (",,,,,,send", "ifNotRequested", "must be skip, or left out"),
    ],
)
def test_bad_selections_in_csv_are_refused_by_column(cells: str, field: str, part: str) -> None:
    """What is wrong with a selection is named by its column."""
    header = "user,action,event,from,to,series,organizer,subject,ifNotRequested"
    problems = [
        (each.line, each.field, part in each.text)
        for each in read(f"{header}\n{WHO},{cells}\n")
        if isinstance(each, Problem)
    ]

    assert [(2, field, True)] == problems


@pytest.mark.parametrize(
    ("changes", "field", "part"),
    [
        ({"event": "E"}, "event", "names one event, but events selects many; drop one of the two"),
        ({"proposedNewTime": SLOT}, "proposedNewTime", "cannot be proposed for events that have"),
        ({"from": "now"}, "from", "is not a known name; "),
        ({"events": 5}, "events", "must be an object, {...}"),
        ({"events": {"form": "now"}}, "events.form", "is not a known name; did you mean from?"),
        ({"events": {"from_": "now"}}, "events.from_", "is not a known name; did you mean from?"),
        ({"events": {"from": 5}}, "events.from", "must be text, in quotes"),
        ({"events": {"series": 5}}, "events.series", "must be whole or occurrences"),
        ({"events": {"to": "2020-01-01T00:00Z"}}, "events.to", "must come after from, which is 20"),
        ({"events": {"organizer": []}}, "events.organizer", "is an empty list; name an organizer"),
        ({"events": {"organizer": 5}}, "events.organizer", "must be an address, @domain, internal"),
        ({"events": {"organizer": ["@b.c", "b"]}}, "events.organizer.1", "'b' is none of an addre"),
        ({"events": {"organizer": ["@b.c"] * 101}}, "events.organizer", "101 entries, and 100 are"),
        ({"events": {"subject": "a\0" * 200}}, "events.subject", "has 400 characters"),
        ({"sendResponse": False, "comment": "x"}, "sendResponse", "must not be false with a comm"),
        ({"calendarGroup": "G"}, "calendarGroup", "needs a calendar id"),
        ({"user": "me"}, "user", "an application has no 'me'"),
        (
            {"user": "6f1c0b1e-3f0a-4c59-9d3e-0a8f5d1c2b3a", "events": {"organizer": "external"}},
            "events",
            "give the user principal name",
        ),
    ],
)
def test_bad_selections_in_json_lines_are_refused_by_key(
    changes: dict[str, Any], field: str, part: str
) -> None:
    """What is wrong with a selection is named by its key, and all else is checked as ever."""
    fields = {"user": ROW["user"], "action": "decline", "events": {}} | changes
    problems = [
        (each.line, each.field, part in each.text)
        for each in read(jsonl(fields), Format.JSONL)
        if isinstance(each, Problem)
    ]

    assert [(1, field, True)] == problems


def test_the_domain_of_an_object_id_is_missed_in_the_organizer_column() -> None:
    """In CSV the organizer's cell is what a user without a domain makes wrong."""
    text = "user,action,organizer\n6f1c0b1e-3f0a-4c59-9d3e-0a8f5d1c2b3a,decline,internal\n"
    (problem,) = read(text)

    assert isinstance(problem, Problem)
    assert (2, "organizer") == (problem.line, problem.field)


def test_no_time_is_proposed_to_what_is_found_in_csv() -> None:
    """A proposed time beside the columns of a selection is named by its own column."""
    text = f"user,action,from,proposedStart,proposedEnd,timeZone\n{WHO},now,{START},{END},UTC\n"
    (problem,) = read(text)

    assert isinstance(problem, Problem)
    assert (2, "proposedStart") == (problem.line, problem.field)
