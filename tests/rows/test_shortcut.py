"""What passes at a glance is what the whole check would have made of it."""

import json
from collections.abc import Sequence
from io import BufferedReader, BytesIO
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.rows.reading import Format, Problem, Row, read_rows
from jobs.rows.response import Action, Response
from jobs.rows.shortcut import at_a_glance, line_at_a_glance, row_at_a_glance

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


def read(text: str, form: Format = Format.JSONL) -> list[Row | Problem]:
    """Return what comes of a file."""
    raw: Any = BytesIO(text.encode(errors="surrogateescape"))
    return list(read_rows(BufferedReader(raw), format=form))


NAMES = ["user", "event", "action", "comment"]
GIVEN = st.fixed_dictionaries({name: VALUES[name] for name in NAMES})


@settings(deadline=None, max_examples=200)
@given(
    GIVEN,
    st.sampled_from([PLAIN, {}]),
    st.sets(st.sampled_from(NAMES)),
    st.sampled_from([{}, {"sendResponse": True}, {"sendResponse": False}]),
    st.tuples(st.integers(0, 200), st.sampled_from('"\\,}\0\t\udcff ')),
)
@example(PLAIN | {"comment": "\x7f\u2028\U0001f600"}, {}, set(), {}, (0, ""))
@example(PLAIN | {"comment": "x" * 8192}, {}, set(), {}, (0, ""))
def test_a_line_seen_at_a_glance_is_what_it_is_when_read(
    row: dict[str, Any],
    over: dict[str, Any],
    dropped: set[str],
    silence: dict[str, bool],
    planted: tuple[int, str],
) -> None:
    """However a line is written or damaged, a glance takes it for what the whole reading does."""
    fields = {name: (row | over)[name] for name in NAMES if name not in dropped} | silence
    text = json.dumps(fields, ensure_ascii=False).encode(errors="replace").decode()
    place, letter = planted
    for line in (text, text[:place] + letter + text[place:]):
        seen = line_at_a_glance(line)
        if seen is not None:
            whole = read(f" {line}")  # for the space before it, it is read
            assert [Row(1, 1, *seen)] == whole


def written(cells: Sequence[str], delimiter: str, quoted: frozenset[int]) -> str:
    """Return a line of CSV, with quotes round some cells; nothing in them is escaped."""
    return delimiter.join(f'"{c}"' if n in quoted else c for n, c in enumerate(cells))


HEADERS = st.permutations(NAMES).flatmap(lambda names: st.sampled_from([names, names[:3]]))
ALL_QUOTED = frozenset(range(len(NAMES)))
STYLES = st.tuples(
    st.sampled_from(",;\t"),
    st.frozensets(st.integers(0, len(NAMES) - 1)) | st.just(ALL_QUOTED),
)


@settings(deadline=None, max_examples=300)
@given(
    GIVEN,
    st.sampled_from([PLAIN, {}]),
    HEADERS,
    STYLES,
    st.tuples(st.integers(0, 200), st.sampled_from('",;\t\0\r\n. ')),
)
@example(PLAIN | {"comment": "a\nb"}, {}, NAMES, (",", frozenset({3})), (0, " "))
@example(PLAIN | {"comment": "a,b"}, {}, NAMES, (",", frozenset({3})), (0, " "))
@example(PLAIN | {"comment": "a,b"}, {}, NAMES, (",", frozenset()), (0, " "))
@example(PLAIN | {"comment": "a;b"}, {}, NAMES, (";", ALL_QUOTED), (0, " "))
@example(PLAIN | {"event": "..", "comment": ""}, {}, NAMES, (",", frozenset()), (0, " "))
@example(PLAIN | {"event": ".", "comment": ""}, {}, NAMES[::-1], (",", frozenset()), (0, " "))
def test_a_row_seen_at_a_glance_is_what_it_is_when_read(
    row: dict[str, str],
    over: dict[str, Any],
    header: list[str],
    style: tuple[str, frozenset[int]],
    planted: tuple[int, str],
) -> None:
    """However a row is written or damaged, a glance takes it for what the whole reading does."""
    delimiter, quoted = style
    text = written([(row | over)[name] for name in header], delimiter, quoted)
    text = text.encode(errors="replace").decode()
    place, letter = planted
    glance = row_at_a_glance(header, delimiter)
    for line in (text, text[:place] + letter + text[place:]):
        seen = glance(f"{line}\r\n")
        if seen is not None:
            names = delimiter.join([*header, "calendar"])  # under which no row is usual
            whole = read(f"{names}\r\n{line}\r\n", Format.CSV)
            assert [Row(2, 1, *seen)] == whole


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


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_usual_lines_pass_at_a_glance(separators: tuple[str, str]) -> None:
    """Lines as most programs write them are not read as JSON."""
    for changes in ({}, {"comment": "é, } (x)", "sendResponse": True}, {"user": GUID}):
        line = json.dumps(PLAIN | changes, separators=separators, ensure_ascii=False) + "\r\n"
        seen = line_at_a_glance(line)

        assert seen is not None
        assert Row.of(1, 1, Response.from_row(PLAIN | changes)) == Row(1, 1, *seen)


@pytest.mark.parametrize("quoted", [frozenset(), frozenset({1}), frozenset(range(4))])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_usual_rows_of_a_table_pass_at_a_glance(delimiter: str, quoted: frozenset[int]) -> None:
    """Rows as most programs write them, under plain columns, are not cut into cells."""
    glance = row_at_a_glance(["event", "comment", "user", "action"], delimiter)
    for comment in ("", "è. } (x)", *(["a,b;c"] if quoted else [])):
        fields = PLAIN | ({"comment": comment} if comment else {})
        cells = ["AAMkAGI2", comment, "ada@contoso.com", "decline"]
        seen = glance(written(cells, delimiter, quoted) + "\r\n")

        assert seen is not None
        assert Row.of(1, 1, Response.from_row(fields)) == Row(1, 1, *seen)


@pytest.mark.parametrize(
    ("header", "line", "usual"),
    [
        (["event", "user", "action"], "AAMkAGI2,ada@contoso.com,decline", True),
        (["event", "user", "action"], "AAMkAGI2,ada@contoso.com,decline,x", False),
        (["event", "user", "action"], "AAMkAGI2,ada@contoso.com", False),
        (["event", "user", "action"], '"AAMkAGI2,ada@contoso.com,decline', False),
        (["event", "user", "action", "calendar"], "AAMkAGI2,ada@contoso.com,decline,", False),
        (["event", "user", "comment"], "AAMkAGI2,ada@contoso.com,decline", False),
        ([], "", False),
    ],
)
def test_what_is_no_usual_row_of_a_table_is_left_alone(
    header: list[str],
    line: str,
    usual: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Under other columns, or with other cells than columns, a row is read as a whole."""
    assert usual is (row_at_a_glance(header, ",")(line) is not None)
