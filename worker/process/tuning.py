"""Python's own buffers and garbage collection, set lower for a process that is only a worker."""

import gc
from asyncio.sslproto import SSLProtocol
from typing import Final

TLS_READ_BYTES: Final = 32_768
"""Two records of TLS, of which none is longer than 16 KB (RFC 8446 5.1)."""


def read_little() -> None:
    """
    Let connections with TLS have a small buffer each; to be called before there are any.

    asyncio gives 256 KB to each one: with 512 calls in flight 130 MB, more than all the rest.
    """
    SSLProtocol.max_size = TLS_READ_BYTES


def collect_seldom() -> None:
    """
    Let Python look for garbage cycles less often, and not at all among what stays.

    Calls leave few of them, and the search costs a tenth of the time that a call takes.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
