"""Redis over TLS: who is trusted, and that nobody else is."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.errors import LedgerUnreachable
from jobs.redis.connection import connect, reach
from tests.support.awaited import awaited
from tests.support.chaos.scenario import rows_of
from tests.support.program import Program
from tests.support.redis.tls_relay import TlsRelay, tls_relay


@pytest.fixture
def database(redis_url: str) -> str:
    """Name the test's database."""
    return urlsplit(redis_url).query.removeprefix("db=")


@pytest.fixture
def relay(redis_url: str, tmp_path: Path) -> Iterator[TlsRelay]:
    """Put TLS before the test's Redis, with a certificate that no machine trusts by itself."""
    with tls_relay(redis_url, tmp_path) as relay:
        yield relay


async def reached(url: str) -> None:
    """Reach a Redis, and leave it."""
    redis = connect(url)
    try:
        await reach(redis, "shown")
    finally:
        await redis.aclose(close_connection_pool=True)


def test_a_private_authority_is_trusted_by_ssl_cert_file(
    program: Program, relay: TlsRelay, database: str
) -> None:
    """A batch is submitted and worked through a Redis whose authority SSL_CERT_FILE names."""
    # The sandbox has an authority of its own, and there is one such file.
    both = Path(program.environment["SSL_CERT_FILE"]).read_text() + relay.ca_file.read_text()
    trusted = program.folder / "trusted.pem"
    trusted.write_text(both)
    program.environment |= {"REDIS_URL": relay.url(database), "SSL_CERT_FILE": str(trusted)}
    batch = program.submit(rows_of(20, 5))
    assert [] == program.burst().events("redis.away")
    assert {"sent": 20} == program("status", batch, "--json").json["outcomes"]


def test_nobody_is_trusted_unasked(program: Program, relay: TlsRelay, database: str) -> None:
    """A Redis whose authority is not known is not spoken to; the message says what to set."""
    program.environment["REDIS_URL"] = relay.url(database)
    refused = program("status")
    assert 4 == refused.code
    assert "cannot trust Redis" in refused.err
    assert "SSL_CERT_FILE" in refused.err
    assert "Traceback" not in refused.err


@awaited
async def test_an_authority_may_stand_in_the_address(relay: TlsRelay, database: str) -> None:
    """An authority may stand in the address, as redis-py has it."""
    await reached(f"{relay.url(database)}?ssl_ca_certs={relay.ca_file}")


@awaited
async def test_the_name_is_verified(relay: TlsRelay, database: str) -> None:
    """A trusted certificate of another name is refused, unless the address says to look away."""
    other = f"{relay.url(database, '127.0.0.1')}?ssl_ca_certs={relay.ca_file}"
    with pytest.raises(LedgerUnreachable, match=r"cannot trust.*certificate is not valid for '127"):
        await reached(other)
    await reached(f"{other}&ssl_check_hostname=false")
