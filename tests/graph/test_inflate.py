"""A compressed body is read as far as somebody wants it, whatever it would become."""

import gzip

import pytest

from worker.graph.inflate import inflated

TEXT = b'{"value": []}'


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (TEXT, None, TEXT),
        (TEXT, "identity", TEXT),
        (gzip.compress(TEXT, mtime=0), "gzip", TEXT),
        (gzip.compress(TEXT, mtime=0), "X-GZIP", TEXT),
        (gzip.compress(TEXT, mtime=0)[:-9], "gzip", None),
        (TEXT, "gzip", None),
        (TEXT, "br", None),
        (TEXT, "gzip, gzip", None),
        (gzip.compress(b" " * 1_000, mtime=0), "gzip", b" " * 1_000),
        (gzip.compress(b" " * 1_001, mtime=0), "gzip", None),
        (b"", "gzip", None),
    ],
)
def test_a_body_is_inflated_up_to_its_limit(
    body: bytes, encoding: str | None, expected: bytes | None
) -> None:
    """What is more than the limit, or of another kind, is none."""
    assert expected == inflated(body, encoding, 1_000)
