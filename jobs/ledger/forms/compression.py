"""Unpacking what the ledger has compressed: whoever can write to Redis can write a bomb."""

import zlib
from typing import Final

__all__ = ["MAX_UNPACKED", "inflate"]

MAX_UNPACKED: Final = 64 << 20
"""
Bytes that anything in the ledger may have when it is unpacked.

As JSON that is a slice of 200,000 usual rows, or of 8,000 with the longest comment, or some 100,000
events that one selection has found; the largest archive has a hundredth of it.
"""


def inflate(body: bytes) -> tuple[bytes, bytes]:
    """
    Return what zlib has compressed, and the bytes behind it.

    Raises `ValueError` for what is not compressed, is cut off, or exceeds `MAX_UNPACKED`.
    """
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(body, MAX_UNPACKED)
    except zlib.error:
        raise ValueError("not compressed") from None
    if not stream.eof:
        raise ValueError("cut off, or too long")
    return text, stream.unused_data
