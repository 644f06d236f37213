"""What a selection has found comes out of the ledger as it went in."""

import zlib
from dataclasses import replace

import pytest

from jobs.ledger.forms.compression import MAX_UNPACKED
from jobs.ledger.forms.found import PACKED_AT_ONCE, fits, pack_found, unpack_found
from jobs.outcome import Ending, Outcome, Reason
from jobs.rows.choosing import UNREADABLE, Found

SHOWN = ("Budget", "2026-12-02T00:00:00Z", "olga@fabrikam.com")
ONE = Found(event="e", quiet=False, seen="accepted", ending=None, series=None, shown=SHOWN)
OWN = Ending(Outcome.SKIPPED, Reason.ORGANIZER)


def test_what_was_found_is_read_again() -> None:
    """It comes out of the ledger as it went in, with and without an end, a series and a subject."""
    found = [
        ONE,
        replace(ONE, event="m.1", quiet=True, series="m"),
        replace(ONE, event="own", ending=OWN),
        replace(ONE, event="odd", seen="none", ending=UNREADABLE, shown=(None, None, None)),
    ]
    assert found == unpack_found(pack_found(found))


@pytest.mark.parametrize("count", [0, 1, PACKED_AT_ONCE, 2 * PACKED_AT_ONCE + 1])
def test_much_is_packed_as_one_list(count: int) -> None:
    """However much was found, it is one list, and packing it again gives the same bytes."""
    found = [replace(ONE, event=str(number)) for number in range(count)]
    assert found == unpack_found(pack_found(found))
    assert pack_found(found) == pack_found(list(found))


def test_what_an_earlier_version_has_stored_is_read() -> None:
    """A list that was compressed in one piece is read."""
    text = b'[["e",true,"none",["skipped","organizer"],null,null,"2026-12-02","olga@f.com"]]'
    shown = (None, "2026-12-02", "olga@f.com")
    one = Found(event="e", quiet=True, seen="none", ending=OWN, series=None, shown=shown)
    assert [one] == unpack_found(zlib.compress(text))


def test_more_than_can_be_read_again_does_not_fit() -> None:
    """The limit is that of reading."""
    found = replace(ONE, shown=("\0" * 2_000, None, None))
    size = len(zlib.decompress(pack_found([found]))) - 2
    assert fits([found] * (MAX_UNPACKED // (size + 1)))
    assert not fits([found] * (MAX_UNPACKED // size + 1))


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"nonsense",
        pack_found([ONE])[:-1],
        zlib.compress(b"{"),
        zlib.compress(b'{"a": 1}'),
        zlib.compress(b'[["e"]]'),
        zlib.compress(b'[["e", false, "none", ["sent", "organizer"], null, null, "", ""]]'),
        zlib.compress(b"[1]"),
    ],
)
def test_forgeries_are_refused(forged: bytes) -> None:
    """Whatever `pack_found` has not made raises `ValueError`, and nothing else."""
    with pytest.raises(ValueError, match="what was found is not as it was stored"):
        unpack_found(forged)
