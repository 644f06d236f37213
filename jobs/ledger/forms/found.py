"""
The stored form of what a selection has found: its events, packed as JSON and compressed.

Which events these are is decided by `jobs/rows/choosing.py`. Does not know Redis.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from jobs.ledger.forms.compression import MAX_UNPACKED, inflate
from jobs.outcome import Ending
from jobs.rows.choosing import Found

__all__ = ["PACKED_AT_ONCE", "fits", "pack_found", "unpack_found"]

PACKED_AT_ONCE: Final = 1_000
"""Events that are made into JSON at once."""


def fits(found: Iterable[Found]) -> bool:
    """Whether what was found can be kept, and read again."""
    return sum(len(orjson.dumps(_fields(each))) + 1 for each in found) < MAX_UNPACKED


def pack_found(found: Sequence[Found]) -> bytes:
    """Return what `unpack_found` reads; of much, no more than a part is made into JSON at once."""
    squeezer, packed = zlib.compressobj(), list[bytes]()
    for at in range(0, len(found), PACKED_AT_ONCE):
        some = orjson.dumps([_fields(each) for each in found[at : at + PACKED_AT_ONCE]])
        packed.append(squeezer.compress(b"%b%b" % (b"," if at else b"[", some[1:-1])))
    packed.append(squeezer.compress(b"]" if found else b"[]"))
    return b"".join([*packed, squeezer.flush()])


def _fields(found: Found) -> list[object]:
    ending = found.ending and found.ending.to_fields()
    return [found.event, found.quiet, found.seen, ending, found.series, *found.shown]


def unpack_found(body: bytes) -> list[Found]:
    """
    Return what a selection has found.

    Raises `ValueError` for whatever `pack_found` has not made. The ids are checked again when
    they become responses.
    """
    try:
        text, _ = inflate(body)
        return [_read_fields(*fields) for fields in orjson.loads(text)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"what was found is not as it was stored: {error}") from None


def _read_fields(event: str, quiet: Any, seen: str, ending: Any, series: Any, *shown: Any) -> Found:
    subject, start, organizer = shown
    return Found(
        event=event,
        quiet=quiet is True,
        seen=str(seen),
        ending=ending and Ending.from_fields(ending),
        series=series if isinstance(series, str) else None,
        shown=(_as_text(subject), _as_text(start), _as_text(organizer)),
    )


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)
