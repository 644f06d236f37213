"""
Files and folders for their owner only: results hold comments, subjects and addresses.

What already existed becomes private as well. Does not know what is written.
"""

import os
import stat
from pathlib import Path
from typing import IO, Final

_FILE: Final = 0o600
_FOLDER: Final = 0o700


def open_private(path: Path) -> IO[str]:
    """Open a file for text in UTF-8, with line ends as they are written. Raises `OSError`."""
    low = _open(path, os.O_WRONLY | os.O_CREAT)
    if _is_file(low):
        os.ftruncate(low, 0)  # not when it is opened: until it is private, others may read it
    return os.fdopen(low, "w", encoding="utf-8", newline="")


def append_private(path: Path) -> IO[bytes]:
    """Open a file for bytes at its end. Raises `OSError`."""
    return os.fdopen(_open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")


def _open(path: Path, flags: int) -> int:
    low = os.open(path, flags, _FILE)
    try:
        if _is_file(low):
            os.fchmod(low, _FILE)
    except OSError:
        os.close(low)
        raise
    return low


def _is_file(low: int) -> bool:
    """Whether it is a file, and not a pipe or a device, whose mode must not be changed."""
    return stat.S_ISREG(os.fstat(low).st_mode)


def make_private(folder: Path) -> None:
    """
    Make a private folder, or make an existing one private. Raises `OSError`.

    A folder that belongs to somebody else, or to everybody like /tmp, stays as it is; files that
    are put there are private nevertheless.
    """
    folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        folder.chmod(_FOLDER)
