"""
A token of Entra ID as the login at Redis: said at first, and again before it ends.

Before a real Redis stands what Azure has there: it takes only tokens that are for it, makes the
one that it has seen the user's password, and cuts connections whose token has ended.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.check import CheckName
from tests.support.chaos.scenario import rows_of
from tests.support.program import Program
from tests.support.redis.tls_relay import TlsRelay, tls_relay
from tests.support.sandbox_client import SandboxClient
from worker.identity.claims import read_claims
from worker.process.embedded import EmbeddedRedis

AUTH = re.compile(rb"\r\nAUTH\r\n\$\d+\r\n([^\r]+)\r\n\$\d+\r\n([^\r]+)\r\n")
REDIS = "https://redis.azure.com"


class Azure:
    """What Azure has before a Redis."""

    def __init__(self, admin: Any) -> None:
        self.tokens = set[str]()
        self.late = 0
        self._admin = admin
        self._ends: dict[int, float] = {}

    def __call__(self, connection: int, said: bytes) -> bool:
        """Let in who shows a token for Redis, for as long as it lasts."""
        if login := AUTH.search(said):
            return self._admit(connection, *(part.decode() for part in login.groups()))
        lasts = time.time() < self._ends.get(connection, 0)
        self.late += not lasts
        return lasts

    def _admit(self, connection: int, user: str, token: str) -> bool:
        claims = read_claims(token)
        if claims is None or (claims.audience, claims.object_id) != (REDIS, user):
            return False
        rules = ("~bulkrsvp:*", "~arq:*", "+@all", "-@admin", "+info", "resetpass")
        self._admin.execute_command("ACL", "SETUSER", user, "reset", "on", *rules, f">{token}")
        self.tokens.add(token)
        self._ends[connection] = claims.ends_at or 0
        return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a Redis that lets in nobody but whom Azure has admitted."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def azure(server: EmbeddedRedis) -> Iterator[Azure]:
    """Stand before it."""
    with Redis.from_url(server.url) as admin:
        yield Azure(admin)


@pytest.fixture
def relay(server: EmbeddedRedis, azure: Azure, tmp_path: Path) -> Iterator[TlsRelay]:
    """Put TLS before it, too."""
    with tls_relay(server.url, tmp_path, azure) as relay:
        yield relay


@pytest.fixture
def cloud(program: Program, relay: TlsRelay) -> Program:
    """Set the console command up to log in there."""
    trusted = program.folder / "trusted.pem"
    both = Path(program.environment["SSL_CERT_FILE"]).read_text() + relay.ca_file.read_text()
    trusted.write_text(both)
    url = f"{relay.url('0')}?credentials=entra"
    program.environment |= {"REDIS_URL": url, "SSL_CERT_FILE": str(trusted)}
    return program


def test_a_batch_outlasts_its_redis_tokens(
    cloud: Program, azure: Azure, sandbox: SandboxClient
) -> None:
    """A batch is worked for longer than a token lasts, and no connection is ever cut for it."""
    sandbox.options(token_lifetime_s=4, latency_s=0.5)
    # In a process of its own: whom aiohttp trusts is settled when it is loaded.
    batch = cloud("submit", cloud.write("rows.jsonl", rows_of(240, 4))).out.strip()
    asked_by_submit = len(azure.tokens)
    with cloud.worker("--burst") as worker:
        assert 0 == worker.process.wait(60), worker.errors
    told = cloud("status", batch, "--json").json
    assert {"sent": 240} == told["outcomes"]
    assert [] == worker.events("redis.away")
    assert azure.late == 0
    assert len(azure.tokens) - asked_by_submit >= 3
    refreshed = [line.get("scope") for line in worker.events("token.refreshed")]
    assert {f"{REDIS}/.default", None} == set(refreshed)


def test_a_wrong_secret_logs_nobody_in_and_is_not_shown(cloud: Program) -> None:
    """Without a token there is no login; what Entra ID said is told, and no secret."""
    refused = cloud("status", AZURE_CLIENT_SECRET="hunter2-Zq8")
    assert 4 == refused.code
    assert "cannot log in to Redis" in refused.err
    assert "AADSTS7000215" in refused.err
    assert "hunter2" not in refused.err
    assert "Traceback" not in refused.err


def test_asking_for_a_token_names_the_credential(cloud: Program) -> None:
    """Who asks for a token names the credential, also for a command that calls nobody."""
    refused = cloud("status", AZURE_CLIENT_ID="")
    assert 3 == refused.code
    assert refused.err.startswith("bulkrsvp: AZURE_CLIENT_ID: is not set")


def test_the_check_logs_in_as_a_worker_does(cloud: Program) -> None:
    """The check logs in as a worker does."""
    checks = {each["name"]: each for each in cloud("check", "--json").json["checks"]}
    assert "ok" == checks[CheckName.REDIS]["verdict"], checks
    assert "none lives" in cloud("check", "--worker").out
