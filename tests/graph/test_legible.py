"""A page that is heavy, or not quite JSON, is made such that it can be parsed."""

import json
import re
import subprocess
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.graph.legible import HEAVY, MAX_LEFT, MAX_OBJECTS, MAX_VALUES, legible


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rb'{"a": "\ud83d\ude00 \ud83d"}', {"a": "\N{GRINNING FACE} \ufffd"}),
        (rb'{"a": "\ude00\ud83d\u00e9"}', {"a": "\ufffd\ufffd\xe9"}),
        (rb'{"a": "\\ud83d"}', {"a": r"\ud83d"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b"{" * (MAX_OBJECTS + 1), None),
        (b"," * (MAX_VALUES + 1), None),
        (b'"%b"' % (b"x" * MAX_LEFT), None),
    ],
)
def test_a_text_cut_inside_a_character_costs_no_page(content: bytes, expected: object) -> None:
    """A text that was cut inside a character does not cost a page; too much of it is none."""
    text = legible(content)
    assert expected == (orjson.loads(text) if text else None)


ATTENDEE = {"emailAddress": {"name": 'Ada "]}" \\', "address": "ada@contoso.com"}, "type": "x"}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("attendees", "kept"),
    [
        ([], []),
        ([ATTENDEE], [{}]),
        ([ATTENDEE] * 3_000, [{}]),
        (None, None),
        ([7], [7]),
        ([[{}]], [[{}]]),
        ([{"a": [1]}], [{"a": [1]}]),
    ],
)
def test_attendees_are_not_read(indent: int | None, attendees: Any, kept: Any) -> None:
    """Of those who are invited only that there are some is kept, and nothing else is touched."""
    odd = '"attendees": [{ \\" "attendees":[{'
    event = {"subject": odd, "attendees": attendees, "id": 'x"attendees":[{'}
    text = legible(json.dumps({"value": [event, event]}, indent=indent).encode() + HEAVY * b" ")
    assert {"value": [event | {"attendees": kept}] * 2} == orjson.loads(text)


def test_lists_of_thousands_are_read() -> None:
    """A page is no heavier for them, and none of its events seems to be without."""
    event = {"id": "e", "attendees": [ATTENDEE] * 3_000, "isAllDay": False}
    content = orjson.dumps({"value": [event] * 20})
    assert len(content) > HEAVY
    assert {"value": [event | {"attendees": [{}]}] * 20} == orjson.loads(legible(content))


KEYS = st.sampled_from(["attendees", 'x"attendees', "attendees\\", "a"])
TEXTS = st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", ":", "attendees", "\n"])).map(
    "".join
)
PARSED = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=30,
)


def holds_lists(value: Any) -> bool:
    """Whether there is a list in a value, or it is one."""
    if isinstance(value, dict):
        return any(holds_lists(each) for each in value.values())
    return isinstance(value, list)


def without_attendees(value: Any) -> Any:
    """Return a parsed value as it is to be when attendees are cut."""
    if isinstance(value, list):
        return [without_attendees(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [{}] if key == "attendees" and are_people(each) else without_attendees(each)
        for key, each in value.items()
    }


def are_people(value: Any) -> bool:
    """Whether it is a list of some, the first an object, with no list among them."""
    somebody = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return somebody and not any(holds_lists(each) for each in value)


@given(PARSED, st.sampled_from([None, 1]))
def test_nothing_but_attendees_is_cut(value: Any, indent: int | None) -> None:
    """Whatever JSON a page is, it says the same without them."""
    text = legible(json.dumps(value, indent=indent).encode() + HEAVY * b" ")
    assert without_attendees(value) == orjson.loads(text)


@given(st.lists(st.sampled_from(["\\\\", "\\n", "x", "\\ud83d", "\\ude00", "\\u00e9"])))
def test_halves_are_mended(pieces: list[str]) -> None:
    """Every text with halves of surrogates is read as it is but for those."""
    text = '"' + "".join(pieces) + '"'
    mended = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", json.loads(text))
    assert mended == orjson.loads(legible(text.encode()))


HOSTILE = [
    b',"attendees":[{\\"',
    b',"attendees":[{"',
    b',"attendees":[{',
    b',"attendees":[{]',
    b',"attendees":["',
    b',"attendees"',
    b'{"attendees" ',
    b'"attendees":[{ \\',
    b'"attendees\\":[{"',
    b"\\\\",
    b"\\ud83d",
    b"\\ud83",
    b"{ ",
    b'""',
    b"\xff",
]
MADE = f"""
from worker.graph.legible import legible
for piece in {HOSTILE}:
    for begin in (b'', b'{{"attendees":[{{', b'{{"attendees":[{{"', b'{{"x":"\\\\ud83d'):
        for size in (1_900_000, 8_000_000):
            legible(begin + piece * (size // len(piece)))
"""


def test_nothing_takes_long() -> None:
    """Whatever stands on a page of megabytes, it is gone through once, not from each place on."""
    made = subprocess.run([sys.executable, "-c", MADE], timeout=120, check=False)
    assert 0 == made.returncode
