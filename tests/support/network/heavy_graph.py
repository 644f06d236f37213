"""
A Graph whose calendars are as heavy as it likes: whole lists of attendees, bombs, endless links.

It serves pages and series only, on a thread of its own, checks no token, and streams what it has
made once, so that it takes no memory worth speaking of beside what it is to be measured with.
"""

import asyncio
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 1 << 20

Answer = Callable[[str, dict[str, str]], tuple[str, Iterator[bytes]]]
"""What answers a path and its query: header lines beyond the usual ones, and a body in pieces."""


class HeavyGraph:
    """The server; `url` is its address, `asked` are the paths that were asked for."""

    def __init__(self, answer: Answer) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.heads: list[str] = []
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                url = urlsplit(head.split(" ")[1])
                self.asked.append(url.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                more, pieces = self._answer(unquote(url.path), query)
                lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}"
                writer.write(f"{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
                for piece in pieces:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextmanager
def heavy_graph(answer: Answer) -> Iterator[HeavyGraph]:
    """Run a server for the length of a block."""
    graph, over = HeavyGraph(answer), asyncio.Event()
    loops = list[asyncio.AbstractEventLoop]()
    ready = threading.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(graph.serve, "127.0.0.1", 0, backlog=1024)
        host, port = server.sockets[0].getsockname()
        graph.url = f"http://{host}:{port}"
        ready.set()
        await over.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    try:
        yield graph
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(10)


def crowded(events: int, people: int) -> Answer:
    """Show a calendar with so many events, each with a list of so many attendees."""
    crowd = ",".join(json.dumps(attendee(number)) for number in range(people)).encode()
    every = [with_attendees(event(str(number)), crowd) for number in range(events)]

    def answer(path: str, query: dict[str, str]) -> tuple[str, Iterator[bytes]]:
        skip, top = int(query.get("$skip", 0)), int(query.get("$top", 10))
        last = min(skip + top, events)
        following = "" if last >= events else link(path, query, last)
        return "", page(every[skip:last], following)

    return answer


def link(path: str, query: dict[str, str], skip: int) -> str:
    """Return the link to a further page, without an origin: the server puts that before it."""
    return f"{path}?$top={query.get('$top', 10)}&$skip={skip}"


def endless(events: int, length: int) -> Answer:
    """Show pages with so many events, with ids and subjects of a length, and always one more."""
    numbers = count()

    def answer(path: str, query: dict[str, str]) -> tuple[str, Iterator[bytes]]:
        number = next(numbers)
        shown = [event(f"{number:010}{n:06}".ljust(length, "x")) for n in range(events)]
        for each in shown:
            each["subject"] = each["id"]
        return "", page([json.dumps(each).encode() for each in shown], link(path, query, number))

    return answer


def wordy(events: int, length: int, **changes: Any) -> Answer:
    """Show pages with so many events, whose texts take four bytes a character, without an end."""
    numbers = count()

    def answer(path: str, query: dict[str, str]) -> tuple[str, Iterator[bytes]]:
        number, shown = next(numbers), []
        for n in range(events):
            text = f"\N{GRINNING FACE}{number:010}{n:06}".ljust(length, "x")
            organizer = {"emailAddress": {"address": text}}
            named = {"subject": text, "organizer": organizer, **changes}
            shown.append(event(f"{number:010}{n:06}") | named)
        written = [json.dumps(each, ensure_ascii=False).encode() for each in shown]
        return "", page(written, link(path, query, number))

    return answer


def escaped(size: int) -> Answer:
    """Show a page with a text that is nothing but escapes, small as it is sent."""
    whole = packed(b'{"value":[],"x":"\\u0041', b"\\\\" * (PIECE // 2), size // PIECE, b'"}')
    return lambda _, __: ("Content-Encoding: gzip\r\n", iter([whole]))


def bomb(size: int) -> Answer:
    """Show a page that is small as it is sent, and of a size when it is inflated."""
    whole = packed(b'{"value":[', b" " * PIECE, size // PIECE, b"]}")
    return lambda _, __: ("Content-Encoding: gzip\r\n", iter([whole]))


def packed(begin: bytes, piece: bytes, times: int, end: bytes) -> bytes:
    """Compress a page that is mostly the same piece, so many times."""
    squeezer = zlib.compressobj(9, wbits=31)
    pieces = [begin, *[piece] * times, end]
    return b"".join([*map(squeezer.compress, pieces), squeezer.flush()])


def page(events: list[bytes], following: str) -> Iterator[bytes]:
    """Write a page in pieces of a megabyte and more."""
    pieces, size = [b'{"value":['], 0
    for number, each in enumerate(events):
        pieces += [b",", each] if number else [each]
        size += len(each)
        if size > PIECE:
            yield b"".join(pieces)
            pieces, size = [], 0
    end = b'],"@odata.nextLink":"%b"}' % following.encode() if following else b"]}"
    yield b"".join([*pieces, end])


def with_attendees(shown: dict[str, Any], crowd: bytes) -> bytes:
    """Write an event with a list that is long."""
    return json.dumps(shown).encode()[:-1] + b',"attendees":[' + crowd + b"]}"


def event(name: str) -> dict[str, Any]:
    """Make an event as Graph shows it."""
    return {
        "id": f"AAMkAGI2{name}=",
        "type": "singleInstance",
        "seriesMasterId": None,
        "subject": f"About {name}",
        "start": {"dateTime": "2026-12-02T10:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-12-02T11:00:00.0000000", "timeZone": "UTC"},
        "isAllDay": False,
        "organizer": {"emailAddress": {"name": "Olga", "address": "olga@fabrikam.com"}},
        "isOrganizer": False,
        "isCancelled": False,
        "responseRequested": True,
        "responseStatus": {"response": "notResponded", "time": "0001-01-01T00:00:00Z"},
    }


def attendee(number: int) -> dict[str, Any]:
    """Make an attendee as Graph shows one: a fifth of a kilobyte."""
    return {
        "type": "required",
        "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
        "emailAddress": {"name": f"Person {number}", "address": f"p{number}@contoso.com"},
    }
