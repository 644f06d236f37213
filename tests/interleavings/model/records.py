"""What the ledger's data say of batches and responses, read as the product reads them."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import orjson

from jobs.ledger import keys
from jobs.ledger.forms.entries import Entry, read_entries
from tests.interleavings.model.ledger import Data

REMEMBERED: Final = 100_000


def batches(data: Data) -> list[str]:
    """Return the ids of the batches that are listed."""
    return [name.decode() for name in data.members(keys.BATCHES)[::2]]


def facts(data: Data, batch: str) -> dict[bytes, bytes]:
    """Return what is kept of a batch as a whole; nothing if it is not there."""
    found = data.fields(keys.batch(batch))
    return found if b"fingerprint" in found else {}


def slices(data: Data, batch: str) -> Iterator[tuple[int, tuple[Entry, ...]]]:
    """Yield the slices of a batch, number and responses."""
    for number, rows in data.fields(keys.rows(batch)).items():
        key = data.by_name.get(keys.slice_records(batch, int(number)).encode())
        yield int(number), _entries(rows, () if key is None else key.value)


def entries(data: Data, batch: str) -> Iterator[Entry]:
    """Yield the responses of a batch."""
    for _, found in slices(data, batch):
        yield from found


def granted(before: Data, after: Data) -> frozenset[str]:
    """Return the calls for which a mark stands, in what has changed."""
    found = set[str]()
    for key in after.keys:
        if b":slice:" not in key.name or key.kind != b"hash":
            continue
        if before.by_name.get(key.name) is not key:
            marks = (text for text in key.value[1::2] if text.startswith(b'["m"'))
            found.update(orjson.loads(text)[4] for text in marks)
    return frozenset(found)


@lru_cache(REMEMBERED)
def _entries(rows: bytes, fields: tuple[bytes, ...]) -> tuple[Entry, ...]:
    records = dict(zip(fields[::2], fields[1::2], strict=True))
    return tuple(read_entries(rows, records))
