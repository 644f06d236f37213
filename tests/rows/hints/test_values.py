"""What programs, consoles and mail programs leave in a field is refused, with the cure."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError

from jobs.rows.hints.unwritten import why_unwritten
from jobs.rows.response import Response
from jobs.rows.selection import Selection
from worker.commands import main

ICAL_UID = "040000008200E00074C5B7101A82E008" + "00000000F0E1D2C3B4A5DA01" + "0" * 16 + "10000000"
GLOBAL_ID = "BAAAAIIA4AB0xbcQGoLgCAAAAADw4dLDtKXaAQAAAAAAAAAAEAAAAA=="
START, END = "2027-07-14T18:00:00", "2027-07-14T19:00:00"

USERS = {
    '"bob@contoso.com"': "has '\"' and '\"' round it; did you mean bob@contoso.com?",
    "“bob@contoso.com”": "did you mean bob@contoso.com?",
    "bob@contoso.com;": "has ';' round it; did you mean bob@contoso.com?",
    "<bob@contoso.com>": "did you mean bob@contoso.com?",
    "Bob Builder <bob@contoso.com>": "has 'Bob Builder <' and '>' round it; did you mean bob@",
    "mailto:bob@contoso.com": "has 'mailto:' round it; did you mean bob@contoso.com?",
    "SMTP:bob@contoso.com": "has 'SMTP:' round it; did you mean bob@contoso.com?",
    "bob@contoso.com.": "has '.' round it; did you mean bob@contoso.com?",
    "i:0#.f|membership|bob@contoso.com": "did you mean bob@contoso.com?",
    "o\u2019brien@contoso.com": "did you mean o'brien@contoso.com?",
    "bob@contoso.com,Builder": "holds ',Builder' beside an address; put that where it belongs",
    "bob@contoso.com;2026-12-31": "holds ';2026-12-31' beside an address; put that where",
    "bob@contoso.com, eve@contoso.com": "names 2 addresses; give each by itself",
    "bob@contoso.com eve@contoso.com": "names 2 addresses; give each by itself",
    "CONTOSO\\bob": "is a logon name of Windows; give name@domain",
    "*@contoso.com": "has a wildcard",
    "bob builder@contoso.com": "holds 'bob' beside an address",
    "bob+eve@contoso.com": "holds '+', which no user principal name does; correct it, or give the",
    "böb@contoso.com": "holds '\\xf6', which no user principal name does",
    "bob@contoso": "has no dot in its domain",
    "bob@contos...": "was cut",
    "bob@contos…": "was cut",
    "${LEAVER}": "'${LEAVER}' is a placeholder that was not filled in; give the user",
    "{{upn}}": "is a placeholder that was not filled in",
    "@{UserPrincipalName=bob@contoso.com}": "@{...} is how a program shows an object",
    "NULL": "is what a program writes for nothing; give the user",
    "00000000-0000-0000-0000-000000000000": "is the GUID that stands for nothing",
    "leavers.csv": "looks like a file; bulkrsvp offboard - < FILE reads the users in one",
    "https://contoso.com/users/bob@contoso.com": "is a path, and not an address",
}
"""Lines that a list of users has, and what is said of each."""

ORGANIZERS = {
    "*@fabrikam.com": "has '*' round it; did you mean @fabrikam.com?",
    "mailto:eve@fabrikam.com": "did you mean eve@fabrikam.com?",
    "\u2018eve@fabrikam.com\u2019": "did you mean eve@fabrikam.com?",
    '"eve@fabrikam.com"': "did you mean eve@fabrikam.com?",
    "eve@fabrikam.com.": "did you mean eve@fabrikam.com?",
    "eve@fabrikam.com;": "did you mean eve@fabrikam.com?",
    "fabrikam.com": "a domain (@domain), internal and external; did you mean @fabrikam.com?",
    "Eve <eve@fabrikam.com>": "did you mean eve@fabrikam.com?",
    "not <eve@fabrikam.com>": "beside an address",
    "*.fabrikam.com": "has a wildcard",
    "eve@fabrikam.com,@contoso.com": "names 2 addresses; give each by itself",
    "everybody": "is none of an address",
    "6f1c0b1e-8a52-4c57-9d0e-2b7f3c1d9a44": "is an object id, and calendars show addresses",
    "@bücher.example": "its domain in ASCII (xn--...)",
    "{{manager}}": "is a placeholder that was not filled in; name an organizer, or leave it out",
    "#REF!": "is what a spreadsheet writes for an error",
}

FIELDS = [
    ("event", ICAL_UID, "is an iCalUId or a global object id, the same in every calendar; give"),
    ("event", ICAL_UID.lower(), "is an iCalUId or a global object id"),
    ("event", GLOBAL_ID, "is an iCalUId or a global object id"),
    ("event", "0" * 40 + "AB" * 24, "is an EntryID of MAPI"),
    ("event", "6f1c0b1e-8a52-4c57-9d0e-2b7f3c1d9a44", "is a GUID"),
    ("event", "AAMkAGVmMDEz...", "was cut for the screen; give the whole id, from an export"),
    ("event", "AAMkAGVmMDEz…", "was cut for the screen"),
    ("event", "N/A", "is what a program writes for nothing; give the event's id"),
    ("event", "#N/A", "is what a spreadsheet writes for an error; give the event's id"),
    ("event", "System.Object[]", "is how a program shows an object"),
    ("event", '"AAMkAGVm="', "did you mean AAMkAGVm=?"),
    ("event", "AAMkAGVm%2Fx%3D", "not encoded for a URL; did you mean AAMkAGVm-x=?"),
    (
        "event",
        "https://outlook.office365.com/owa/?itemid=AAMkAGVm%2Bx%3D&path=/x",
        "mean AAMkAGVm_x=?",
    ),
    ("event", "abc123@calendar.example", "is an address, or an id of another program"),
    ("calendar", "Calendar", "is a calendar's name; did you mean default?"),
    ("calendar", "Kalender", "is a calendar's name; did you mean default?"),
    ("calendar", "Birthdays", "is a calendar's name; write default, or the calendar's id"),
    ("calendar", "Team Calendar", "is a calendar's name; write default, or the calendar's id"),
    ("calendar", "none", "is what a program writes for nothing; give the calendar's id, or leave"),
    ("calendarGroup", "My Calendars", "is a group's name; give its id, or leave it out"),
    ("calendarGroup", "Calendar", "is a group's name; give its id, or leave it out"),
    ("calendar", "6f1c0b1e-8a52-4c57-9d0e-2b7f3c1d9a44", "is a GUID"),
    ("comment", "#REF!", "'#REF!' is what a spreadsheet writes for an error; write the text"),
    ("comment", "Ask #N/A", "'#N/A' is what a spreadsheet writes for an error"),
    ("comment", "@{DisplayName=Bob}", "@{...} is how a program shows an object"),
    ("comment", '{"name": "Bob"}', "{...} is how a program shows an object"),
    ("comment", "System.Collections.Hashtable has left", "is how a program shows an object"),
    ("comment", "{{Name}} has left", "'{{Name}}' is a placeholder that was not filled in"),
    ("comment", "%NAME% has left", "'%NAME%' is a placeholder that was not filled in"),
    ("comment", "$name has left", "'$name' is a placeholder that was not filled in"),
    ("comment", "[First Name] has left", "'[First Name]' is a placeholder that was not filled in"),
    ("comment", "<<name>> has left", "'<<name>>' is a placeholder that was not filled in"),
    ("comment", "null", "'null' is what a program writes for nothing"),
    ("comment", "=VLOOKUP(A2;B:C;2)", "is a formula that no spreadsheet has calculated"),
    ("timeZone", "UTC+2", "is an offset, not a zone; name the zone of the city, or for UTC+2 all"),
    ("timeZone", "GMT-3", "did you mean Etc/GMT+3?"),
    ("timeZone", "CEST", "is short for Central European Summer Time; did you mean Europe/Berlin?"),
    (
        "timeZone",
        "PST",
        "is short for Pacific Standard Time or Philippine Standard Time; on 2027-07",
    ),
    (
        "timeZone",
        "EST",
        "has no summer time, and is short for Eastern Standard Time; on 2027-07-14",
    ),
    ("timeZone", "EST", "is UTC-4; did you mean America/New_York or America/Panama?"),
    ("timeZone", "Customized Time Zone", "is what Outlook calls a zone that it made up for one"),
    ("timeZone", "tzone://Microsoft/Custom", "is what Outlook calls a zone that it made up"),
    ("timeZone", "tzone://Microsoft/Utc", "did you mean UTC?"),
    ("timeZone", "(UTC-05:00) Eastern Time (US & Canada)", "did you mean Eastern Standard Time?"),
    ("timeZone", "Pacific Time (US & Canada)", "did you mean Pacific Standard Time?"),
    ("timeZone", "Pacific Standart Time", "is neither a Windows nor an IANA time zone; give the"),
]
"""A field of a row, what stands in it, and what is said of it."""

WRITTEN_BY_PEOPLE = [
    *("none of us can come", "[draft] not final", "100% sure, 50%off", "$5 or US$20", "$MSFT call"),
    *("#1 priority", "write to bob@contoso.com", "- see you", "<b>Sorry</b>", "O(n^{2}), x_{max}"),
    *(
        "=)",
        "Nobody? Me.",
        "« Bonjour »",
        "[EXTERNAL] hello",
        "a < b > c",
        "Zero: 0",
        "Nulla è perso",
    ),
    *(
        "Microsoft.Teams is down",
        "{a, b}",
        "50 % d'avance",
        "N.A.T.O. summit",
        "系统 \U0001f600",
        "Привет",
    ),
]


def run(*arguments: str, given: str | None = None) -> Result:
    """Run the console command in this process; it reaches no Redis."""
    return CliRunner().invoke(main, [*arguments, "--dry-run"], input=given)


def table(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as a program writes CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    (folder / "rows.csv").write_text(text.getvalue())
    return folder / "rows.csv"


def test_what_is_no_user_in_a_list_is_refused_with_the_cure() -> None:
    """Each line that names no user is named, and what to write; nothing is queued."""
    refused = run("offboard", "-", given="\n".join(USERS))
    told = refused.stderr.splitlines()

    assert 2 == refused.exit_code
    assert [] == [
        (line, expected)
        for line, (given, expected) in zip(told, USERS.items(), strict=False)
        if not line.startswith(f"{given}: user: ") or expected not in line
    ]
    assert len(USERS) + 1 == len(told)


def test_what_is_no_user_in_a_table_is_refused_likewise(tmp_path: Path) -> None:
    """The users of a file keep the rule that those of a list do."""
    event = {"event": "AAMkAGVm", "action": "decline"}
    refused = run("submit", str(table(tmp_path, [{"user": name, **event} for name in USERS])))

    assert 2 == refused.exit_code
    assert [] == [
        (line, expected)
        for line, expected in zip(refused.stderr.splitlines(), USERS.values(), strict=False)
        if expected not in line
    ]


def test_what_is_no_organizer_is_refused_with_the_cure() -> None:
    """Each organizer that no calendar can show is named, and what to write."""
    for given, expected in ORGANIZERS.items():
        refused = run("offboard", "ada@contoso.com", "--organizer", given)
        assert (2, True) == (refused.exit_code, expected in refused.stderr), refused.stderr
        assert refused.stderr.startswith("--organizer: ")


def test_what_cannot_be_meant_in_a_field_is_refused_with_the_cure(tmp_path: Path) -> None:
    """Each field that holds what it cannot mean is named, and what to write."""
    good = {"user": "ada@contoso.com", "event": "AAMkAGVm", "action": "tentative"}
    slot = {"proposedStart": START, "proposedEnd": END}
    rows = [
        good | (slot if field == "timeZone" else {}) | {field: given} for field, given, _ in FIELDS
    ]
    refused = run("submit", str(table(tmp_path, rows)))
    told = refused.stderr.splitlines()
    wrong = [
        (number, field, expected)
        for number, (field, _, expected) in enumerate(FIELDS, 2)
        if not any(f"rows.csv:{number}: {field}: " in line and expected in line for line in told)
    ]

    assert ([], 2) == (wrong, refused.exit_code), refused.stderr


@pytest.mark.parametrize("text", WRITTEN_BY_PEOPLE)
def test_what_people_write_is_a_comment(text: str) -> None:
    """A text that somebody may have meant is taken, whatever signs are in it."""
    assert why_unwritten(text) is None


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u00a0", "\u3000"])
def test_a_blank_comment_is_none(blank: str) -> None:
    """A comment that shows nothing is not sent."""
    row = {"user": "ada@contoso.com", "event": "AAMk", "action": "decline", "comment": blank}

    assert Response.from_row(row).comment is None


@pytest.mark.parametrize(
    "event",
    [
        "AAMkAGI2TG93AAA=",
        "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A_iX0K1xyMkOMG0Bx9y1q0gAAAAAQHgAA",
        "AQMkADAwATM0MDAAMS1iNTcw=",
        "AAMk/+=",
        "e",
        "x" * 1024,
    ],
)
def test_what_graph_calls_an_event_is_taken(event: str) -> None:
    """Ids of every kind, immutable ones too, are left alone."""
    row = {"user": "ada@contoso.com", "event": event, "action": "decline", "calendar": event}

    assert event.replace("/", "-").replace("+", "_") == Response.from_row(row).event


OLD: dict[str, Any] = {"user": "ada@contoso.com,", "action": "decline", "comment": "NULL"}
SLOT = {
    name: {"dateTime": time, "timeZone": "EST"}
    for name, time in {"start": START, "end": END}.items()
}


def test_what_was_queued_before_is_not_refused_later() -> None:
    """Rules for what is written do not stop what has long been stored."""
    response = {**OLD, "event": "NULL", "proposedNewTime": SLOT, "calendar": "Calendar"}
    selection = {**OLD, "events": {"organizer": ["*@contoso.com"], "subject": "N/A"}}
    for kind, row in ((Response, response), (Selection, selection)):
        assert kind.from_json(row) == kind.from_json(json.dumps(row).encode())
        with pytest.raises(ValidationError):
            kind.from_row(row)
