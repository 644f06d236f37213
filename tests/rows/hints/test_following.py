"""Whoever follows a hint to the letter ends with a row that is right, or with another hint."""

import re
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.rows.response import Response
from jobs.rows.selection import Selection

HINT = re.compile(r"did you mean (.+)\?\Z")
STEPS = 6

LETTERS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8
)
LABELS = st.builds("{}{}".format, st.sampled_from("abcxyz"), LETTERS)
DOMAINS = st.builds("{}.{}".format, LABELS, st.sampled_from(["com", "co.uk", "onmicrosoft.com"]))
NAMES = st.builds(
    "{}{}{}".format, LETTERS, st.sampled_from(["", ".", "_", "-", "'", "#EXT#"]), LETTERS
)
ADDRESSES = st.builds("{}@{}".format, NAMES, DOMAINS)
OBJECT_IDS = st.uuids(version=4).map(str)
IDS = st.builds(
    "AAMk{}{}".format,
    st.from_regex(r"[A-Za-z0-9_-]{4,40}", fullmatch=True),
    st.sampled_from(["", "=", "=="]),
)

QUOTES = [
    '"{}"',
    "'{}'",
    "“{}”",
    "\u2018{}\u2019",
    "„{}“",
    "«{}»",
    "<{}>",
    "({})",
    "[{}]",
    " {} ",
    "\u200b{}",
    "{}\ufeff",
]
SEPARATORS = ["{};", "{},", "{}.", "{}:", "{}|", "{}\n"]
PREFIXES = [
    "mailto:{}",
    "SMTP:{}",
    "smtp:{}",
    "MAILTO: {}",
    "i:0#.f|membership|{}",
    "Ada L. <{}>",
    '"L, Ada" <{}>;',
]


def wrapped(values: st.SearchStrategy[str], forms: list[str]) -> st.SearchStrategy[tuple[str, str]]:
    """Give a value with what was meant by it: one that was put into one to three forms."""
    around = st.lists(st.sampled_from(forms), min_size=1, max_size=3)
    return st.tuples(values, around).map(lambda drawn: (_put(*drawn), drawn[0]))


def _put(value: str, forms: list[str]) -> str:
    for form in forms:
        value = form.format(value)
    return value


def follow(
    kind: type[Response | Selection], row: dict[str, Any], place: tuple[str, ...]
) -> str | None:
    """Write what each hint says until the row is taken; None if there is no more to write."""
    for _ in range(STEPS):
        try:
            kind.from_row(row)
        except ValidationError as error:
            (problem,) = error.errors()
            hint = HINT.search(str(problem.get("ctx", {}).get("error", "")))
            if hint is None:
                return None
            *parents, name = place
            inner = row
            for parent in parents:
                inner = inner[parent]
            inner[name] = hint[1]
        else:
            value: Any = row
            for name in place:
                value = value[name]
            return str(value)
    raise AssertionError(f"hints lead in a circle: {row}")


def user(text: str) -> str | None:
    """Return the user that hints lead to."""
    return follow(Response, {"user": text, "event": "AAMk", "action": "decline"}, ("user",))


def organizer(text: str) -> str | None:
    """Return the organizer that hints lead to."""
    row = {"user": "a@b.c", "events": {"organizer": text}, "action": "decline"}
    return follow(Selection, row, ("events", "organizer"))


def event(text: str) -> str | None:
    """Return the event that hints lead to."""
    return follow(Response, {"user": "a@b.c", "event": text, "action": "decline"}, ("event",))


@given(wrapped(ADDRESSES, [*QUOTES, *SEPARATORS, *PREFIXES]) | wrapped(OBJECT_IDS, QUOTES))
def test_a_user_with_something_round_it_is_found(drawn: tuple[str, str]) -> None:
    """What is taken at the end is the user that was meant, and no other."""
    text, meant = drawn
    assert user(text) in {meant, None}


@given(wrapped(ADDRESSES | OBJECT_IDS, QUOTES[:5]))
def test_a_user_in_quotes_is_always_found(drawn: tuple[str, str]) -> None:
    """What stands in quotes is not only not mistaken: the hint leads to it."""
    text, meant = drawn
    assert meant == user(text)


@given(wrapped(ADDRESSES | DOMAINS.map("@{}".format), [*QUOTES, *SEPARATORS, *PREFIXES]))
def test_an_organizer_with_something_round_it_is_found(drawn: tuple[str, str]) -> None:
    """What is taken at the end is the organizer that was meant, and no other."""
    text, meant = drawn
    assert organizer(text) in {meant, None}


@given(DOMAINS, st.sampled_from(["*@{}", "{}", "@{}.", "<*@{}>"]))
def test_a_domain_is_found_however_it_is_asked_for(domain: str, form: str) -> None:
    """A wildcard before a domain, and a bare domain, mean the domain."""
    assert f"@{domain}" == organizer(form.format(domain))


@given(wrapped(IDS, [*QUOTES, *SEPARATORS]))
def test_an_id_with_something_round_it_is_found(drawn: tuple[str, str]) -> None:
    """What is taken at the end is the id that was meant, and no other."""
    text, meant = drawn
    assert event(text) in {meant, None}


@given(wrapped(IDS, QUOTES[:4]))
def test_an_id_in_quotes_is_always_found(drawn: tuple[str, str]) -> None:
    """What stands in quotes is not only not mistaken: the hint leads to it."""
    text, meant = drawn
    assert meant == event(text)


@given(IDS)
def test_an_id_in_a_link_is_found(meant: str) -> None:
    """The link to an event in Outlook on the web holds its id, as EWS writes it."""
    other = quote(meant.replace("-", "/").replace("_", "+"), safe="")
    link = f"https://outlook.office365.com/owa/?itemid={other}&exvsurl=1&path=/calendar/item"

    assert [meant, meant] == [event(link), event(quote(meant, safe=""))] or "%" not in other


@given(
    st.text(max_size=12)
    | st.lists(
        ADDRESSES | st.sampled_from([*" ,;<>()*", "not", "...", "2026", ":"]), max_size=4
    ).map("".join)
)
def test_a_hint_adds_nothing_to_any_text(text: str) -> None:
    """Whatever is given, no hint leads to letters that it does not have."""
    for find in (user, organizer, event):
        found = find(text)
        for part in re.split(r"[^A-Za-z0-9]+", found or ""):
            assert part in text or not text.isascii() or "%" in text
