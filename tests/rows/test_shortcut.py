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
VALUES = {
    "user": st.sampled_from(["Ada@contoso.com", GUID, "me", "$a@b.c"]) | NEARLY_PLAIN,
    "event": st.sampled_from(["E1", ".", "..", "...", "a/b", "x" * 1024]) | NEARLY_PLAIN,
    "action": st.sampled_from([*map(str, Action), "tentative", "Decline"]),
    "comment": st.text(max_size=20) | st.sampled_from(["x" * 8192, "é" * 4097]) | NEARLY_PLAIN,
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
        whole = Row.of(1, 1, Response.from_json(fields))
        seen = (fields["user"].lower().encode(), fields["event"].encode(), body)
        assert whole[2:] == seen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"user": GUID},
        {"event": "AAMk-_=.~"},
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

    assert Response.from_json(fields).to_json() == at_a_glance(fields) == at_a_glance(backwards)
