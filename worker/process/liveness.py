"""
The file that a probe looks at: touched again and again by the worker's own loop.

It shows that the loop turns, and nothing of Redis or Graph: a worker that waits for one of them
lives, and restarting it would not help. A worker that stands still leaves its file to age.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from config.errors import SettingsError

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
"""Another program that may write to its folder could put a link or a pipe there."""

_WHY: Final = {
    errno.ELOOP: "it is a link, which is not followed",
    errno.ENXIO: "it is a pipe or a device, and no file",
}


class LivenessFile:
    """The file of `BULKRSVP_LIVENESS_FILE`, or none."""

    def __init__(self, path: Path | None, log: FilteringBoundLogger) -> None:
        self._path = path
        self._log = log
        self._unwritable = False

    def make(self) -> None:
        """Touch it for the first time. Raises `SettingsError` if that cannot be done."""
        try:
            self._touch()
        except OSError as error:
            raise SettingsError(
                f"BULKRSVP_LIVENESS_FILE: {self._path} cannot be written ({_why(error)}); name a"
                " file in a folder that exists and that this user may write to"
            ) from error

    def touch(self) -> None:
        """Touch it again; that it cannot be done any more is logged once, until it can."""
        try:
            self._touch()
        except OSError as error:
            if not self._unwritable:
                self._log.error("liveness.unwritable", path=str(self._path), error=_why(error))
            self._unwritable = True
        else:
            self._unwritable = False

    def remove(self) -> None:
        """Remove it: the worker has ended."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _touch(self) -> None:
        if self._path is not None:
            low = os.open(self._path, _FLAGS, 0o644)
            try:
                if not stat.S_ISREG(os.fstat(low).st_mode):
                    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
                os.utime(low)  # the kernel's clock is the probe's, too
            finally:
                os.close(low)


def _why(error: OSError) -> str:
    return _WHY.get(error.errno or 0) or error.strerror or str(error)
