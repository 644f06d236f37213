"""
A process that is measured: what it took of the processor and of memory, from start to end.

The kernel counts, and tells the processor's time when the process is waited for. Its memory is
asked for while it runs: what the kernel tells in the end has the memory of its parent in it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

POLL_S: Final = 0.01
STOP_S: Final = 30.0
KILOBYTES: Final = 1024 / 1_000_000
PEAK: Final = re.compile(rb"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process spent, and how it ended; `cpu_s` is user and system together."""

    code: int
    wall_s: float
    cpu_s: float
    peak_mb: float


class Failed(Exception):
    """A process of a benchmark did not do what it was started for."""


class Child:
    """
    One running process; its output goes into files.

    With `with`, it is ended at the end of the block, if it still runs.
    """

    def __init__(
        self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        self.errors = log.with_suffix(".err")
        self._began_s = time.monotonic()
        with log.open("wb") as out, self.errors.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environment),
                cwd=Path(__file__).parent,
            )
        self._spent: Spent | None = None
        self._peak_kb = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self.stop()

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        if self._spent is None:
            self._ask()
        return self._spent is not None

    def wait(self, limit_s: float) -> Spent:
        """Wait for its end. Raises `Failed` if that does not come, or if it ends in an error."""
        self.wait_until(lambda: self.ended, limit_s)
        spent = self._known()
        if spent.code:
            raise Failed(f"{self.log.stem} ended with {spent.code}: {self._said()}")
        return spent

    def wait_for(self, text: bytes, limit_s: float) -> None:
        """Wait until it has written something. Raises `Failed` as `wait_until` does."""
        self.wait_until(lambda: text in self.log.read_bytes(), limit_s)

    def wait_until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Wait while it works. Raises `Failed` if it takes too long, or ends before."""
        ends_s = time.monotonic() + limit_s
        while True:
            over = self.ended or time.monotonic() > ends_s  # asked first: it may be what is awaited
            if condition():
                return
            if over:
                raise Failed(f"{self.log.stem} has ended, or takes too long: {self._said()}")
            time.sleep(POLL_S)

    def stop(self) -> Spent:
        """End it as a service manager does, with SIGTERM and after some time with SIGKILL."""
        self._signal(signal.SIGTERM)
        ends_s = time.monotonic() + STOP_S
        while not self.ended and time.monotonic() < ends_s:
            time.sleep(POLL_S)
        return self._known() if self.ended else self.kill()

    def kill(self) -> Spent:
        """End it with SIGKILL."""
        self._signal(signal.SIGKILL)
        while not self.ended:
            time.sleep(POLL_S)
        return self._known()

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended:  # Popen's own would wait for it first, and so lose what it has spent
            os.kill(self._process.pid, number)

    def _ask(self) -> None:
        self._look_at_memory()
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid:
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._spent = Spent(
                code=self._process.returncode,
                wall_s=time.monotonic() - self._began_s,
                cpu_s=usage.ru_utime + usage.ru_stime,
                peak_mb=self._peak_kb * KILOBYTES,
            )

    def _look_at_memory(self) -> None:
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_bytes()
        except OSError:  # it is gone, or this is no Linux
            return
        if found := PEAK.search(status):
            self._peak_kb = int(found[1])

    def _known(self) -> Spent:
        assert self._spent is not None
        return self._spent

    def _said(self) -> str:
        return self.errors.read_text(errors="replace")[-2000:] or "it said nothing"
