"""
What Redis holds that no program of ours has written: keys of another type, names that are no text.

Whoever can write to Redis can write nonsense. It is told apart here, where it is read, from a Redis
that is away or refuses: those are waited for, and this is left alone.
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
"""What Redis says of a key that does not expire; a claim of ours always does."""

_DAMAGE: Final = re.compile(
    "WRONGTYPE|not an integer|not a valid float|would overflow"
    "|attempt to (?:compare|perform|index|concatenate|call)|bad argument #"
)
"""How Redis, and Lua in it, word that a value is not what a command needs."""

WRITTEN_BY_OTHERS: Final = "see who else writes to that Redis"
"""What whoever meets it can do."""

SHOWN: Final = 40
"""Bytes of a name that are told."""


class Unreadable(ValueError):
    """Redis holds what is not ours where something of ours belongs; it is to be left alone."""


class BatchUnreadable(Unreadable):
    """So is a batch as a whole."""


class SharedUnreadable(Unreadable):
    """So is a key that all batches share."""


@contextmanager
def told_apart(what: str, kind: type[Unreadable] = Unreadable) -> Iterator[None]:
    """Raise `Unreadable`, instead of redis-py's error, where Redis has answered with nonsense."""
    try:
        yield
    except Unreadable:
        raise
    except (ResponseError, ValueError) as error:
        if isinstance(error, ResponseError) and not is_foreign(error):
            raise
        raise kind(f"{what} is not as it was stored: {refusal(error)}") from error


def is_foreign(error: Exception) -> bool:
    """Tell whether it is an error of Redis's that comes from a value which is not ours."""
    return isinstance(error, ResponseError) and _DAMAGE.search(str(error)) is not None


def batch_ids(members: Iterable[bytes]) -> tuple[list[str], list[bytes]]:
    """Part the names that a batch can have from all others."""
    ours, others = list[str](), list[bytes]()
    for member in members:
        name = member.decode("ascii", "replace")
        if BATCH_ID.fullmatch(name):
            ours.append(name)
        else:
            others.append(member)
    return ours, others


def shown(name: bytes) -> str:
    """Return a name for a message: its beginning, in ASCII."""
    short = name if len(name) <= SHOWN else name[:SHOWN] + b"..."
    return ascii(short)[1:]
