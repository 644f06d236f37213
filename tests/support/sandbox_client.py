"""
The sandbox from outside: started in a process of its own, and spoken to over HTTP.

For tests that run the real console command or kill workers. It knows only what stands under
`/sandbox/`; tests on a loop of their own enter `worker.sandbox.Sandbox` instead.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from worker.sandbox import Duplicate, Entry, Options, Rule, Stats, TokenRequest

_SERVE = """
import asyncio, json, sys
from worker.sandbox import serve
asyncio.run(serve(lambda known: print(json.dumps(dict(known)), flush=True), **json.load(sys.stdin)))
"""
_SERVE_IN_TURN = """
import asyncio, json, sys
from contextlib import AsyncExitStack
from worker.sandbox import Sandbox

async def serve_in_turn():
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as parts:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await parts.aclose()
            options, known = json.loads(line), None
            if options is not None:
                known = (await parts.enter_async_context(Sandbox(**options))).environment()
            print(json.dumps(known), flush=True)

asyncio.run(serve_in_turn())
"""
_PATIENCE_S = 30


class RefusedBySandbox(Exception):
    """What was posted is wrong; `str()` of it is what the sandbox says."""


class SandboxClient:
    """
    One running sandbox, found by its environment.

    `environment` is what a worker needs to work against it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._root = f"{self.environment['BULKRSVP_GRAPH_URL']}/sandbox"
        self._opener = build_opener(ProxyHandler({}))

    def journal(self, since: int = 0) -> list[Entry]:
        """Return what Graph received after the call numbered `since`."""
        return [Entry(**line) for line in self._lines(f"journal?since={since}")]

    def taken(self) -> list[Entry]:
        """Return the calls that changed a calendar."""
        return [entry for entry in self.journal() if entry.taken]

    def clear(self) -> None:
        """Forget the journal."""
        self._ask("DELETE", "journal")

    def stats(self) -> Stats:
        """Return the journal added up."""
        stats = json.loads(self._ask("GET", "stats"))
        stats["statuses"] = {int(status): calls for status, calls in stats["statuses"].items()}
        stats["duplicates"] = [Duplicate(**duplicate) for duplicate in stats["duplicates"]]
        return Stats(**stats)

    def faults(self, rules: list[Rule | dict[str, Any]]) -> None:
        """Arm rules behind those that are armed."""
        plain = [
            rule.model_dump(mode="json", exclude_unset=True) if isinstance(rule, Rule) else rule
            for rule in rules
        ]
        self._ask("POST", "faults", plain)

    def disarm(self) -> None:
        """Forget all rules."""
        self._ask("DELETE", "faults")

    def options(self, **changes: Any) -> Options:
        """Change some options; return all."""
        return Options.model_validate_json(self._ask("PUT", "options", changes))

    def token_requests(self) -> list[TokenRequest]:
        """Return every request at the token endpoint."""
        return [TokenRequest(**line) for line in self._lines("tokens")]

    def revoke_tokens(self) -> None:
        """Let Graph refuse every token issued so far."""
        self._ask("DELETE", "tokens")

    def calendar(self, user: str) -> dict[str, dict[str, Any]]:
        """Return the events of a user that were planted, or are not as their names say."""
        known: dict[str, dict[str, Any]] = json.loads(self._ask("GET", f"calendar/{_quoted(user)}"))
        return known

    def put_event(self, user: str, event: str, **state: Any) -> dict[str, Any]:
        """Plant an event or change some of it, in Graph's spelling; return all."""
        path = f"calendar/{_quoted(user)}/{_quoted(event)}"
        known: dict[str, Any] = json.loads(self._ask("PUT", path, state))
        return known

    def plant(self, user: str, events: list[dict[str, Any]]) -> None:
        """Plant many events at once; nothing else exists in this calendar from then on."""
        self._ask("POST", f"calendar/{_quoted(user)}", events)

    def company(self, **order: Any) -> dict[str, Any]:
        """Make up a company (`people`, `seed`, `now`); return its `people` and `leavers`."""
        known: dict[str, Any] = json.loads(self._ask("POST", "company", order))
        return known

    def _lines(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._ask("GET", path).splitlines()]

    def _ask(self, method: str, path: str, content: Any = None) -> bytes:
        data = None if content is None else json.dumps(content).encode()
        request = Request(f"{self._root}/{path}", data=data, method=method)
        try:
            with self._opener.open(request, timeout=_PATIENCE_S) as reply:
                answered: bytes = reply.read()
        except HTTPError as error:
            with error:
                raise RefusedBySandbox(json.load(error)["error"]["message"]) from None
        return answered


@contextlib.contextmanager
def running_sandbox(**options: Any) -> Iterator[SandboxClient]:
    """Run a sandbox in a process of its own; takes the keywords of `Sandbox` that JSON knows."""
    command = [sys.executable, "-c", _SERVE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            json.dump(options, process.stdin)
            process.stdin.close()
            yield SandboxClient(json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE_S)


class SandboxHost:
    """
    A process that runs one sandbox after another, each a new one with ports of its own.

    Starting a process costs most of what a small test takes; a sandbox itself is there at once.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @contextlib.contextmanager
    def running(self, **options: Any) -> Iterator[SandboxClient]:
        """Run a sandbox, as `running_sandbox` does; one at a time."""
        try:
            yield SandboxClient(self._tell(options))
        finally:
            self._tell(None)

    def _tell(self, options: dict[str, Any] | None) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(options) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def hosting_sandboxes() -> Iterator[SandboxHost]:
    """Run the process that runs sandboxes."""
    command = [sys.executable, "-c", _SERVE_IN_TURN]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield SandboxHost(process)


def _quoted(segment: str) -> str:
    return quote(segment, safe="")
