"""The sandbox from outside: its environment, its control paths, its options."""

import asyncio
import os
import ssl
import subprocess
import sys

import aiohttp
import pytest
from pydantic import ValidationError

from tests.support.sandbox_client import RefusedBySandbox, SandboxClient, running_sandbox
from worker.sandbox import (
    Rule,
    Sandbox,
    Stats,
)

AZURE = """
import asyncio
from azure.identity.aio import EnvironmentCredential

async def main():
    async with EnvironmentCredential() as credential:
        token = await credential.get_token("https://graph.microsoft.com/.default", enable_cae=True)
        print(len(token.token.split(".")))

asyncio.run(main())
"""


def test_environment_is_all_that_azure_identity_needs() -> None:
    """azure-identity gets a token over TLS with nothing but the printed environment."""
    with running_sandbox() as sandbox:
        environment = os.environ | sandbox.environment
        command = [sys.executable, "-c", AZURE]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "3\n" == ended.stdout
        assert [(200, None)] == [(asked.status, asked.error) for asked in sandbox.token_requests()]


def test_control_paths_script_and_read() -> None:
    """Faults, options, calendars and journal can be reached from another process."""
    with running_sandbox(latency_s=0) as sandbox:
        state = sandbox.put_event("Ada/x", "e/1", response="accepted", isCancelled=True)
        assert {"e/1": state} == sandbox.calendar("ada/X")
        assert ("accepted", True, False) == tuple(
            state[name] for name in ("response", "isCancelled", "isOrganizer")
        )
        assert 2 == sandbox.options(concurrency=2).concurrency
        statuses = asyncio.run(_post_twice(sandbox))
        assert [500, 202] == statuses
        assert [(500, False), (202, True)] == [(e.status, e.taken) for e in sandbox.journal()]
        assert sandbox.journal()[1:] == sandbox.journal(since=1)
        assert _stats_of_two() == sandbox.stats()
        sandbox.clear()
        assert [] == sandbox.journal()


async def _post_twice(sandbox: SandboxClient) -> list[int]:
    """Decline twice, the first time against an armed fault."""
    sandbox.faults([Rule(status=500, user="ada*"), {"status": 400, "user": "bob*"}])
    known = sandbox.environment
    trust = ssl.create_default_context(cafile=known["SSL_CERT_FILE"])
    form = {
        "grant_type": "client_credentials",
        "client_id": known["AZURE_CLIENT_ID"],
        "client_secret": known["AZURE_CLIENT_SECRET"],
        "scope": f"{known['BULKRSVP_GRAPH_URL']}/.default",
    }
    authority = f"{known['AZURE_AUTHORITY_HOST']}/{known['AZURE_TENANT_ID']}"
    url = f"{known['BULKRSVP_GRAPH_URL']}/v1.0/users/ada/events/e1/decline"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        async with session.post(f"{authority}/oauth2/v2.0/token", data=form) as reply:
            token = (await reply.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        statuses = []
        for _ in range(2):
            async with session.post(url, json={}, headers=headers) as reply:
                statuses.append(reply.status)
        return statuses


def _stats_of_two() -> Stats:
    return Stats(
        calls=2,
        looks=0,
        taken=1,
        throttled=0,
        early=0,
        unauthorized=0,
        token_requests=1,
        statuses={500: 1, 202: 1},
        faults={"reply": 1},
        max_in_flight={"ada": 1},
        duplicates=[],
    )


def test_control_says_what_is_wrong() -> None:
    """A wrong rule, option or state is refused by name, and nothing of it is used."""
    with running_sandbox() as sandbox:
        with pytest.raises(RefusedBySandbox, match=r"1\.times"):
            sandbox.faults([{"status": 500}, {"status": 500, "times": "often"}])
        with pytest.raises(RefusedBySandbox, match="latency_s"):
            sandbox.options(latency_s=-1)
        with pytest.raises(RefusedBySandbox, match="response"):
            sandbox.put_event("ada", "e1", response="maybe")
        assert {} == sandbox.calendar("ada")


def test_wrong_options_are_refused_at_once() -> None:
    """A keyword that is no option is refused before anything starts."""
    with pytest.raises(ValidationError):
        Sandbox(latency=1)
