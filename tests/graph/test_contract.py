"""
What is used of aiohttp beyond the names that it exports.

Nobody promises these parts, so `pyproject.toml` bounds aiohttp's version for their sake. That they
do what is wanted of them is shown by `tests/graph/test_transport.py`; here stands which they are.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from yarl import URL

from tests.support import ROOT
from tests.support.awaited import awaited

SOURCES = [path for part in ("config", "jobs", "worker") for path in (ROOT / part).rglob("*.py")]
GRAPH = ROOT / "worker" / "graph"
WIRE = (GRAPH / "connections.py", GRAPH / "transport.py")

NAMES = {
    "connections.py": {
        "client_proto.ResponseHandler",
        "connector.Connection",
        "http.RawResponseMessage",
    },
    "transport.py": {"connector.Connection", "http.HttpProcessingError"},
}
"""Names in aiohttp's modules that neither `aiohttp` nor `aiohttp.web` exports."""

MEMBERS = {
    "ClientRequest": {"headers"},
    "Connection": {"close", "protocol", "release", "transport"},
    "RawResponseMessage": {"code", "headers"},
    "ResponseHandler": {
        "data_received",
        "read",
        "set_response_params",
        "should_close",
        "transport",
    },
    "TCPConnector": {"_factory", "_loop", "close", "connect"},
}
"""What is used of objects of these classes, which are private or used as nobody promises."""

HOLDERS = {
    "connection": "Connection",
    "message": "RawResponseMessage",
    "protocol": "ResponseHandler",
    "self._connector": "TCPConnector",
    "self._model": "ClientRequest",
}
"""How the wire calls such objects."""

HEIRS = {"Connector": "TCPConnector", "Protocol": "ResponseHandler"}
"""The wire's own classes that inherit from such classes."""


@asynccontextmanager
async def parts() -> AsyncIterator[dict[str, object]]:
    """Make one object of each class, as far as it needs no server."""
    loop = asyncio.get_running_loop()
    async with aiohttp.TCPConnector() as connector:
        request = aiohttp.ClientRequest("GET", URL("http://127.0.0.1"), headers={"a": "b"})
        protocol = ResponseHandler(loop)
        key = request.connection_key
        connection = aiohttp.connector.Connection(connector, key, protocol, loop)
        try:
            yield {
                "ClientRequest": request,
                "Connection": connection,
                "RawResponseMessage": RawResponseMessage,
                "ResponseHandler": protocol,
                "TCPConnector": connector,
            }
        finally:
            connection.close()


def names_in(source: str) -> set[str]:
    """Find the names of aiohttp's that a module uses and that are not exported."""
    found = set(_dotted(ast.parse(source)))
    exported = {*(f"aiohttp.{name}" for name in aiohttp.__all__), "aiohttp", "aiohttp.web"}
    exported |= {f"aiohttp.web.{name}" for name in web.__all__}
    private = {name for name in found if ".".join(name.split(".")[:2]) not in exported}
    private |= {name for name in found if name.startswith("aiohttp.web.")} - exported
    whole = {name for name in private if not any(n.startswith(f"{name}.") for n in private)}
    return {name.removeprefix("aiohttp.") for name in whole}


def _dotted(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name.split(".")[0] == "aiohttp")
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] == "aiohttp":
                    yield from (f"{module}.{each.name}" for each in names)
            case ast.Attribute():
                text = ast.unparse(node)
                root = text.split(".")[0]
                if root in {"aiohttp", "web"} and re.fullmatch(r"[\w.]+", text):
                    yield text if root == "aiohttp" else f"aiohttp.{text}"


def members_in(source: str, theirs: dict[str, object]) -> dict[str, set[str]]:
    """Find what the wire uses of aiohttp's objects, through a variable or as their heir."""
    found: dict[str, set[str]] = {name: set() for name in theirs}
    ours = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name in HEIRS:
            touched = set(_touched(node))
            found[HEIRS[node.name]] |= touched
            ours |= touched
        if isinstance(node, ast.Attribute) and (name := HOLDERS.get(ast.unparse(node.value))):
            found[name].add(node.attr)
    return {
        name: {each for each in members if each not in ours or hasattr(theirs[name], each)}
        for name, members in found.items()
    }


def _touched(heir: ast.ClassDef) -> Iterator[str]:
    """List what a class defines, and what it uses of itself; its base may have any of it."""
    for node in ast.walk(heir):
        match node:
            case ast.Attribute(value=value) if ast.unparse(value) in {"self", "super()"}:
                yield node.attr
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def test_every_private_name_of_aiohttp_in_use_is_listed() -> None:
    """Only the wire uses names that aiohttp does not export, and all of them are listed."""
    used = {path: names_in(path.read_text()) for path in SOURCES}
    assert {GRAPH / name: NAMES[name] for name in NAMES} == {
        path: names for path, names in used.items() if names
    }


@awaited
async def test_every_private_member_of_aiohttp_in_use_is_listed() -> None:
    """What the wire uses of aiohttp's objects is listed, is there, and takes what it is given."""
    source = "\n".join(path.read_text() for path in WIRE)
    async with parts() as theirs:
        used = members_in(source, theirs)
        assert MEMBERS == {name: {m for m in used[name] if not m.startswith("__")} for name in used}
        missing = [m for name in MEMBERS for m in MEMBERS[name] if not hasattr(theirs[name], m)]
        assert [] == missing

        connector, protocol = theirs["TCPConnector"], theirs["ResponseHandler"]
        assert isinstance(connector, aiohttp.TCPConnector)
        assert isinstance(protocol, ResponseHandler)
        assert isinstance(connector._factory(), ResponseHandler)
        connecting = aiohttp.ClientTimeout(sock_connect=1)
        inspect.signature(connector.connect).bind(theirs["ClientRequest"], [], connecting)
        inspect.signature(protocol.set_response_params).bind(read_until_eof=True)
        assert [True, True] == list(
            map(inspect.iscoroutinefunction, (connector.connect, protocol.read))
        )


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("from aiohttp.helpers import TimerNoop", {"helpers.TimerNoop"}),
        ("from aiohttp import client_proto", {"client_proto"}),
        ("import aiohttp.http_parser", {"http_parser"}),
        ("aiohttp.client_reqrep.ClientRequest()", {"client_reqrep.ClientRequest"}),
        ("web.web_log.AccessLogger", {"web.web_log.AccessLogger"}),
        ("from aiohttp import web\nweb.Response(aiohttp.hdrs.DATE)", set()),
        ("aiohttp.ClientSession().get", set()),
    ],
)
def test_another_name_is_seen(line: str, private: set[str]) -> None:
    """The control: a private name is found however it is used, and a public one is not."""
    assert private == names_in(line)


@awaited
async def test_another_member_is_seen() -> None:
    """The control: one more private member is found, used through a variable or by an heir."""
    lines = "connection._key\nclass Connector:\n    def f(self): self._conns"
    async with parts() as theirs:
        used = members_in(lines, theirs)
    assert ({"_key"}, {"_conns"}) == (used["Connection"], used["TCPConnector"])
