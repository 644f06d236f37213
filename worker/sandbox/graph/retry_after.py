"""
Retry-After in the shapes that Graph and others send it, written and read.

The reading is the sandbox's own: the worker's parser is among the things that it is there to
test. Here it only tells which calls come too early.
"""

import math
from email.utils import formatdate, parsedate_to_datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_AHEAD: Final = "date+"


def spell(retry_after: str, unix_s: float) -> str:
    """Turn `date+SECONDS` into the HTTP date that many seconds ahead; leave all else alone."""
    if not retry_after.startswith(_AHEAD):
        return retry_after
    # Dates know whole seconds: rounded up, the wait is never shorter than was asked for.
    return formatdate(math.ceil(unix_s + float(retry_after.removeprefix(_AHEAD))), usegmt=True)


def wait_s(retry_after: str, unix_s: float) -> float:
    """
    Read a Retry-After as seconds (RFC 9110 10.2.3, and the decimals that Graph sends).

    Of several numbers the longest counts; what nobody can read asks for no wait.
    """
    try:
        longest_s = max(float(part) for part in retry_after.split(","))
    except ValueError:
        longest_s = _until_date(retry_after, unix_s)
    return max(0.0, longest_s) if math.isfinite(longest_s) else 0.0


def _until_date(retry_after: str, unix_s: float) -> float:
    try:
        return parsedate_to_datetime(retry_after).timestamp() - unix_s
    except ValueError:
        return 0.0


def _check(retry_after: str) -> str:
    if not retry_after.isascii() or not (retry_after + " ").isprintable():
        raise ValueError("must fit into one header line")
    try:
        spell(retry_after, 0)
    except (ValueError, OverflowError):
        raise ValueError("date+SECONDS wants a number, like date+2") from None
    return retry_after


HeaderText = Annotated[str, AfterValidator(_check)]
"""The text of a header, in which `date+SECONDS` can be spelled."""

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")]
"""A name that may stand before it."""
