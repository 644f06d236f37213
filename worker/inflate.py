"""A body that came compressed, inflated as far as somebody wants to read it, and no further."""

import zlib

GZIP = {"gzip", "x-gzip"}
_WBITS = 16 + zlib.MAX_WBITS


def inflated(body: bytes, encoding: str | None, limit: int) -> bytes | None:
    """
    Return a body as it was before it was compressed, at most `limit` bytes of it.

    Returns None where that is more, or cannot be told: only gzip was asked for.
    """
    if encoding is None or encoding.casefold() == "identity":
        return body
    if encoding.casefold() not in GZIP:
        return None
    stream = zlib.decompressobj(_WBITS)
    try:
        text = stream.decompress(body, limit)
    except zlib.error:
        return None
    return text if stream.eof else None
