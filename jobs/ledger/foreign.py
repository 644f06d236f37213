"""
What Redis holds that bulkrsvp has not written: keys of another type, names that are not text.

Whoever can write to Redis can write nonsense. Nonsense is left alone, while a Redis that is away or
refuses a command is waited for; this module tells the two apart where a value is read.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import ResponseError

from jobs.quoting import refusal

MAX_BATCH_ID: Final = 64
"""Characters."""

BATCH_ID: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_BATCH_ID - 1}}}")
"""What a batch may be called."""

FOR_EVER: Final = -1
"""PTTL of a key that does not expire; a claim that bulkrsvp makes always does."""

_DAMAGE: Final = re.compile(
    "WRONGTYPE|not an integer|not a valid float|would overflow"
    "|attempt to (?:compare|perform|index|concatenate|call)|bad argument #"
)
"""How Redis and its Lua report that a value is not what a command needs."""

WRITTEN_BY_OTHERS: Final = "see who else writes to that Redis"
"""What to do about it."""

SHOWN: Final = 40
"""Bytes of a name in a message."""


class Unreadable(ValueError):
    """Redis holds something that bulkrsvp has not written; it is left alone."""


class BatchUnreadable(Unreadable):
    """A batch as a whole is not as bulkrsvp wrote it."""


class SharedUnreadable(Unreadable):
    """A key that all batches share is not as bulkrsvp wrote it."""


@contextmanager
def told_apart(what: str, kind: type[Unreadable] = Unreadable) -> Iterator[None]:
    """Raise `Unreadable` in place of redis-py's error where Redis answers with nonsense."""
    try:
        yield
    except Unreadable:
        raise
    except (ResponseError, ValueError) as error:
        if isinstance(error, ResponseError) and not is_foreign(error):
            raise
        raise kind(f"{what} is not as it was stored: {refusal(error)}") from error


def is_foreign(error: Exception) -> bool:
    """Whether Redis raised it because of a value that bulkrsvp has not written."""
    return isinstance(error, ResponseError) and _DAMAGE.search(str(error)) is not None


def batch_ids(members: Iterable[bytes]) -> tuple[list[str], list[bytes]]:
    """Separate the names that a batch can have from all others."""
    ours, others = list[str](), list[bytes]()
    for member in members:
        name = member.decode("ascii", "replace")
        if BATCH_ID.fullmatch(name):
            ours.append(name)
        else:
            others.append(member)
    return ours, others


def shown(name: bytes) -> str:
    """Return the beginning of a name for a message, in ASCII."""
    short = name if len(name) <= SHOWN else name[:SHOWN] + b"..."
    return ascii(short)[1:]
