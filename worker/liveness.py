"""
The file that a probe looks at: touched again and again by the worker's own loop.

It says that the loop turns, and nothing of Redis or Graph: a worker that waits for one of them
lives, and restarting it would help nobody. A worker that stands still leaves its file to age.
"""

import os
from contextlib import suppress
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from config.errors import SettingsError


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
                f"BULKRSVP_LIVENESS_FILE: {self._path} cannot be written ({error.strerror}); name a"
                " file in a folder that exists and that this user may write to"
            ) from error

    def touch(self) -> None:
        """Touch it again; that it cannot be done any more is logged once, until it can."""
        try:
            self._touch()
        except OSError as error:
            if not self._unwritable:
                self._log.error("liveness.unwritable", path=str(self._path), error=str(error))
            self._unwritable = True
        else:
            self._unwritable = False

    def remove(self) -> None:
        """Remove it: who has ended does not live."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _touch(self) -> None:
        if self._path is not None:
            # Opened for writing, so that it is a file; the kernel's clock is the probe's, too.
            with self._path.open("ab"):
                os.utime(self._path)
