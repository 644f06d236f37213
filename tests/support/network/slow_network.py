"""
A network that stalls: a relay for TCP that stops taking, and goes on later, or too late.

What the relay has not read stays with the kernel of whoever sends it, for the relay takes only
little at a time. So it is the sender who decides what becomes of that: a connection that is reset
takes it along, one that is only closed leaves it to be delivered whenever the network goes on.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.waiting import PATIENCE_S

NEVER = -1
"""For a network that does not stall."""

_LITTLE = 1
"""Asks for the smallest buffer that the system gives: some 2 KB, less than one long request."""

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that was held up: what came of it when the network took it up again."""

    received: int
    was_reset: bool


class SlowNetwork:
    """
    Passes on everything, until so many replies have gone back; then it stalls.

    `recover` lets new connections through; those that are held up wait for `deliver`.
    """

    def __init__(self, target: tuple[str, int], *, stalls_after: int, port: int) -> None:
        self._target = target
        self._replies_left = stalls_after
        self._stalled = threading.Event()
        self._delivering = threading.Event()
        self._changed = threading.Condition()
        self._waiting = 0
        self._held: list[Held] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        if stalls_after == 0:
            self._stalled.set()
        self._begin(self._accept)

    def wait_until_held(self, count: int) -> None:
        """Wait until so many connections are held up."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting >= count, PATIENCE_S)

    def recover(self) -> None:
        """Pass on what is sent from now on; what was held up stays so."""
        self._stalled.clear()

    def deliver(self) -> list[Held]:
        """Pass on what was held up, if it is still there; return what came of each connection."""
        self._delivering.set()
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._held) == self._waiting, PATIENCE_S)
        return self._held

    def close(self) -> None:
        """Take no connection any more; those there are have been closed by whoever made them."""
        self._delivering.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _begin(self, act: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            self._begin(self._relay, client)

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready and self._stalled.is_set():
                    self._hold(client, server)
                    return
                if not all(self._pass_on(each, client, server) for each in ready):
                    return

    def _pass_on(self, source: socket.socket, client: socket.socket, server: socket.socket) -> bool:
        """Pass one piece on; return whether there may be more."""
        other = server if source is client else client
        try:
            data = source.recv(_CHUNK)
            other.sendall(data)
        except OSError:
            _reset(other)
            return False
        if data and source is server:
            self._count_reply()
        return bool(data)

    def _count_reply(self) -> None:
        with self._changed:
            self._replies_left -= 1
            if self._replies_left == 0:
                self._stalled.set()

    def _hold(self, client: socket.socket, server: socket.socket) -> None:
        """Read nothing until told to; then pass on what there still is."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
        self._delivering.wait()
        held = self._pass_all(client, server)
        if held.was_reset:
            _reset(server)
        else:
            server.settimeout(PATIENCE_S)
            server.recv(_CHUNK)  # a farewell does not overtake what was sent before it
        with self._changed:
            self._held.append(held)
            self._changed.notify_all()

    def _pass_all(self, client: socket.socket, server: socket.socket) -> Held:
        received = 0
        try:
            while data := client.recv(_CHUNK):
                received += len(data)
                server.sendall(data)
        except ConnectionError:
            return Held(received, was_reset=True)
        return Held(received, was_reset=False)


def _reset(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


@contextmanager
def slow_network(url: str, *, stalls_after: int = 0, port: int = 0) -> Iterator[SlowNetwork]:
    """Run a network between somebody and the server at `url`, which stalls after some replies."""
    target = urlsplit(url)
    assert target.hostname is not None
    assert target.port is not None
    network = SlowNetwork((target.hostname, target.port), stalls_after=stalls_after, port=port)
    try:
        yield network
    finally:
        network.close()
