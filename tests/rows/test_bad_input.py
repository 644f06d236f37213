"""Bad input, typed as people get it wrong: refused with its line, and nothing is queued."""

from pathlib import Path

import pytest
from redis import Redis

from tests.support.program import Program

CSV = (
    "user,event,action,comment,sendResponse,"
    "proposedStart,proposedEnd,timeZone,calendar,calendarGroup\n"
)
GOOD = '{"user": "ada@contoso.com", "event": "AAMk1", "action": "decline"}\n'
START = "2026-12-02T18:00:00"
END = "2026-12-02T19:00:00"

JSONL_ROWS = {
    '{"event": "e", "action": "decline"}': "user: ",
    '{"user": "ada@contoso.com", "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "event": "e"}': "action: ",
    '{"user": "me", "event": "e", "action": "decline"}': "user: ",
    '{"user": "a/b@contoso.com", "event": "e", "action": "decline"}': "user: ",
    '{"user": "ada@contoso.com", "event": "../x", "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "event": "..", "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "event": "a?b", "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "event": "%s", "action": "decline"}' % ("x" * 1025): "event: ",
    '{"user": "ada@contoso.com", "event": 7, "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "event": "e", "action": "accept"}': "action: ",
    '{"user": "ada@contoso.com", "event": "e", "action": "declien"}': "action: ",
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "comment": "%s"}'
    % ("ø" * 4097): "comment: ",
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "sendResponse": "no"}': (
        "sendResponse: "
    ),
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "sendResponse": false,'
    ' "comment": "x"}': "sendResponse: ",
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "calendarGroup": "g"}': (
        "calendarGroup: "
    ),
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "coment": "x"}': ("coment: "),
    '{"user": "ada@contoso.com", "event": "e", "events": {}, "action": "decline"}': "event: ",
    '{"user": "ada@contoso.com", "events": {"to": "now"}, "action": "decline"}': "events.to: ",
    '{"user": "ada@contoso.com", "events": {"from": "x"}, "action": "decline"}': "events.from: ",
    '{"user": "ada@contoso.com", "events": {"organizer": []}, "action": "decline"}': (
        "events.organizer: "
    ),
    '{"user": "ada@contoso.com", "event": "e", "action": "decline", "ifNotRequested": "skip"}': (
        "ifNotRequested: "
    ),
    '{"user": "ada@contoso.com", "event": "e", "action": "decline"': "row: ",
    '["ada@contoso.com"]': "row: ",
}

CSV_ROWS = {
    f"ada@contoso.com,e,decline,,,{START},{END},Mars Standard Time,,": "timeZone: ",
    f"ada@contoso.com,e,decline,,,{END},{START},UTC,,": "proposedEnd: ",
    f"ada@contoso.com,e,decline,,,{START}Z,{END},UTC,,": "proposedStart: ",
    f"ada@contoso.com,e,decline,,,{START},,UTC,,": "proposedEnd: ",
    f"ada@contoso.com,e,decline,,false,{START},{END},UTC,,": "proposed",
    "ada@contoso.com,e,decline,,maybe,,,,,": "sendResponse: ",
    "ada@contoso.com,e,decline,,,,,,,,too,many": "row: ",
}


SELECTING_CSV = "user,event,action,from,to,series,organizer\n"
SELECTING_ROWS = {
    "ada@contoso.com,e,decline,now,,,": "from: ",
    "ada@contoso.com,e,decline,,,whole,": "series: ",
    "ada@contoso.com,,decline,now,now,,": "to: ",
    "ada@contoso.com,,decline,,,all,": "series: ",
    "ada@contoso.com,,decline,,,,contoso.com": "organizer: ",
    "ada@contoso.com,,accept,,,,": "action: ",
}


@pytest.mark.parametrize(
    ("name", "head", "rows", "line"),
    [
        ("rows.jsonl", GOOD, JSONL_ROWS, 2),
        ("rows.csv", CSV, CSV_ROWS, 2),
        ("selections.csv", SELECTING_CSV, SELECTING_ROWS, 2),
    ],
)
def test_every_bad_row_is_named(  # noqa: PLR0917  # pytest passes them by name
    program: Program, redis: Redis, name: str, head: str, rows: dict[str, str], line: int
) -> None:
    """Each bad row of a file is listed with its line and field, and nothing is queued."""
    (program.folder / name).write_text(head + "\n".join(rows) + "\n")
    refused = program.here("submit", name)

    listed = refused.err.splitlines()
    missing = [
        f"{name}:{number}: {field}"
        for number, field in enumerate(rows.values(), line)
        if not any(each.startswith(f"{name}:{number}: {field}") for each in listed)
    ]
    assert ([], 2, "", 0) == (missing, refused.code, refused.out, redis.dbsize())


FILES = {
    "empty": (b"", "1: file: "),
    "header only": (CSV.encode(), "1: file: "),
    "unknown column": (
        b"user,event,acton\na@b.c,e,decline\n",
        "1: header: 'acton' is not a known column; did you mean action?",
    ),
    "column twice": (
        b"user,event,action,user\na@b.c,e,decline,x\n",
        "1: header: names 'user' twice",
    ),
    "missing column": (b"user,action\na@b.c,decline\n", "1: header: lacks the column event"),
    "an id lost from results": (
        b"user,event,action,series,subject,row\na@b.c,,decline,,x,7\n",
        "2: event: is missing",
    ),
    "not utf-8": (b"user,event,action\na@b.c,e\xff,decline\n", "2: "),
    "selections in conflict": (
        b"user,action,from\nA@b.c,decline,\na@b.c,tentative,now\n",
        "3: row: line 2 asks for something else",
    ),
    "conflict": (b"user,event,action\nA@b.c,e,decline\na@b.c,e,tentative\n", "3: "),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_bad_file_is_refused(program: Program, redis: Redis, kind: str) -> None:
    """A file that is wrong as a whole is refused with the line, and nothing is queued."""
    content, expected = FILES[kind]
    refused = program("submit", "-", "--format", "csv", given=content)

    assert (2, "", 0) == (refused.code, refused.out, redis.dbsize())
    assert any(line.startswith(f"-:{expected}") for line in refused.err.splitlines()), refused.err


WRONG_USE = {
    "no such file": (["submit", "nowhere.csv"], "nowhere.csv"),
    "a bad batch id": (["submit", "rows.jsonl", "--batch", "a b"], "batch id"),
    "offboard nobody": (["offboard"], "USER"),
    "offboard with a file": (["offboard", "rows.jsonl"], "rows.jsonl: user: "),
    "offboard in a format": (["offboard", "a@b.c", "--format", "csv"], "--format"),
    "a time without zone": (["submit", "rows.jsonl", "--at", "2026-12-01T17:00"], "zone"),
    "no time": (["submit", "rows.jsonl", "--at", "tomorrow"], "ISO 8601"),
    "no duration": (["submit", "rows.jsonl", "--deadline", "soon"], "24h"),
    "no such batch": (["status", "nope"], "nope"),
    "results of no such batch": (["results", "nope"], "nope"),
    "an unknown option": (["submit", "rows.jsonl", "--atonce"], "--atonce"),
}


@pytest.mark.parametrize("kind", WRONG_USE)
def test_wrong_use_exits_with_2_and_queues_nothing(
    program: Program, redis: Redis, kind: str
) -> None:
    """Wrong use exits with 2 and a message without a traceback, and queues nothing."""
    (program.folder / "rows.jsonl").write_text(GOOD)
    arguments, named = WRONG_USE[kind]
    refused = program.here(*arguments)

    assert (2, "", 0) == (refused.code, refused.out, redis.dbsize())
    assert named in refused.err
    assert "Traceback" not in refused.err


def test_a_cloud_without_proposals_refuses_them(program: Program, redis: Redis) -> None:
    """Where Graph's schema lacks it, a proposed time refuses the file."""
    row = GOOD.strip().removesuffix("}") + (
        f', "proposedNewTime": {{"start": {{"dateTime": "{START}", "timeZone": "UTC"}},'
        f' "end": {{"dateTime": "{END}", "timeZone": "UTC"}}}}}}'
    )
    (program.folder / "rows.jsonl").write_text(row)
    for cloud in ("usgov", "dod", "china"):
        refused = program.here("submit", "rows.jsonl", BULKRSVP_CLOUD=cloud)
        assert (2, True, 0) == (
            refused.code,
            refused.err.startswith("rows.jsonl:1: proposedNewTime: "),
            redis.dbsize(),
        )


def test_wrong_settings_are_named_at_once(program: Program) -> None:
    """All wrong variables are named together, with exit code 3, and no secret is shown."""
    wrong = {
        "REDIS_URL": "http://localhost",
        "BULKRSVP_CLOUD": "mars",
        "BULKRSVP_GRAPH_URL": "http://graph.contoso.com",
        "BULKRSVP_MAX_CALLS": "many",
        "BULKRSVP_LOG_USERS": "hash",
        "BULKRSVP_MAX_CALS": "5",
        "AZURE_TENANT_ID": "",
    }
    refused = program.here("worker", **wrong)
    named = {"BULKRSVP_LOG_KEY" if name == "BULKRSVP_LOG_USERS" else name for name in wrong}

    assert 3 == refused.code
    assert [] == [name for name in sorted(named) if name not in refused.err]
    assert [] == [text for text in ("Traceback", "sandbox-secret") if text in refused.err]


@pytest.mark.parametrize("command", ["submit", "worker", "status"])
def test_an_unreachable_redis_exits_with_4(program: Program, command: str, tmp_path: Path) -> None:
    """A Redis that cannot be reached is told with what to do and exit code 4."""
    (program.folder / "rows.jsonl").write_text(GOOD)
    arguments = ["submit", "rows.jsonl"] if command == "submit" else [command]
    refused = program(*arguments, REDIS_URL=f"unix://{tmp_path}/nowhere.sock")

    assert (4, False, True) == (
        refused.code,
        "Traceback" in refused.err,
        "REDIS_URL" in refused.err,
    )
