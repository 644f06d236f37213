"""
Settings: everything that the environment may say, checked at once before anything starts.

Nothing else reads a setting from the environment. This module knows which credential the variables
describe, not how a token is fetched with it (`worker/identity/credential.py`).
"""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config import urls
from config.clouds import CLOUDS, Cloud, CloudName
from config.credentials import MISSING, NO_CREDENTIAL
from config.errors import SettingsError
from config.redis_address import check_redis_address, wants_token, without_password
from config.values import (
    BareSecret,
    ReadableFile,
    Seconds,
    Tenant,
    TokenCredentials,
    WhichCredential,
    lower,
)

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
PREFIX = "BULKRSVP_"


class CredentialKind(StrEnum):
    """How this process proves to Entra ID who it is."""

    SECRET = "secret"  # noqa: S105  # the kind, not a secret
    CERTIFICATE = "certificate"
    WORKLOAD_IDENTITY = "workload identity"
    MANAGED_IDENTITY = "managed identity"


class Settings(BaseSettings):
    """
    The settings of one process; made by `Settings.load`, never changed after.

    A field has the name of its variable in lower case, without `BULKRSVP_`. Unset and empty are the
    same, since containers cannot unset.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    redis_url: Annotated[str, AfterValidator(check_redis_address)] | None = Field(None, repr=False)
    cloud: Annotated[CloudName, lower] = CloudName.GLOBAL
    graph_url: Annotated[str, AfterValidator(urls.graph_root)] | None = None
    api_version: Annotated[Literal["v1.0", "beta"], lower] = "v1.0"
    # Graph's limit is 4 today, and has moved before; more than it allows only earns 429s.
    mailbox_concurrency: int = Field(4, ge=1, le=20)
    max_calls: int = Field(512, ge=1, le=10_000)
    max_attempts: int = Field(5, ge=1, le=100)
    call_timeout_s: Annotated[Seconds, Field(gt=0)] = 60.0
    settle_s: Seconds = 60.0
    drain_s: Seconds = 70.0
    log_format: Annotated[Literal["json", "console"], lower] | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], lower] = "info"
    log_users: Annotated[Literal["plain", "hash"], lower] = "plain"
    log_key: SecretStr | None = None
    liveness_file: Path | None = None
    azure_tenant_id: Tenant | None = None
    azure_client_id: str | None = None
    azure_client_secret: BareSecret | None = None
    azure_client_certificate_path: ReadableFile | None = None
    azure_client_certificate_password: SecretStr | None = None
    azure_federated_token_file: ReadableFile | None = None
    azure_authority_host: Annotated[str, AfterValidator(urls.authority_host)] | None = None
    azure_token_credentials: WhichCredential | None = None
    ssl_cert_file: ReadableFile | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings passes all by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` passes on, so that a test or a demo can bring its own."""
        return (init_settings,)

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, for_calls: bool = False
    ) -> "Settings":
        """
        Read the environment, or the given mapping in its place.

        With `for_calls` it must also describe a whole credential, and settle no sooner than a
        call may take. Raises `SettingsError`, which names all wrong variables, one per line, and
        shows no secret.
        """
        settings, wrong = cls.survey(environ, for_calls=for_calls)
        if wrong:
            raise SettingsError("\n".join(wrong))
        return settings

    @classmethod
    def survey(
        cls, environ: Mapping[str, str] | None = None, *, for_calls: bool = False
    ) -> "tuple[Settings, list[str]]":
        """
        Return the settings, and a line `NAME: what is wrong` for each wrong variable.

        A wrong variable has its default; otherwise this is like `load`, without raising.
        """
        environ = os.environ if environ is None else environ
        given = {name: value for name, value in environ.items() if value.strip()}
        refused = set[str]()
        values: dict[str, Any] = {
            field: given[name] for field, name in VARIABLES.items() if name in given
        }
        wrong = [*_unknown_names(given), *_without_key(values)]
        try:
            settings: Settings = cls(**values)
        except ValidationError as error:
            wrong += [_wrong_value(detail, values) for detail in error.errors()]
            refused = {str(detail["loc"][0]) for detail in error.errors()}
            # The rest still shows which credential is meant, and what it lacks.
            settings = cls(**{name: value for name, value in values.items() if name not in refused})
        if for_calls:
            wrong += settings._wrong_for_calls(refused)
        return settings, wrong

    @property
    def redis_url_or_default(self) -> str:
        """Where Redis is; by default, its usual place on this machine."""
        return self.redis_url or DEFAULT_REDIS_URL

    @property
    def redis_wants_token(self) -> bool:
        """Whether the login to Redis is a token of the credential that the variables describe."""
        return wants_token(self.redis_url_or_default)

    @property
    def redis_url_shown(self) -> str:
        """The address of Redis for a message: without its password."""
        return without_password(self.redis_url_or_default)

    @property
    def graph_root(self) -> str:
        """Where Graph is, without version and trailing slash."""
        return self.graph_url or self._cloud.graph_url

    @property
    def scope(self) -> str:
        """The scope of a token; it is that of the cloud, even behind a proxy or a sandbox."""
        return self._cloud.scope

    @property
    def authority(self) -> str:
        """Where tokens come from, as an https address without a trailing slash."""
        return self.azure_authority_host or self._cloud.authority

    @property
    def proposals_allowed(self) -> bool:
        """Whether this cloud knows `proposedNewTime`."""
        return self._cloud.proposals_allowed

    @property
    def credential_kind(self) -> CredentialKind:
        """
        Which credential the variables describe, in azure-identity's order.

        Managed identity is never guessed: it must be asked for with `AZURE_TOKEN_CREDENTIALS`, or a
        forgotten secret would end in a search for a metadata service that does not exist.
        Raises `SettingsError` when nothing is described.
        """
        only = self.azure_token_credentials
        environment = only in {None, TokenCredentials.PROD, TokenCredentials.ENVIRONMENT}
        workload = only in {None, TokenCredentials.PROD, TokenCredentials.WORKLOAD_IDENTITY}
        if environment and self.azure_client_secret:
            return CredentialKind.SECRET
        if environment and self.azure_client_certificate_path:
            return CredentialKind.CERTIFICATE
        if workload and self.azure_federated_token_file:
            return CredentialKind.WORKLOAD_IDENTITY
        if only in {TokenCredentials.PROD, TokenCredentials.MANAGED_IDENTITY}:
            return CredentialKind.MANAGED_IDENTITY
        raise SettingsError(NO_CREDENTIAL[only])

    def check_credentials(self) -> None:
        """Raise `SettingsError` if the variables do not describe one whole credential."""
        if wrong := self.wrong_credentials():
            raise SettingsError("\n".join(wrong))

    def wrong_credentials(self) -> list[str]:
        """Return what is missing for one whole credential, a line for each variable."""
        try:
            kind = self.credential_kind
        except SettingsError as error:
            return [str(error)]
        if kind is CredentialKind.MANAGED_IDENTITY:
            return []
        needed = {"AZURE_TENANT_ID": self.azure_tenant_id, "AZURE_CLIENT_ID": self.azure_client_id}
        missing = [name for name, value in needed.items() if not value]
        return [f"{name}: {MISSING[name]} {kind}" for name in missing]

    @property
    def short_settle(self) -> str | None:
        """
        What is wrong with a settle time that is shorter than a call may take, else None.

        A worker that is cut off from Redis may still have a call in flight when another one takes
        over its slice, looks, and sends again.
        """
        if self.settle_s >= self.call_timeout_s:
            return None
        timeout = f"{self.call_timeout_s:g}"
        return (
            f"is {self.settle_s:g} s, shorter than BULKRSVP_CALL_TIMEOUT_S ({timeout} s), so a call"
            f" that is still in flight may be made again; set it to {timeout} or more"
        )

    @property
    def graph_is_local(self) -> bool:
        """Whether Graph is on this machine: a sandbox, where short times are fine."""
        return urls.is_on_this_machine(self.graph_root)

    def _wrong_for_calls(self, refused: set[str]) -> Iterator[str]:
        """Yield what keeps these settings from making calls, except what was already refused."""
        if not any(field.startswith("azure_") for field in refused):
            yield from self.wrong_credentials()
        known = refused.isdisjoint({"settle_s", "call_timeout_s", "graph_url"})
        if known and not self.graph_is_local and self.short_settle:
            yield f"BULKRSVP_SETTLE_S: {self.short_settle}"

    @property
    def _cloud(self) -> Cloud:
        return CLOUDS[self.cloud]


def _variable(field: str) -> str:
    """Return the name of a field's variable: variables of other programs have no prefix here."""
    foreign = field == "redis_url" or field.startswith(("azure_", "ssl_"))
    return field.upper() if foreign else f"{PREFIX}{field.upper()}"


VARIABLES: dict[str, str] = {field: _variable(field) for field in Settings.model_fields}
"""Every field and its variable; the table in config/README.md is held to it."""


def _unknown_names(given: Mapping[str, str]) -> Iterator[str]:
    known = [name for name in VARIABLES.values() if name.startswith(PREFIX)]
    for name in sorted(given):
        if name.upper().startswith(PREFIX) and name not in known:
            nearest = get_close_matches(name.upper(), known, n=1, cutoff=0)
            yield f"{name}: is not a setting; did you mean {nearest[0]}?"


def _without_key(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("log_users", "").lower() == "hash" and "log_key" not in values:
        yield (
            "BULKRSVP_LOG_KEY: is not set, but BULKRSVP_LOG_USERS=hash needs it;"
            " set it to a long random text, and to the same on all workers"
        )


def _wrong_value(detail: ErrorDetails, values: Mapping[str, Any]) -> str:
    field = str(detail["loc"][0])
    if detail["type"] == "value_error":
        return f"{VARIABLES[field]}: {detail['ctx']['error']}"
    # Only numbers and closed sets come here: the value is not a secret.
    rule = detail["msg"].removeprefix("Input should be ").split(", unable")[0]
    return f"{VARIABLES[field]}: must be {rule}, not {values[field]!r}"
