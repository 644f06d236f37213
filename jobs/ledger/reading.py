"""
Reading what may be big in steps, so that Redis serves others in between.

What changes meanwhile is read as it was before or after, field by field. That is enough: a writer
compares what it has read, and records that are put away meanwhile are read again.
"""

from typing import Any, Final

from jobs.ledger.fields import SliceField

FIELDS_AT_ONCE: Final = 2_500
"""Fields in one step: some milliseconds of Redis. A usual slice has fewer, and takes one."""

BYTES_AT_ONCE: Final = 1 << 20
"""Bytes of rows; more are read by a plain command, since a script would copy them twice."""


async def read_fields(redis: Any, name: str) -> dict[bytes, bytes]:
    """Return all fields of a hash, none if it does not exist. Raises redis-py's errors."""
    return await read_on(redis, name, *await redis.hscan(name, count=FIELDS_AT_ONCE))


async def read_on(
    redis: Any, name: str, cursor: int, fields: dict[bytes, bytes]
) -> dict[bytes, bytes]:
    """Return all fields of a hash, continuing an HSCAN. Raises redis-py's errors."""
    if not cursor:
        return fields
    found = dict(fields)
    while cursor:
        cursor, fields = await redis.hscan(name, cursor, count=FIELDS_AT_ONCE)
        found |= fields
    if SliceField.ARCHIVE not in found and await redis.hget(name, SliceField.ARCHIVE) is not None:
        return await read_fields(redis, name)
    return found
