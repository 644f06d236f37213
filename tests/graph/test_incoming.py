"""Whatever comes in is read in little memory, and nothing waits for it."""

import gzip
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tests.support.awaited import awaited
from worker.graph.incoming import INFLATES, MAX_PAGE_BYTES, Intake
from worker.graph.legible import MAX_LEFT
from worker.graph.transport import Incoming

MOST = 64 << 20
"""Bytes that a page may take while it is read, what came in aside."""

PEOPLE = [{"emailAddress": {"name": "Ada", "address": "ada@contoso.com"}}] * 200
INFLATED = INFLATES * MAX_PAGE_BYTES - 1_000
"""Bytes of the biggest page."""


def incoming(content: bytes, encoding: str = "identity") -> Incoming:
    """Make what came in, whole."""
    headers = CIMultiDictProxy(CIMultiDict({"Content-Encoding": encoding}))
    return Incoming(datetime.now(UTC), headers, 200, content, reached=True, whole=True)


def text(piece: bytes, size: int, begin: bytes = b"") -> bytes:
    """Make a page that shows nothing but a long text."""
    return b'{"value":[],"x":"%b%b"}' % (begin, piece * (size // len(piece)))


def items(item: bytes, count: int) -> bytes:
    """Make a page that shows something so many times."""
    return b'{"value":[%b]}' % b",".join([item] * count)


LEFT = MAX_LEFT - 100
PAGES: dict[str, tuple[Callable[[], bytes], bool]] = {
    "backslashes": (lambda: text(b"\\\\", LEFT, rb"\u0041"), True),
    "many more backslashes": (lambda: text(b"\\\\", INFLATED, rb"\u0041"), False),
    "halves": (lambda: text(rb"\ud83d", LEFT), True),
    "wide": (lambda: text(b"x", LEFT, "\N{GRINNING FACE}".encode()), True),
    "wide, and no text": (lambda: text(b"\xff", LEFT // 3, "\N{GRINNING FACE}".encode()), True),
    "odd": (lambda: items(b"0", 100_000), True),
    "odd objects": (lambda: items(b"{}", 60_000), True),
    "lists": (lambda: items(b"[[[]]]", 100_000), True),
    "people": (lambda: items(orjson.dumps({"id": "e", "attendees": PEOPLE}), 1_000), True),
    "too long": (lambda: b"[" + b" " * INFLATED * 2 + b"]", False),
}


@pytest.mark.parametrize("name", PAGES)
@awaited
async def test_reading_a_page_takes_little_memory(name: str) -> None:
    """A page takes little, whatever stands on it and however little of it came."""
    make, legible = PAGES[name]
    came = incoming(gzip.compress(make(), 1), "gzip")
    intake = Intake()
    tracemalloc.start()
    try:
        reply = await intake.read(came, 1.0, paged=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        intake.close()
    assert peak < MOST
    assert (legible, legible) == (reply.is_json, reply.page is not None)


@pytest.mark.parametrize("paged", [True, False])
@awaited
async def test_what_is_not_compressed_as_it_says(*, paged: bool) -> None:
    """Its status counts, and it had a body that nobody can read."""
    intake = Intake()
    reply = await intake.read(incoming(b"no gzip", "gzip"), 1.0, paged=paged)
    intake.close()
    assert (200, True, False, None) == (reply.status, reply.has_body, reply.is_json, reply.page)
