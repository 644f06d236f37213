"""What passes at a glance is what the whole check would have made of it."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.rows.reading import Row
from jobs.rows.response import Action, Response
from jobs.rows.shortcut import at_a_glance

PLAIN: dict[str, Any] = {"user": "ada@contoso.com", "event": "AAMkAGI2", "action": "decline"}
GUID = "6f1c0b1e-3F0a-4c59-9d3e-0a8f5d1c2b3a"

NEARLY_PLAIN = st.text(st.sampled_from("aZ9.-_=~'@/+?\\\" \n\0é\ud800"), max_size=6)
NO_USERS = [
    *("a@b", "a.@b.c", "a..b@c.d", ".a@b.c", "a@-b.c", "a@b-.c", "a@b.7", "a@b.c.", "a@b_c.d"),
    *("00000000-0000-0000-0000-000000000000", "a+b@c.d", "a" * 300 + "@b." + "c" * 20),
]
NO_EVENTS = [
    *(
        "NULL",
        "null",
        "None",
        "undefined",
        "NaN",
        "N/A",
        "n-a",
        "NA",
        "-",
        "--",
        "0",
        "AAMk.",
        "A..",
    ),
    *("040000008200E00074C5B7101A82E008" + "00" * 40, "040000008200e00074c5b7101a82e00800"),
    *("BAAAAIIA4AB0xbcQGoLgCAAAAACgsdLk", GUID, "0" * 48, "DwAAABYAAAB", "CQAAABYAAAB", "MSo1N2Y5"),
]
UNWRITTEN = [
    *("NULL", "none", "n/a", "N.A.", "nil", "NaN", "undefined", "-", "\u2013", "0", "?", "", " "),
    *("\xa0", "\u2009", "\u3000", "\t", "\n", "(null)", "<null>", "\\N", "$null", " NULL ", "NA"),
    *(
        "#NAME?",
        "see #N/A",
        "#DIV/0!",
        "=A1",
        "=SUM(A1)",
        "@{a=b}",
        "see @{",
        "{}",
        '{"a":1}',
        "[{}]",
    ),
    *("System.Object[]", "System.String", "Microsoft.Graph.User", "[object Object]", "{{name}}"),
    *(
        "{name}",
        "%NAME%",
        "${name}",
        "$name",
        "$(name)",
        "<<name>>",
        "[Name]",
        "<first name>",
        "%s",
    ),
    *(
        "\xabName\xbb",
        "*|FNAME|*",
        "<%= name %>",
        "#{name}",
        "{% if %}",
        "<class 'x'>",
        "\x85",
        "\x0b",
    ),
]
"""Texts that stand for nothing, or for something that was not put in; and blanks."""

VALUES = {
    "user": st.sampled_from(["Ada@contoso.com", GUID, "me", "$a@b.c", *NO_USERS]) | NEARLY_PLAIN,
    "event": st.sampled_from(["E1", ".", "..", "a/b", "x" * 1024, *NO_EVENTS]) | NEARLY_PLAIN,
    "action": st.sampled_from([*map(str, Action), "tentative", "Decline"]),
    "comment": st.text(max_size=20)
    | st.sampled_from(["x" * 8192, "é" * 4097, *UNWRITTEN])
    | NEARLY_PLAIN,
    "sendResponse": st.sampled_from([True, False, "true", 1]),
    "calendar": st.sampled_from(["default", "Cal"]),
    "comments": st.just("x"),
}
ROWS = st.fixed_dictionaries({}, optional=VALUES).flatmap(
    lambda row: st.permutations(list(row.items())).map(dict)
)


@settings(deadline=None, max_examples=200)
@given(ROWS, st.sampled_from([PLAIN, {}]))
@example({"comment": 'one "two"\n\tthree é \u2028 \x7f'}, PLAIN)
@example({"comment": "a\0b"}, PLAIN)
@example({"comment": "x", "sendResponse": False}, PLAIN)
@example({"comment": 1 << 70}, PLAIN)
def test_what_passes_at_a_glance_passes_the_check(
    row: dict[str, Any], under: dict[str, Any]
) -> None:
    """A row that a glance lets pass is a response, and these are its canonical bytes."""
    fields = {**under, **row}
    body = at_a_glance(fields)
    if body is not None:
        whole = Row.of(1, 1, Response.from_row(fields))
        seen = (fields["user"].lower().encode(), fields["event"].encode(), body)
        assert whole[2:] == seen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"user": GUID},
        {"event": "AAMk-_=~"},
        {"action": "tentativelyAccept"},
        {"comment": 'Ada has left "Contoso".\nSee you; è bello.'},
        {"comment": "x", "sendResponse": True},
        {"sendResponse": False},
    ],
)
def test_usual_rows_pass_at_a_glance(changes: dict[str, Any]) -> None:
    """What most files are full of does not wait for the whole check, in whatever order it is."""
    fields = PLAIN | changes
    backwards = dict(reversed(fields.items()))

    assert Response.from_row(fields).to_json() == at_a_glance(fields) == at_a_glance(backwards)
