"""A checked file becomes slices in which nothing is lost and no mailbox is split."""

import gc
import random
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import InputError
from jobs.draft.draft import Refused, check_batch_id, draft
from jobs.draft.packing import SELECTION_WEIGHT, SLICE_SIZE
from jobs.ledger.forms.compression import MAX_UNPACKED
from jobs.ledger.forms.slice import unpack
from jobs.rows.reading import Problem, Row
from jobs.rows.response import Response
from jobs.rows.selection import Selection
from tests.support.chaos.open_files import opened_in


def response(user: str = "ada@contoso.com", event: str = "E1", **fields: Any) -> Response:
    """Return a response."""
    return Response.from_json({"user": user, "event": event, "action": "decline"} | fields)


def selection(user: str = "ada@contoso.com", **fields: Any) -> Selection:
    """Return a selection; `events` are among its fields."""
    return Selection.from_json({"user": user, "events": {}, "action": "decline"} | fields)


def numbered(responses: Iterable[Response | Selection]) -> list[Row]:
    """Return rows as a file with a header has them."""
    return [Row.of(number + 1, number, each) for number, each in enumerate(responses, 1)]


def refusal(rows: Iterable[Row | Problem], shown_problems: int = 1000) -> Refused:
    """Return how `rows` are refused."""
    with pytest.raises(Refused) as caught:
        draft(rows, shown_problems=shown_problems)
    return caught.value


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 40) | st.integers(95, 130), max_size=8),
    st.randoms(use_true_random=False),
)
def test_slices_hold_every_row_once_and_whole_mailboxes(
    sizes: list[int], order: random.Random
) -> None:
    """However mailboxes are mixed in a file, each is in one slice, and none is missing."""
    responses = [
        response(f"user{mailbox}@contoso.com", f"E{event}")
        for mailbox, size in enumerate(sizes)
        for event in range(size)
    ]
    order.shuffle(responses)
    rows = numbered(responses)
    with draft(rows) as made:
        slices = list(made.slices())
        again = list(made.slices())
    contents = [unpack(each.body) for each in slices]
    places = [{found.mailbox for _, found in content} for content in contents]

    assert slices == again
    assert [(n, len(content)) for n, content in enumerate(contents)] == [
        (each.number, each.size) for each in slices
    ]
    assert sorted((row.number, row.body) for row in rows) == sorted(
        (number, found.to_json()) for content in contents for number, found in content
    )
    assert {1} >= set(Counter(name for place in places for name in place).values())
    assert all(
        len(content) <= SLICE_SIZE or len(place) == 1
        for content, place in zip(contents, places, strict=True)
    )
    assert len(rows) == made.total


def test_rows_of_a_mailbox_keep_their_order() -> None:
    """Within a mailbox the file's order stays, letter case of the user aside."""
    users = ["b@c.d", "A@c.d", "B@c.d", "a@c.d", "b@c.d"]
    rows = numbered(response(user, f"E{9 - n}") for n, user in enumerate(users))
    with draft(rows) as made:
        (only,) = made.slices()
    by_user: dict[str, list[int]] = {}
    for number, found in unpack(only.body):
        by_user.setdefault(found.mailbox, []).append(number)

    assert by_user == {"a@c.d": [2, 4], "b@c.d": [1, 3, 5]}


def test_equal_rows_are_one_response() -> None:
    """The first of equal rows stays, and the others are counted."""
    rows = numbered(
        [
            response(comment="x"),
            response(event="E2"),
            response("ADA@contoso.com", comment="x"),
            response(comment="x"),
        ]
    )
    with draft(rows) as made:
        (only,) = made.slices()

        assert (made.total, made.duplicates) == (2, 2)
        assert [(1, response(comment="x")), (2, response(event="E2"))] == unpack(only.body)


def test_rows_that_contradict_each_other_are_refused() -> None:
    """Two answers to one invitation are a mistake that only a person can settle."""
    rows = numbered(
        [
            response(),
            response("bob@contoso.com"),
            response("Ada@contoso.com", action="tentative"),
            response(),
            response(calendar="default"),
        ]
    )
    text = "line 2 asks for something else for the same user and event; keep one of the two"

    assert (Problem(4, "event", text), Problem(6, "event", text)) == refusal(rows).problems


def test_all_problems_are_found_and_the_first_are_shown() -> None:
    """The whole file is read although it is refused; what is shown is in the file's order."""
    wrong = [Problem(line, "user", "is missing; add it") for line in (3, 9, 12)]
    rows = [Row.of(2, 1, response()), Row.of(6, 2, response(comment="x"))]
    found = refusal([*wrong[:1], *rows, *wrong[1:]])
    text = "line 2 asks for something else for the same user and event; keep one of the two"

    assert (wrong[0], Problem(6, "event", text), *wrong[1:]) == found.problems
    assert found.total == 4
    assert str(found) == "4 problems, nothing was queued; correct them and submit again"
    assert tuple(wrong[:2]) == refusal(wrong, shown_problems=2).problems


def test_the_fingerprint_is_that_of_the_content_in_its_order() -> None:
    """The same rows are the same batch wherever they stand in their lines; others are not."""
    one, two = response(event="E1"), response(event="E2", comment="é")

    def fingerprint(rows: Iterable[Row]) -> str:
        with draft(rows) as made:
            assert made.batch_id == check_batch_id(made.fingerprint[:16])
            return made.fingerprint

    first = fingerprint(numbered([one, two]))

    assert first == fingerprint([Row.of(70, 1, one), Row.of(80, 2, two)])
    assert len({first, fingerprint(numbered([two, one])), fingerprint(numbered([one]))}) == 3


def test_plain_rows_are_the_batch_that_they_always_were() -> None:
    """The ids of batches that were submitted by earlier versions are found again."""
    rows = numbered([response(comment="x"), response("bob@contoso.com", sendResponse=False)])
    with draft(rows) as made:
        assert (
            "70d6704c27fccbf94dc59f0a3e44625b7d6b4b8b1a80798f2c9196223e81baa4" == made.fingerprint
        )


def test_a_plan_is_another_batch() -> None:
    """Rows that are only looked at are not the batch that answers."""
    for rows in (numbered([response()]), numbered([selection()])):
        with draft(rows) as sent, draft(rows, plan=True) as planned:
            assert 2 == len({sent.batch_id, planned.batch_id})
            assert [*sent.slices()] == [*planned.slices()]


def test_selections_are_counted_and_come_back() -> None:
    """A slice holds both kinds of rows, and gives back what it was given."""
    text = '"events":{"from": "now"}'
    rows = numbered(
        [
            selection(comment=text, events={"organizer": ["@b.c", "internal"]}),
            response(comment=text),
            selection("bob@contoso.com"),
            selection("bob@contoso.com", calendar="default"),
        ]
    )
    with draft(rows) as made:
        (only,) = made.slices()
    with draft(rows[1:2]) as plain:
        (quoted,) = plain.slices()

    assert (4, 3, 0, 4) == (made.total, made.selections, made.duplicates, only.size)
    assert (1, 0) == (plain.total, plain.selections)
    assert sorted((row.number, row.body) for row in rows) == sorted(
        (number, found.to_json()) for number, found in unpack(only.body)
    )
    assert [(2, response(comment=text))] == unpack(quoted.body)
    assert 3 == sum(isinstance(found, Selection) for _, found in unpack(only.body))


def test_equal_selections_are_one() -> None:
    """The first of equal selections stays, letter case of the user and the subject aside."""
    rows = numbered(
        [
            selection(events={"subject": "Weekly"}, comment="x"),
            selection(),
            response(),
            selection("ADA@contoso.com", events={"subject": "weekly", "from": "now"}, comment="x"),
            selection(events={"series": "whole"}),
        ]
    )
    with draft(rows) as made:
        (only,) = made.slices()

    assert (3, 2, 2) == (made.total, made.selections, made.duplicates)
    assert [1, 2, 3] == sorted(number for number, _ in unpack(only.body))


def test_selections_that_contradict_each_other_are_refused() -> None:
    """Two answers to what is selected alike are a mistake; to what is not, they may be meant."""
    rows = numbered(
        [
            selection(),
            selection("Ada@contoso.com", action="tentative"),
            selection(ifNotRequested="skip"),
            selection(comment="x"),
            selection(action="tentative", events={"subject": "x"}),
        ]
    )
    text = "line 2 asks for something else for the same user and events; keep one of the two"
    problems = tuple(Problem(line, "row", text) for line in (3, 4, 5))

    assert problems == refusal(rows).problems


def test_a_selection_fills_a_slice_as_many_responses_do() -> None:
    """Slices are evenly filled, although nobody knows yet what selections find."""
    users = SLICE_SIZE // SELECTION_WEIGHT * 2
    rows = numbered(
        [
            *(selection(f"user{n}@contoso.com") for n in range(users)),
            *(response(f"other{n}@contoso.com") for n in range(SLICE_SIZE)),
            *(selection(events={"subject": str(n)}) for n in range(SLICE_SIZE)),
        ]
    )
    with draft(rows) as made:
        contents = [[found for _, found in unpack(each.body)] for each in made.slices()]
    weights = [
        sum(SELECTION_WEIGHT if isinstance(found, Selection) else 1 for found in content)
        for content in contents
    ]
    alone = [len({found.mailbox for found in content}) == 1 for content in contents]

    assert all(w <= SLICE_SIZE or one for w, one in zip(weights, alone, strict=True))
    assert [SLICE_SIZE] == [len(found) for found, one in zip(contents, alone, strict=True) if one]
    assert len(contents) <= 6


@pytest.mark.parametrize("closing", ["closed", "refused", "broken"])
def test_nothing_stays_on_disk(
    closing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows, which hold what was written to people, have no name on disk, and go with it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def watched() -> Iterable[Row]:
        yield from numbered([response()])
        assert [] == list(tmp_path.iterdir())
        assert opened_in(tmp_path)

    def broken() -> Iterable[Row]:
        yield from numbered([response()])
        raise InputError("the stream broke")

    match closing:
        case "closed":
            with draft(watched()) as made:
                assert 1 == opened_in(tmp_path)
                assert made.total == 1
        case "refused":
            refusal([Problem(1, "file", "x")])
        case _:
            with pytest.raises(InputError, match="the stream broke"):
                draft(broken())

    gc.collect()
    assert (0, []) == (opened_in(tmp_path), list(tmp_path.iterdir()))


FULL_DISK = """
import resource
from random import randbytes
from config.errors import BulkrsvpError
from jobs.draft.draft import draft
from jobs.rows.response import Response
from jobs.rows.reading import Row
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
def rows(users):
    for n in range(1, 65):
        row = {"user": f"u{n % users}@b.c", "event": str(n), "action": "decline"}
        yield Row.of(n, n, Response.from_json(row | {"comment": randbytes(4096).hex()}))
for users in (1, 64):  # what is full: a file of rows, or the one of slices
    try:
        draft(rows(users))
    except BulkrsvpError as error:
        print(error)
"""


def test_a_full_disk_is_a_message() -> None:
    """Where rows or slices find no room, the administrator is told what to do about it."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=True
    )
    told = done.stdout.splitlines()

    assert done.stderr == ""
    assert 2 == len(told)
    assert all(line.startswith("the rows could not be kept in ") for line in told)
    assert all(line.endswith("set TMPDIR to a folder that has some") for line in told)


LONG_FILE = """
import resource
from jobs.draft.draft import draft
from jobs.rows.response import Response
from jobs.rows.reading import Row
def rows(count):
    for n in range(1, count + 1):
        row = {"user": f"u{n % 5000}@b.c", "event": "E" * 150 + str(n), "action": "decline"}
        yield Row.of(n, n, Response.from_json(row))
def peak(count):
    with draft(rows(count)) as made:
        assert sum(each.size for each in made.slices()) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(10_000), peak(60_000))
"""


def test_memory_does_not_grow_with_the_file() -> None:
    """Six times the rows take nowhere near six times the memory."""
    done = subprocess.run(
        [sys.executable, "-c", LONG_FILE], capture_output=True, text=True, check=True
    )
    short, long = map(int, done.stdout.split())

    assert long < 1.3 * short


GOOD = response().to_json()
SELECTS = selection().to_json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no zlib",
        zlib.compress(b""),
        zlib.compress(b"[]"),
        zlib.compress(b"{}"),
        zlib.compress(b"[[0,%b]]" % GOOD),
        zlib.compress(b'[["1",%b]]' % GOOD),
        zlib.compress(b"[[1,%b],[1,%b]]" % (GOOD, GOOD)),
        zlib.compress(b"[[1,%b,2]]" % GOOD),
        zlib.compress(b"[[1,%b]]" % GOOD)[:-3],
        zlib.compress(b"[[1,%b]]" % GOOD) + b"x",
        zlib.compress(b"[[1,%b]]" % GOOD.replace(b"E1", b"a%2Fb")),
        zlib.compress(b"[[1,%b]]" % GOOD.replace(b"ada@contoso.com", b"me")),
        zlib.compress(b"[[1,%b]]" % GOOD.replace(b"sendResponse", b"send_response")),
        zlib.compress(b"[[1,%b],[1,%b]]" % (GOOD, SELECTS)),
        zlib.compress(b"[[1,%b],[2,%b]]" % (SELECTS, GOOD.replace(b"E1", b".."))),
        zlib.compress(b"[[1,%b]]" % SELECTS.replace(b'"events"', b'"event":"..","events"')),
        zlib.compress(b"[[1,%b]]" % SELECTS.replace(b'"events"', b'"\\u0065vents"')),
        zlib.compress(b"[[1,%b]]" % SELECTS.replace(b'"from"', b'"from_"')),
        zlib.compress(b"[[1,%b]]" % SELECTS.replace(b"ada@contoso.com", b"ada/x@contoso.com")),
        zlib.compress(b"[[1,%b]]" % SELECTS.replace(b'"now"', b'"tomorrow"')),
    ],
)
def test_a_forged_slice_is_refused(body: bytes) -> None:
    """Whoever can write to the ledger can neither address another path nor fill the memory."""
    with pytest.raises(ValueError, match="a slice is not as it was stored"):
        unpack(body)


def test_a_slice_that_would_fill_the_memory_is_refused() -> None:
    """However much a few bytes claim to hold, no more than the limit is unpacked."""
    bomb = zlib.compressobj(1)
    megabyte = b" " * (1 << 20)
    packed = b"".join(bomb.compress(megabyte) for _ in range(MAX_UNPACKED >> 20))
    packed += bomb.compress(b"[[1,%b]]" % GOOD) + bomb.flush()

    assert len(packed) < MAX_UNPACKED / 100
    with pytest.raises(ValueError, match="a slice is not as it was stored"):
        unpack(packed)


def test_a_mailbox_that_no_slice_can_hold_is_refused() -> None:
    """What the worker would not unpack is not queued in the first place."""
    comment = "x" * 8192
    rows = (Row.of(n + 1, n, response(event=f"E{n}", comment=comment)) for n in range(1, 8_101))
    text = "asks for 8100 responses, 64 MiB of JSON, too much for one batch; use several files"

    assert (Problem(2, "user", text),) == refusal(rows).problems


def test_a_forged_slice_is_not_repeated_in_the_message() -> None:
    """What a slice holds is not for logs, even when it is wrong."""
    body = zlib.compress(b"[[1,%b]]" % response(comment="secret").to_json().replace(b"E1", b"?"))
    with pytest.raises(ValueError, match="value_error") as caught:
        unpack(body)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_but_value_error(body: bytes) -> None:
    """Whatever stands in the ledger, one kind of error comes of it."""
    with pytest.raises(ValueError, match="a slice is not as it was stored"):
        unpack(body)


@pytest.mark.parametrize("text", ["a", "9", "leavers-2026.12_A", "x" * 64])
def test_a_batch_id_is_short_and_plain(text: str) -> None:
    """Names that a person may give to a batch come back as they are."""
    assert text == check_batch_id(text)


@pytest.mark.parametrize("text", ["", "-a", ".a", "_a", "a b", "a/b", "a:b", "a\n", "é", "x" * 65])
def test_what_could_be_an_option_a_path_or_a_key_is_no_batch_id(text: str) -> None:
    """Ids stand in commands, file names and Redis keys, and change none of them."""
    with pytest.raises(InputError, match="cannot be a batch id"):
        check_batch_id(text)
