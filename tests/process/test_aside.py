"""What takes long where there is much of it is done where nothing waits for it."""

import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, SupportsIndex

import orjson
import pytest

from jobs.aside import AT_ONCE
from jobs.ledger import keys
from jobs.ledger.forms.found import unpack_found
from jobs.ledger.forms.slice import Slice
from jobs.rows.choosing import Found
from jobs.rows.selection import Selection
from tests.support.awaited import awaited
from tests.support.small_ledger import ledger_at, order

FOUND = Found(event="e", quiet=False, seen="none", ending=None, series=None, shown=(None,) * 3)


class Seen(list[Found]):
    """What was found, which knows the threads that went through it."""

    def __init__(self, count: int) -> None:
        super().__init__(replace(FOUND, event=f"E{number}") for number in range(count))
        self.threads = set[int]()

    def __iter__(self) -> Iterator[Found]:
        self.threads.add(threading.get_ident())
        return super().__iter__()

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        self.threads.add(threading.get_ident())
        return super().__getitem__(at)


@pytest.mark.parametrize(("count", "beside"), [(1, False), (AT_ONCE + 1, True)])
@awaited
async def test_what_was_found_is_kept(
    redis_url: str, redis: Any, *, count: int, beside: bool
) -> None:
    """Tens of thousands are packed while the heartbeat goes on."""
    given = {"user": "ada@c.com", "action": "decline", "sendResponse": True, "events": {}}
    body = zlib.compress(orjson.dumps([[1, given]]))
    async with ledger_at(redis_url) as ledger:
        await ledger.batches.commit(order(1, selections=1), [Slice(0, 1, body)], ledger.now_ms)
        await ledger.batches.release("b", 9)
        part = await ledger.open()
        (entry,) = part.entries
        assert isinstance(entry.response, Selection)
        found = Seen(count)
        kept = await ledger.slices.keep_found(part, entry, entry.response, found)
        threads = set(found.threads)
    stored = redis.hget(keys.slice_records("b", 0), "found:1")
    assert kept is not None
    assert (count, list(found)) == (len(kept), unpack_found(stored))
    assert beside is (threading.get_ident() not in threads)
