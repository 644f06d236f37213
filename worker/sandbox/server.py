"""
The sandbox as a whole: Entra ID over TLS and Graph in the clear, on loopback, in one process.

Here the parts are put together and given ports. Tests enter a `Sandbox` on their own loop;
`serve` is what a command runs.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from jobs.signals import heeded
from worker.sandbox.calendar.company import Company
from worker.sandbox.calendar.planting import Planting
from worker.sandbox.calendar.traits import EventState
from worker.sandbox.control import PREFIX, Control
from worker.sandbox.entra.authority import App, SimulatedEntra
from worker.sandbox.entra.certificate import make_certificate
from worker.sandbox.entra.tokens import TokenRequest
from worker.sandbox.graph.calls import SimulatedGraph
from worker.sandbox.graph.faults import Rule
from worker.sandbox.journal import Entry, Stats
from worker.sandbox.options import Clock, Options
from worker.sandbox.world import World, new_world

_HOST: Final = "127.0.0.1"
_BACKLOG: Final = 4096
"""Connections that wait to be taken: a worker opens hundreds at once."""
_PARTING_S: Final = 0.5

_Endpoint = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Sandbox:
    """
    A simulated Entra ID and Graph, from `async with` until its end.

    Ports are chosen by the system unless given. `folder` takes the certificate's files; without
    it a private temporary one is made and removed. All other keywords are those of `Options`;
    `pydantic.ValidationError` is raised for a wrong one, `OSError` for a port in use.
    """

    def __init__(
        self,
        *,
        graph_port: int = 0,
        entra_port: int = 0,
        folder: Path | None = None,
        app: App | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._ports = graph_port, entra_port
        self._folder = folder
        self._app = app or App()
        self._world: World = new_world(Options.model_validate(options), clock or Clock())
        self._parts = contextlib.AsyncExitStack()
        self._ca_file: Path | None = None
        self._entra_port = 0

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as parts:
            folder = self._folder or Path(parts.enter_context(TemporaryDirectory()))
            certificate = make_certificate(folder)
            self._ca_file = certificate.ca_file
            graph_port, entra_port = self._ports
            entra = SimulatedEntra(self._world, self._app)
            self._entra_port = await _listen(parts, entra.answer, entra_port, certificate.server)
            graph_port = await _listen(parts, self._graph_side(), graph_port)
            self._world.graph_url = f"http://{_HOST}:{graph_port}"
            parts.callback(self._world.closing.set)  # first of all: silent calls end
            self._parts = parts.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._parts.aclose()

    @property
    def graph_url(self) -> str:
        """The Graph root, without a version."""
        return self._world.graph_url

    @property
    def authority_url(self) -> str:
        """The Entra ID authority, without a tenant."""
        return f"https://localhost:{self._entra_port}"

    @property
    def ca_file(self) -> Path:
        """What a client must trust, in PEM."""
        if self._ca_file is None:
            raise RuntimeError("the sandbox has not been entered")
        return self._ca_file

    def environment(self) -> dict[str, str]:
        """Return what a worker's environment must hold to work against this sandbox."""
        return {
            "AZURE_TENANT_ID": self._app.tenant_id,
            "AZURE_CLIENT_ID": self._app.client_id,
            "AZURE_CLIENT_SECRET": self._app.secret,
            "AZURE_AUTHORITY_HOST": self.authority_url,
            "SSL_CERT_FILE": str(self.ca_file),
            "BULKRSVP_GRAPH_URL": self.graph_url,
        }

    @property
    def journal(self) -> list[Entry]:
        """Every call that Graph received, in the order of arrival."""
        return self._world.journal.entries()

    @property
    def token_requests(self) -> list[TokenRequest]:
        """Every request at the token endpoint."""
        return list(self._world.tokens.requests)

    @property
    def options(self) -> Options:
        """How the sandbox behaves now."""
        return self._world.options

    def taken(self) -> list[Entry]:
        """Return the calls that changed a calendar: each of them told an organizer."""
        return [entry for entry in self.journal if entry.taken]

    def stats(self) -> Stats:
        """Return the journal added up."""
        return self._world.stats()

    def add_fault(self, rule: Rule) -> None:
        """Arm a rule behind those that are armed."""
        self._world.faults.arm([rule])

    def set_options(self, **changes: Any) -> None:
        """Change some options; `pydantic.ValidationError` is raised for a wrong one."""
        now = self._world.options.model_dump()
        self._world.options = Options.model_validate(now | changes)

    def set_event(self, user: str, event: str, state: EventState) -> None:
        """Put an event into a calendar, or take it out (`exists` false)."""
        self._world.calendars.mailbox(user, self._world.options).put(event, state)

    def event(self, user: str, event: str) -> EventState:
        """Return what a calendar holds."""
        return self._world.calendars.mailbox(user, self._world.options).state(event)

    def plant(self, user: str, events: Iterable[Planting]) -> None:
        """Put events into a calendar; nothing else exists there from then on."""
        self._world.calendars.mailbox(user, self._world.options).plant(events)

    def populate(self, people: int, seed: int, now: datetime) -> Company:
        """Plant the calendars of a company that is made up; return it."""
        company = Company.generate(seed, people, now)
        self._world.populate(company)
        return company

    def revoke_tokens(self) -> None:
        """Let Graph refuse every token issued so far, with a claims challenge."""
        self._world.tokens.revoke()

    def _graph_side(self) -> _Endpoint:
        graph, control = SimulatedGraph(self._world).answer, Control(self._world).answer

        def answer(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            return (control if request.raw_path.startswith(PREFIX) else graph)(request)

        return answer


async def serve(announce: Callable[[Mapping[str, str]], None], **options: Any) -> None:
    """
    Serve until SIGTERM, SIGINT or SIGHUP; takes the keywords of `Sandbox`.

    `announce` is called once, with the environment to export, when both ports are open.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    stops = heeded()
    for stop in stops:
        loop.add_signal_handler(stop, stopping.set)
    try:
        async with Sandbox(**options) as sandbox:
            announce(sandbox.environment())
            await stopping.wait()
    finally:
        for stop in stops:
            loop.remove_signal_handler(stop)


async def _listen(
    parts: contextlib.AsyncExitStack,
    answer: _Endpoint,
    port: int,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Open a port until `parts` close, and return its number."""
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=_PARTING_S)
    await runner.setup()
    parts.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _HOST, port, ssl_context=tls, backlog=_BACKLOG).start()
    opened: int = runner.addresses[0][1]
    return opened
