"""
What single settings must look like, other than addresses (`config/urls.py`).

Each rule takes a value as it was set and returns it in one spelling, or raises `ValueError` with
what to do. No message repeats a value that may be a secret.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr


class TokenCredentials(StrEnum):
    """What `AZURE_TOKEN_CREDENTIALS` may say: azure-identity's values for servers."""

    PROD = "prod"
    ENVIRONMENT = "environmentcredential"
    WORKLOAD_IDENTITY = "workloadidentitycredential"
    MANAGED_IDENTITY = "managedidentitycredential"


def _tenant(text: str) -> str:
    if text.lower() in {"common", "organizations", "consumers"}:
        raise ValueError("must be your own tenant: client credentials have no shared one")
    if not all(character.isalnum() or character in ".-" for character in text):
        raise ValueError("must be a tenant's id or domain, like contoso.onmicrosoft.com")
    return text


def _token_credentials(text: str) -> TokenCredentials:
    try:
        return TokenCredentials(text.lower())
    except ValueError:
        raise ValueError(
            "must be prod, EnvironmentCredential, WorkloadIdentityCredential or"
            " ManagedIdentityCredential; a developer's own sign-in is not a credential for a worker"
        ) from None


def _readable_file(path: Path) -> Path:
    if path.is_file() and os.access(path, os.R_OK):
        return path
    raise ValueError("must name a file that exists and that this user may read")


def _bare_secret(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value().strip() == secret.get_secret_value():
        return secret
    raise ValueError("has white space around it, probably a line end: remove it")


lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
"""Letter case does not count."""

Tenant = Annotated[str, AfterValidator(_tenant)]
WhichCredential = Annotated[TokenCredentials, BeforeValidator(_token_credentials)]
ReadableFile = Annotated[Path, AfterValidator(_readable_file)]
BareSecret = Annotated[SecretStr, AfterValidator(_bare_secret)]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
