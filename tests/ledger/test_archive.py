"""The archive of a slice: whatever goes in comes out byte for byte, and takes little room."""

import random
import uuid
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.ledger.forms.archive import MOST, pack, unpack
from jobs.ledger.forms.compression import MAX_UNPACKED
from jobs.outcome import Ending, Outcome
from jobs.record import Record, State
from tests.support.small_ledger import FAILED, NOW, SENT

SEED = 20_261_121
OWN = str(uuid.UUID(int=random.Random(SEED).getrandbits(128)))
FOREIGN = [
    "",
    "-",
    OWN.upper(),
    "{" + OWN + "}",
    OWN + OWN,
    OWN[:-1],
    "0",
    '"',
    "\\",
    "1" * 40,
    "ÿþ",
]

ids = st.one_of(st.none(), st.uuids().map(str), st.sampled_from([OWN, *FOREIGN]), st.text())
moments = st.one_of(st.just(0), st.integers(0, 2**53), st.integers(NOW, NOW + 10_000))
counts = st.integers(0, 9)
ended = st.builds(
    Record,
    state=st.just(State.SETTLED),
    attempts=counts,
    throttled=counts,
    status=st.sampled_from([None, 202, 404]),
    client_request_id=ids,
    request_id=ids,
    ending=st.sampled_from([SENT, FAILED, Ending(Outcome.EXPIRED), Ending(Outcome.PLANNED)]),
    settled_at_ms=moments,
    waiting_until_ms=st.just(0),
    unknown_since_ms=st.just(0),
    failed_looks=counts,
    unclear=st.booleans(),
    seen=st.one_of(st.none(), st.just("none"), ids),
    doubted_ms=moments,
    showing=st.one_of(st.none(), st.tuples(st.one_of(st.none(), st.text()), ids, ids)),
).map(Record.to_json)
numbers = st.integers(1, 10**12)
rows = st.one_of(numbers.map(b"%d".__mod__), st.tuples(numbers, numbers).map(b"%d.%d".__mod__))


def usual(count: int) -> dict[bytes, bytes]:
    """Make what a slice of five mailboxes leaves where all was sent."""
    chance = random.Random(SEED)

    def made() -> bytes:
        own, theirs = (str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(2))
        marked = Record(attempts=1, status=202, request_id=theirs).marked(own)
        return marked.settled(SENT, NOW + chance.randrange(5_000)).to_json()

    return {b"%d" % (1 + n // 20 + n % 20 * 50_000): made() for n in range(count)}


@settings(max_examples=50)
@given(st.dictionaries(rows, ended))
def test_records_come_out_as_they_went_in(records: dict[bytes, bytes]) -> None:
    """Whatever ids and moments records have, ours or not, their texts and rows are kept."""
    unpacked = unpack(pack(records))

    assert records == unpacked
    assert [*records] == [*unpacked]


@given(st.dictionaries(rows, st.one_of(st.binary(), ended)))
@example({b"1": f'"{OWN}"1700000000000'.encode(), b"2": b"\xff"})
@example({b"1": f'"{OWN}"1700000000000'.encode(), b"2": b"\xfe"})
@example({b"1": f'"{OWN[:20]}'.encode(), b"2": f'{OWN[20:]}"'.encode()})
@example({b"1": f'"{OWN[:7]}A{OWN[8:]}"'.encode(), b"2": f'"{OWN.upper()}"'.encode()})
@example({b"1": b"17000000", b"2": b"00000"})
@example({b"1": b"0000000000001", b"2": b"17000000000000000"})
@example({b"1": b"", b"2": b""})
def test_any_bytes_come_out_as_they_went_in(texts: dict[bytes, bytes]) -> None:
    """Even what is no record, or has the archive's own marks in it, is kept."""
    assert texts == unpack(pack(texts))


@pytest.mark.parametrize(("count", "most"), [(100, 36), (MOST, 35)])
def test_an_archive_takes_little_more_than_its_ids(count: int, most: int) -> None:
    """Of a usual response it keeps its two ids of 16 bytes, and a few bytes more."""
    records = usual(count)

    assert 32 * count < len(pack(records)) <= most * count


@pytest.mark.parametrize("row", [b"", b"x", b"1.x", b"1.2.3"])
def test_only_rows_are_packed(row: bytes) -> None:
    """What is no row of a file is refused, instead of coming out as another one."""
    with pytest.raises(ValueError, match="invalid literal"):
        pack({row: b"text"})


BROKEN = {
    "nothing": b"",
    "no archive": b"[1,2,3]",
    "cut off in its columns": pack(usual(9))[:20],
    "without an id": pack(usual(9))[:-16],
    "without a part of an id": pack(usual(9))[:-1],
    "with another id": pack(usual(9)) + bytes(16),
    "too long": zlib.compress(bytes(MAX_UNPACKED + 1)),
    "no columns": zlib.compress(b"{}\n"),
    "too few columns": zlib.compress(b"[[],[],[]]\n"),
    "columns of something else": zlib.compress(b'[["a"],[0],[1],[]]\nx'),
    "more lengths than rows": zlib.compress(b"[[],[],[1],[]]\nx"),
    "more text than lengths": zlib.compress(b"[[1],[0],[1],[]]\nxy"),
    "a moment that stands nowhere": zlib.compress(b"[[1],[0],[1],[5]]\nx"),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_nonsense_is_no_archive(body: bytes) -> None:
    """Whoever can write to Redis can write nonsense; it is told as that, and nothing breaks."""
    with pytest.raises(ValueError, match="an archive is not as it was stored"):
        unpack(body)


@given(st.randoms(use_true_random=False))
def test_a_damaged_archive_breaks_nothing(chance: random.Random) -> None:
    """An archive with one other byte is read as texts or refused, and never breaks its reader."""
    body = bytearray(pack(usual(9)))
    body[chance.randrange(len(body))] = chance.randrange(256)
    with suppress(ValueError):
        unpack(bytes(body))
