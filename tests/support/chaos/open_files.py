"""The files that a process has open, with a name or without one; for Linux."""

from contextlib import suppress
from pathlib import Path


def opened_in(folder: Path, pid: int | str = "self") -> int:
    """Count the files of a folder that a process has open."""
    return sum(_target(each).startswith(f"{folder}/") for each in Path(f"/proc/{pid}/fd").iterdir())


def _target(descriptor: Path) -> str:
    with suppress(FileNotFoundError):  # closed meanwhile
        return str(descriptor.readlink())
    return ""
