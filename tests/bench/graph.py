"""
The simulated Graph of the benchmarks: a bare protocol on uvloop, faster than all its clients.

It reads as much of HTTP/1.1 as they speak, allows each mailbox four calls in flight, and counts
what it takes. It checks no token and reads no body. `GET /bench/stats` tells what it has counted,
`GET /bench/journal` when each call came, and `POST /bench/reset` begins anew.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from os import urandom
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes
from zlib import crc32

import uvloop

SHUT: Final = b"shut.example"
"""Users of this domain have mailboxes that answer 429 for as long as `retry_after_s` says."""

LATENCIES: Final = 65_536
"""So many are drawn at once; a call must not pay for chance."""

HEAD_END: Final = b"\r\n\r\n"
BACKLOG: Final = 4096

TAKEN: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nrequest-id: %b\r\n\r\n"
LOST: Final = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"
SEEN: Final = b'{"responseStatus":{"response":"%b"},"isOrganizer":false,"responseRequested":true}'
GONE: Final = b'{"error":{"code":"ErrorItemNotFound","message":"Not found."}}'
BUSY: Final = b'{"error":{"code":"ApplicationThrottled","message":"MailboxConcurrency limit."}}'


def reply(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """Return a reply with a JSON body."""
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        len(body),
        headers,
        body,
    )


@dataclass(frozen=True, slots=True)
class Options:
    """
    How it behaves until the next reset.

    Latency is log-normal around `latency_ms`, or constant without a `sigma`. Of a thousand
    responses, `lost_per_mille` are taken and answered with 504 at the first call.
    """

    concurrency: int = 4
    latency_ms: float = 0
    sigma: float = 0
    seed: int = 0
    lost_per_mille: int = 0
    retry_after_s: int = 0
    journal: bool = False

    def latencies_s(self) -> list[float]:
        """Draw latencies, the same for the same seed."""
        chance = random.Random(self.seed)
        return [
            self.latency_ms / 1000 * chance.lognormvariate(0, self.sigma) for _ in range(LATENCIES)
        ]


@dataclass(slots=True)
class Tally:
    """What came from the users of one domain; moments in seconds since the epoch."""

    calls: int = 0
    taken: int = 0
    duplicates: int = 0
    throttled: int = 0
    first_at: float = 0
    last_at: float = 0


@dataclass(slots=True)
class World:
    """All mailboxes, since the last reset."""

    options: Options = field(default_factory=Options)
    tallies: dict[bytes, Tally] = field(default_factory=dict)
    in_flight: dict[bytes, int] = field(default_factory=dict)
    taken: dict[bytes, bytes] = field(default_factory=dict)
    shut_until: dict[bytes, float] = field(default_factory=dict)
    journal: list[tuple[float, str, str]] = field(default_factory=list)
    cpu_s: float = field(default_factory=time.process_time)

    def answer(self, method: bytes, user: bytes, event: bytes, action: bytes) -> tuple[bytes, bool]:
        """Return the reply to one call, and whether the mailbox was at work for it."""
        now = time.time()
        tally = self._count(user, now)
        if self.options.journal:
            self.journal.append((now, user.decode(), event.decode()))
        if wait_s := self._refusal_s(user, now):
            tally.throttled += 1
            return reply(b"429 Too Many Requests", BUSY, b"Retry-After: %d\r\n" % wait_s), False
        if method == b"GET":
            return self._look(user + b"/" + event), True
        return self._take(user + b"/" + event, action, tally), True

    def _count(self, user: bytes, now: float) -> Tally:
        domain = user.rpartition(b"@")[2]
        tally = self.tallies.get(domain)
        if tally is None:
            tally = self.tallies[domain] = Tally(first_at=now)
        tally.calls += 1
        tally.last_at = now
        return tally

    def _refusal_s(self, user: bytes, now: float) -> int:
        if self.options.retry_after_s and user.endswith(SHUT):
            ends = self.shut_until.setdefault(user, now + self.options.retry_after_s)
            if now < ends:
                return int(ends - now) + 1
        return int(self.in_flight.get(user, 0) >= self.options.concurrency)

    def _look(self, key: bytes) -> bytes:
        answer = self.taken.get(key, b"notResponded")
        if answer == b"decline":
            return reply(b"404 Not Found", GONE)
        return reply(b"200 OK", SEEN % answer.replace(b"Accept", b"Accepted"))

    def _take(self, key: bytes, action: bytes, tally: Tally) -> bytes:
        before = self.taken.get(key)
        if before == b"decline":  # the event has left the calendar
            return reply(b"404 Not Found", GONE)
        self.taken[key] = action
        tally.taken += before is None
        tally.duplicates += before is not None
        if before is None and crc32(key) % 1000 < self.options.lost_per_mille:
            return LOST
        return TAKEN % _guid()

    def stats(self) -> dict[str, Any]:
        """Return all that was counted."""
        return {
            "tallies": {domain.decode(): asdict(each) for domain, each in self.tallies.items()},
            "cpu_s": time.process_time() - self.cpu_s,
        }


class Server:
    """The world that all connections see, and its latency."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.world = World()
        self._latencies = cycle([0.0])

    def reset(self, options: Options) -> None:
        """Begin anew."""
        self.world = World(options)
        self._latencies = cycle(options.latencies_s())

    def control(self, target: bytes, body: bytes) -> bytes:
        """Answer whoever runs the benchmark."""
        match target:
            case b"/bench/stats":
                return _json(self.world.stats())
            case b"/bench/journal":
                return _json(self.world.journal)
            case b"/bench/reset":
                self.reset(Options(**json.loads(body)))
                return _json({})
        return reply(b"404 Not Found", b"{}")

    def call(self, method: bytes, target: bytes, write: Callable[[bytes], None]) -> None:
        """Answer a call to Graph, once its latency is over."""
        user, event, action = _parse(target)
        text, working = self.world.answer(method, user, event, action)
        if not working or not self.world.options.latency_ms:
            write(text)
            return
        in_flight = self.world.in_flight
        in_flight[user] = in_flight.get(user, 0) + 1
        self.loop.call_later(next(self._latencies), self._finish, in_flight, user, write, text)

    @staticmethod
    def _finish(
        in_flight: dict[bytes, int], user: bytes, write: Callable[[bytes], None], text: bytes
    ) -> None:
        in_flight[user] -= 1
        write(text)


class Connection(asyncio.Protocol):
    """One client's connection; it waits for each reply before it asks again."""

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where replies go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._rest = self._rest + data if self._rest else data
        head_end = self._rest.find(HEAD_END)
        if head_end < 0:
            return
        end = head_end + len(HEAD_END) + _length(self._rest[:head_end])
        if len(self._rest) < end:
            return
        request, self._rest = self._rest, b""
        method, target, _ = request.split(b" ", 2)
        if target.startswith(b"/bench/"):
            self._write(self._server.control(target, request[head_end + len(HEAD_END) :]))
        else:
            self._server.call(method, target, self._write)

    def _write(self, text: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(text)


def _guid() -> bytes:
    text = urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _parse(target: bytes) -> tuple[bytes, bytes, bytes]:
    """Return user, event and action of `/v1.0/users/U/events/E/A`."""
    path = target.partition(b"?")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    _, _, _, user, _, event, *action = path.split(b"/")
    return user, event, action[0] if action else b""


def _json(value: object) -> bytes:
    return reply(b"200 OK", json.dumps(value).encode())


async def serve() -> None:
    """Serve on any free port of loopback until killed; say on standard output which it is."""
    loop = asyncio.get_running_loop()
    server = Server(loop)
    listening = await loop.create_server(
        lambda: Connection(server), "127.0.0.1", 0, backlog=BACKLOG
    )
    address = listening.sockets[0].getsockname()
    print(f"http://127.0.0.1:{address[1]}", flush=True)  # noqa: T201  # for who started it
    await listening.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
