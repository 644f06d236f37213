"""A body that came compressed, inflated up to a limit."""

import zlib
from typing import Final

GZIP = {"gzip", "x-gzip"}
_WBITS = 16 + zlib.MAX_WBITS

_PIECE: Final = 1 << 18
"""Bytes at once: put together by zlib itself they would take twice the room."""


def inflated(body: bytes, encoding: str | None, limit: int) -> bytes | bytearray | None:
    """
    Return a body as it was before it was compressed, at most `limit` bytes of it.

    Returns None where that is more, or is not known: only gzip was asked for.
    """
    if encoding is None or encoding.casefold() == "identity":
        return body if len(body) <= limit else None
    if encoding.casefold() not in GZIP:
        return None
    stream, text = zlib.decompressobj(_WBITS), bytearray()
    try:
        while len(text) <= limit and (piece := stream.decompress(body, _PIECE)):
            text += piece
            body = stream.unconsumed_tail
    except zlib.error:
        return None
    return text if stream.eof and len(text) <= limit else None
