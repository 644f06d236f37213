"""The words for errors of aiohttp: complete, and each the right one."""

import aiohttp
import pytest
from aiohttp import client_exceptions

from worker.graph.transport import transport_end

PROTOCOL_ERRORS = {
    "ClientError",
    "ClientHttpProxyError",
    "ClientPayloadError",
    "ClientResponseError",
    "ContentTypeError",
    "TooManyRedirects",
    "UploadAbortedError",
    "WSServerHandshakeError",
}
NAMED = dict.fromkeys(PROTOCOL_ERRORS, "protocol_error") | {
    "ClientConnectionError": "disconnected",
    "ClientConnectionResetError": "reset",
    "ClientConnectorCertificateError": "tls_failed",
    "ClientConnectorDNSError": "dns",
    "ClientConnectorError": "connect_failed",
    "ClientConnectorSSLError": "tls_failed",
    "ClientOSError": "reset",
    "ClientProxyConnectionError": "connect_failed",
    "ClientSSLError": "tls_failed",
    "ConnectionTimeoutError": "connect_timeout",
    "InvalidURL": "bad_url",
    "InvalidUrlClientError": "bad_url",
    "InvalidUrlRedirectClientError": "bad_url",
    "NonHttpUrlClientError": "bad_url",
    "NonHttpUrlRedirectClientError": "bad_url",
    "RedirectClientError": "bad_url",
    "ServerConnectionError": "disconnected",
    "ServerDisconnectedError": "disconnected",
    "ServerFingerprintMismatch": "tls_failed",
    "ServerTimeoutError": "timeout",
    "SocketTimeoutError": "timeout",
    "UnixClientConnectorError": "connect_failed",
}


def test_every_error_of_aiohttp_has_its_word() -> None:
    """Each public ClientError of the installed aiohttp is known here, and is named as written."""
    errors = {
        name: kind
        for name, kind in vars(client_exceptions).items()
        if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
    }
    expected = {name: NAMED[name] for name in errors}
    assert expected == {name: transport_end(kind.__new__(kind)) for name, kind in errors.items()}


@pytest.mark.parametrize(
    ("error", "expected"),
    [(TimeoutError(), "timeout"), (ConnectionResetError(), "reset"), (BrokenPipeError(), "reset")],
)
def test_errors_of_the_system_have_a_word(error: OSError, expected: str) -> None:
    """What aiohttp lets through from below is named as well."""
    assert expected == transport_end(error)
