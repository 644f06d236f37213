"""
Reading what may be big in steps, so that Redis serves others in between.

What changes meanwhile is read as it was before or after, each field by itself. That is enough: who
writes compares what he has read, and records that are put away meanwhile are read again.
"""

from typing import Any, Final

from jobs.ledger.fields import SliceField

FIELDS_AT_ONCE: Final = 2_500
"""Fields in one step: some milliseconds of Redis. A usual slice has fewer, and takes one."""

BYTES_AT_ONCE: Final = 1 << 20
"""Of rows: more is read by itself, as it is, and not by a script, which would copy it twice."""


async def read_fields(redis: Any, name: str) -> dict[bytes, bytes]:
    """Return all fields of a hash; none if it is not there. Raises redis-py's errors."""
    return await read_on(redis, name, *await redis.hscan(name, count=FIELDS_AT_ONCE))


async def read_on(
    redis: Any, name: str, cursor: int, fields: dict[bytes, bytes]
) -> dict[bytes, bytes]:
    """Return all fields of a hash, of which the first were read by HSCAN. Raises redis-py's."""
    if not cursor:
        return fields
    found = dict(fields)
    while cursor:
        cursor, fields = await redis.hscan(name, cursor, count=FIELDS_AT_ONCE)
        found |= fields
    if SliceField.ARCHIVE not in found and await redis.hget(name, SliceField.ARCHIVE) is not None:
        return await read_fields(redis, name)
    return found
