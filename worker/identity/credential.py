"""
The credential that the settings describe, and one request with it for a token.

Only this module makes credentials of azure-identity. When to ask, and how long to wait after a
refusal, is decided in `token_source.py`.
"""

import asyncio
import re
from typing import Any, Final

from azure.core.credentials import AccessTokenInfo
from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.identity.aio import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from pydantic import SecretStr

from config.errors import SettingsError
from config.settings import CredentialKind, Settings

_FETCH_LIMIT_S: Final = 30.0
_TOKEN: Final = re.compile(r"[!-~]+")

_NO_CLAIMS: Final = "{}"
"""
Asks for nothing, and makes azure-identity bypass its own cache.

With any claims it does not look there; and on the wire empty claims are the same as none, since
`enable_cae` adds the same object to both. So one fetch here is one request, always.
"""


def open_credential(settings: Settings) -> AsyncSupportsTokenInfo:
    """
    Return the credential that the settings describe; nothing is fetched yet.

    The order is that of azure-identity's `DefaultAzureCredential`. That class itself would lose
    the status of a refusal, and would give workload identity no authority.
    Raises `SettingsError` for an incomplete credential or a certificate that cannot be used.
    """
    settings.check_credentials()
    # No retries: one request, one answer; `TokenSource` decides when to ask again.
    if settings.credential_kind is CredentialKind.MANAGED_IDENTITY:
        return ManagedIdentityCredential(client_id=settings.azure_client_id, retry_total=0)
    return _application(
        settings,
        tenant_id=settings.azure_tenant_id,
        client_id=settings.azure_client_id,
        authority=settings.authority,
        retry_total=0,
    )


def _application(settings: Settings, **options: Any) -> AsyncSupportsTokenInfo:
    match settings.credential_kind:
        case CredentialKind.SECRET:
            secret = _revealed(settings.azure_client_secret)
            return ClientSecretCredential(client_secret=secret or "", **options)
        case CredentialKind.CERTIFICATE:
            return _certificate(settings, **options)
        case _:
            path = str(settings.azure_federated_token_file)
            return WorkloadIdentityCredential(token_file_path=path, **options)


def _certificate(settings: Settings, **options: Any) -> CertificateCredential:
    path = str(settings.azure_client_certificate_path)
    password = _revealed(settings.azure_client_certificate_password)
    try:
        return CertificateCredential(certificate_path=path, password=password, **options)
    except (ValueError, TypeError):
        raise SettingsError(
            "AZURE_CLIENT_CERTIFICATE_PATH: must hold a certificate and its RSA private key, as PEM"
            " or PKCS12; for a protected key set AZURE_CLIENT_CERTIFICATE_PASSWORD"
        ) from None


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


async def request_token(
    credential: AsyncSupportsTokenInfo, scope: str, claims: str | None = None
) -> AccessTokenInfo:
    """
    Ask the authority once, whatever is cached.

    `claims` are those of a challenge. Raises what is listed in `MISSED`.
    """
    async with asyncio.timeout(_FETCH_LIMIT_S):
        token = await credential.get_token_info(
            scope, options={"enable_cae": True, "claims": claims or _NO_CLAIMS}
        )
    if not isinstance(token.token, str) or not _TOKEN.fullmatch(token.token):
        raise ValueError("the authority gave a token that cannot stand in a header")
    return token
