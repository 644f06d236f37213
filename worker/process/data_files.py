"""
The files in which a server keeps its data, in the two layouts that there are.

Up to Redis 6.2 it is one file. From 7.0 on, and in Valkey, it is a folder with a manifest, and such
a server moves the one file into it (Redis: aof.c, `aofUpgradePrepare`); an older server does not
look into the folder and starts empty. While a server is tried, a second link to each file stands in
a folder of its own, from which all is put back if that server must not be used, also when this
process was killed meanwhile. What the files hold is not known here.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ONE_FILE: Final = "appendonly.aof"
FOLDER: Final = "appendonlydir"
SNAPSHOT: Final = "dump.rdb"
MADE: Final = frozenset({ONE_FILE, FOLDER})
"""The names under which a server keeps its data, unless it is configured otherwise."""

_KEPT: Final = "before-start"
_MANIFEST: Final = ".manifest"
_EMPTY_RDB: Final = 256
"""Bytes; a snapshot of nothing is about 90, and one of a batch is more than this."""


class DataFiles:
    """
    The data in a folder, before a server is started there.

    What an earlier start left undone is put back first. Every method raises `OSError` where the
    folder cannot be used.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._kept = state / _KEPT
        self._unsure = self._kept.with_suffix(".part")
        shutil.rmtree(self._unsure, ignore_errors=True)
        self._sizes: dict[Path, int] = {}
        self._finish_killed_start()
        self._names = {path.name for path in state.iterdir()}
        self.held = self.holding()

    def _finish_killed_start(self) -> None:
        """Put back what a start that was killed had kept, unless that was done already."""
        if not self._kept.is_dir():
            return
        if any(_is_larger(self._state / path, self._kept / path) for path in _found(self._kept)):
            self.drop()
            return
        self._names = {path.name for path in self._kept.iterdir()}
        self.put_back(MADE)

    def holding(self) -> frozenset[str]:
        """Return which of the layouts have data in them now, by the name of the file or folder."""
        names = {path.parts[0] for path in _found(self._state) if _has_data(self._state / path)}
        if _has_data(self._state / SNAPSHOT):
            names.add(SNAPSHOT)
        return frozenset(names)

    @property
    def without_manifest(self) -> bool:
        """Whether a server would begin anew in a folder of data, and write over some of them."""
        return FOLDER in self.held and not any((self._state / FOLDER).glob(f"*{_MANIFEST}"))

    def keep(self, *, whole: bool = False) -> None:
        """Keep what is there; `whole` copies it, for a server that may cut off its end."""
        self.drop()
        self._unsure.mkdir(mode=0o700)
        if (self._state / FOLDER).is_dir():
            (self._unsure / FOLDER).mkdir(mode=0o700)
        for path in _found(self._state):
            (_copy if whole else _link)(self._state / path, self._unsure / path)
            self._sizes[path] = (self._state / path).stat().st_size
        self._unsure.rename(self._kept)

    def drop(self) -> None:
        """Forget what was kept; where that breaks off, a part of it is not taken for the whole."""
        if self._kept.is_dir():
            self._kept.rename(self._unsure)
            shutil.rmtree(self._unsure)

    def put_back(self, made: frozenset[str]) -> None:
        """
        Undo what a server that has ended did; `made` are the names under which it keeps its data.

        Only what was not there before is removed.
        """
        kept = list(_found(self._kept))
        for path in kept:
            _put_back(self._kept / path, self._state / path)
            _shorten(self._state / path, self._sizes.get(path))
        for path in set(_found(self._state)).difference(kept):
            if path.parts[0] in made:
                (self._state / path).unlink()
        for name in made - self._names:
            _remove(self._state / name)
        self.drop()


def _found(folder: Path) -> Iterator[Path]:
    """Yield the files of both layouts, relative to the folder they are in."""
    within = folder / FOLDER
    paths = [folder / ONE_FILE, *(sorted(within.iterdir()) if within.is_dir() else [])]
    return (path.relative_to(folder) for path in paths if path.is_file())


def _has_data(path: Path) -> bool:
    if path.suffix == _MANIFEST or not path.is_file():
        return False
    return path.stat().st_size > (_EMPTY_RDB if path.suffix == ".rdb" else 0)


def _link(path: Path, kept: Path) -> None:
    try:
        kept.hardlink_to(path)
    except OSError:  # not every file system has links
        _copy(path, kept)


def _copy(path: Path, kept: Path) -> None:
    shutil.copy2(path, kept)


def _put_back(kept: Path, path: Path) -> None:
    if path.exists() and path.samefile(kept):
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    kept.replace(path)


def _shorten(path: Path, size: int | None) -> None:
    """Cut off what a server has added, which is which keys have expired meanwhile."""
    if size is not None and path.stat().st_size > size:
        os.truncate(path, size)


def _is_larger(path: Path, kept: Path) -> bool:
    return path.exists() and path.stat().st_size > kept.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step that also holds when the power fails. Raises `OSError`."""
    new = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()  # all of it, or an error: a part must not take the place of the whole
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
