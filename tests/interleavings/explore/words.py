"""Steps in words: what a command is, and what a schedule did."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.interleavings.model.client import Command


class Wanted(NamedTuple):
    """One write that `lua/write.lua` was asked for."""

    slice: str
    epoch: bytes
    kind: str
    row: bytes
    expected: bytes
    record: bytes


def wanted(command: Command) -> Iterator[Wanted]:
    """Yield the writes that a run of `write.lua` was asked for."""
    count = int(command[2])
    names, given = command[3 : 3 + count], command[3 + count :]
    at = 7
    for name in names[4::2]:
        epoch, logged = given[at], int(given[at + 1])
        at += 2 + logged
        entries = int(given[at])
        at += 1
        for _ in range(entries):
            kind, row, expected, record = given[at : at + 4]
            yield Wanted(name.decode(), epoch, kind.decode(), row, expected, record)
            at += 6


def script_of(command: Command, names: Mapping[bytes, str]) -> str:
    """Return the name of the script that a command runs; "" if it runs none."""
    return names.get(command[1], "") if command[0] == b"EVALSHA" else ""


def in_words(commands: tuple[Command, ...], names: Mapping[bytes, str]) -> str:
    """Say what commands are."""
    return " + ".join(_in_words(each, names) for each in commands)


def _in_words(command: Command, names: Mapping[bytes, str]) -> str:
    script = script_of(command, names)
    if script == "write":
        writes = list(wanted(command))
        told = ", ".join(f"{each.kind} row {each.row.decode()}" for each in writes)
        return told or "tells what was logged"
    if script:
        return script
    key = command[1].decode(errors="replace").removeprefix("bulkrsvp:") if command[1:] else ""
    return f"{command[0].decode()} {key}".strip()
