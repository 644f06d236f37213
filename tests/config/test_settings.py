"""The environment: what is taken, what is refused, and what is never shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clouds import CLOUDS, CloudName
from config.errors import SettingsError
from config.settings import VARIABLES, CredentialKind, Settings

SECRET = "hunter2-Zq8"


def complaint(**environ: str) -> str:
    """Return the message that refuses such an environment."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ)
    return str(caught.value)


def names(message: str) -> list[str]:
    """Return the variables that a message begins its lines with."""
    return [line.split(":")[0] for line in message.splitlines()]


def test_every_setting_has_a_default() -> None:
    """With an empty environment every setting has its default."""
    settings = Settings.load({})
    assert (
        settings.redis_url_or_default,
        settings.graph_root,
        settings.scope,
        settings.authority,
        settings.api_version,
        (
            settings.mailbox_concurrency,
            settings.max_calls,
            settings.max_attempts,
            settings.call_timeout_s,
            settings.settle_s,
            settings.drain_s,
        ),
        (settings.log_format, settings.log_level, settings.log_users),
        settings.proposals_allowed,
    ) == (
        "redis://localhost:6379/0",
        "https://graph.microsoft.com",
        "https://graph.microsoft.com/.default",
        "https://login.microsoftonline.com",
        "v1.0",
        (4, 512, 5, 60.0, 60.0, 70.0),
        (None, "info", "plain"),
        True,
    )


def test_empty_is_unset() -> None:
    """A variable that is set to nothing, or to white space, is not set."""
    assert Settings.load({}) == Settings.load(dict.fromkeys(VARIABLES.values(), " "))


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the environment of the process is read."""
    monkeypatch.setenv("BULKRSVP_CLOUD", "dod")
    assert Settings.load().graph_root == "https://dod-graph.microsoft.us"


def test_a_mapping_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a mapping the environment of the process does not matter."""
    monkeypatch.setenv("BULKRSVP_CLOUD", "dod")
    assert Settings.load({}).graph_root == "https://graph.microsoft.com"


def test_every_wrong_variable_is_named_at_once() -> None:
    """Every wrong variable is named, a line each."""
    wrong = {
        "BULKRSVP_CLOD": "usgov",
        "REDIS_URL": "localhost:6379",
        "BULKRSVP_CLOUD": "moon",
        "BULKRSVP_GRAPH_URL": "http://graph.microsoft.com",
        "BULKRSVP_API_VERSION": "v2",
        "BULKRSVP_MAILBOX_CONCURRENCY": "0",
        "BULKRSVP_MAX_CALLS": "many",
        "BULKRSVP_MAX_ATTEMPTS": "1.5",
        "BULKRSVP_CALL_TIMEOUT_S": "0",
        "BULKRSVP_SETTLE_S": "nan",
        "BULKRSVP_DRAIN_S": "-1",
        "BULKRSVP_LOG_FORMAT": "xml",
        "BULKRSVP_LOG_LEVEL": "loud",
        "BULKRSVP_LOG_USERS": "none",
        "AZURE_TENANT_ID": "common",
        "AZURE_CLIENT_SECRET": f"{SECRET}\n",
        "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere/cert.pem",
        "AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token",
        "AZURE_AUTHORITY_HOST": "http://login.microsoftonline.com",
        "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
    }
    assert sorted(wrong) == sorted(names(complaint(**wrong)))


def settling(settle_s: str, call_timeout_s: str, **more: str) -> dict[str, str]:
    """Make an environment that could make calls, with these two times."""
    times = {"BULKRSVP_SETTLE_S": settle_s, "BULKRSVP_CALL_TIMEOUT_S": call_timeout_s}
    credential = dict.fromkeys(("AZURE_TENANT_ID", "AZURE_CLIENT_ID"), "contoso.com")
    return {**credential, "AZURE_CLIENT_SECRET": SECRET, **times, **more}


@pytest.mark.parametrize("settle_s", ["0", "2", "59.9"])
def test_settling_before_a_call_has_ended(settle_s: str) -> None:
    """Who makes calls may not look before a call must have ended; who only asks is not bothered."""
    environ = settling(settle_s, "60")
    _, wrong = Settings.survey(environ, for_calls=True)

    expected = (
        f"BULKRSVP_SETTLE_S: is {settle_s} s, shorter than BULKRSVP_CALL_TIMEOUT_S (60 s), so a"
        " call that is still in flight may be made again; set it to 60 or more"
    )
    assert [expected] == wrong
    assert float(settle_s) == Settings.load(environ).settle_s


def test_a_short_settle_time_is_one_of_all() -> None:
    """It is reported beside what else is wrong, and not guessed where one of the two is wrong."""
    _, all_wrong = Settings.survey(settling("2", "60", BULKRSVP_FOO="1"), for_calls=True)
    _, only_one = Settings.survey(settling("2", "a minute"), for_calls=True)

    assert ["BULKRSVP_FOO", "BULKRSVP_SETTLE_S"] == names("\n".join(all_wrong))
    assert ["BULKRSVP_CALL_TIMEOUT_S"] == names("\n".join(only_one))


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.2:8080/graph", True),
        ("https://[::1]:8443", True),
        ("https://localhost.contoso.com", False),
        ("https://10.0.0.1", False),
    ],
)
def test_where_a_short_settle_time_is_accepted(url: str, accepted: bool) -> None:  # noqa: FBT001  # a case
    """With Graph on this machine a short settle time is accepted, and still said to be short."""
    environ = settling("0", "60", BULKRSVP_GRAPH_URL=url)
    settings, wrong = Settings.survey(environ, for_calls=True)

    assert accepted == (wrong == [])
    assert settings.short_settle is not None


@pytest.mark.parametrize(("settle_s", "call_timeout_s"), [("60", "60"), ("2", "1.5")])
def test_a_settle_time_that_is_long_enough(settle_s: str, call_timeout_s: str) -> None:
    """A settle time as long as a call is accepted everywhere."""
    assert Settings.load(settling(settle_s, call_timeout_s), for_calls=True).short_settle is None


def test_what_is_right_is_kept() -> None:
    """A survey returns what is right beside what is wrong, and defaults in the place of that."""
    environ = {"BULKRSVP_CLOUD": "DoD", "BULKRSVP_MAX_CALLS": "many", "BULKRSVP_NO": "1"}
    settings, wrong = Settings.survey(environ, for_calls=True)

    assert (CLOUDS[CloudName.DOD].graph_url, 512) == (settings.graph_root, settings.max_calls)
    expected = ["BULKRSVP_NO", "BULKRSVP_MAX_CALLS", "AZURE_CLIENT_SECRET"]
    assert expected == names("\n".join(wrong))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """An unknown name of ours is answered with the nearest known one."""
    assert (
        complaint(BULKRSVP_MAXCALLS="5")
        == "BULKRSVP_MAXCALLS: is not a setting; did you mean BULKRSVP_MAX_CALLS?"
    )


def test_what_was_set_and_what_may_be() -> None:
    """A wrong value of a closed set is shown beside what is allowed."""
    assert (
        complaint(BULKRSVP_API_VERSION="v2")
        == "BULKRSVP_API_VERSION: must be 'v1.0' or 'beta', not 'v2'"
    )


def test_closed_sets_take_any_letter_case() -> None:
    """Words of closed sets may be written in any letter case."""
    settings = Settings.load({"BULKRSVP_LOG_LEVEL": "WARNING", "BULKRSVP_CLOUD": "China"})
    assert (settings.log_level, settings.cloud) == ("warning", "china")


def test_hash_needs_a_key() -> None:
    """Hashed users need a key, and the message names the variable."""
    assert names(complaint(BULKRSVP_LOG_USERS="hash")) == ["BULKRSVP_LOG_KEY"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        (f"rediss://user:{SECRET}@cache.example:6380/2", "rediss://***@cache.example:6380/2"),
        (f"redis://:p%40{SECRET}@[::1]:6379", "redis://***@[::1]:6379"),
        (f"unix:///run/redis.sock?db=3&password={SECRET}", "unix:///run/redis.sock?db=3"),
        (
            f"rediss+sentinel://u:{SECRET}@a:1,[::1],c/main/2?sentinel_password={SECRET}",
            "rediss+sentinel://***@a:1,[::1],c/main/2",
        ),
        (
            f"rediss://cache.example?ssl_ca_certs={__file__}&ssl_check_hostname=false",
            "rediss://cache.example",
        ),
        ("rediss://cache.example:10000/0?credentials=entra", "rediss://cache.example:10000/0"),
    ],
)
def test_redis_may_be_anywhere_that_redis_py_understands(url: str, shown: str) -> None:
    """Redis may be anywhere that redis-py understands, and its password is not shown."""
    settings = Settings.load({"REDIS_URL": url})
    assert (url, shown) == (settings.redis_url, settings.redis_url_shown)


@pytest.mark.parametrize(
    "url",
    [
        f"{SECRET}@localhost:6379",
        f"http://:{SECRET}@localhost",
        f"redis://:{SECRET}@localhost:port",
        f"redis://:{SECRET}#1@localhost",
        f"redis://:{SECRET}@localhost/name",
        f"redis://:{SECRET}@[::1",
        f"unix://?password={SECRET}",
        f"redis://:{SECRET}@localhost?socket_timeout=1",
        f"redis://:{SECRET}@localhost?ssl_ca_certs={__file__}",
        f"redis://localhost?sentinel_password={SECRET}",
        f"rediss://:{SECRET}@localhost?credentials=entra",
        f"rediss://localhost?credentials=entra&password={SECRET}",
        f"redis://localhost?credentials=entra#{SECRET}",
        "redis://localhost?credentials=entra",
        "rediss://localhost?credentials=ada",
        "rediss+sentinel://localhost/main?credentials=entra",
        f"rediss://:{SECRET}@localhost?ssl_cert_reqs=none",
        f"rediss://:{SECRET}@localhost?ssl_ca_certs=/nowhere/{SECRET}.pem",
        f"rediss://:{SECRET}@localhost?ssl_check_hostname=perhaps",
        f"rediss://:{SECRET}@localhost?ssl_certfile={__file__}",
        f"unix:///run/redis.sock?db=name&password={SECRET}",
        f"redis+sentinel://:{SECRET}@localhost",
        f"redis+sentinel://:{SECRET}@localhost/main/name",
        f"redis+sentinel://:{SECRET}@localhost:port/main",
        f"redis+sentinel://:{SECRET}@a,,b/main",
        f"redis+sentinel://:{SECRET}@[::1/main",
        f"redis+sentinel://:{SECRET}@a/main?sentinels={SECRET}",
        f"unix+sentinel://:{SECRET}@a/main",
    ],
)
def test_a_wrong_redis_address_is_refused_without_showing_it(url: str) -> None:
    """A wrong address of Redis is refused without showing it."""
    message = complaint(REDIS_URL=url)
    assert (names(message), SECRET in message) == (["REDIS_URL"], False)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://graph.microsoft.com/", "https://graph.microsoft.com"),
        ("https://proxy.example:8443/graph/", "https://proxy.example:8443/graph"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.9.9.9:1", "http://127.9.9.9:1"),
        ("http://[::1]:1/", "http://[::1]:1"),
    ],
)
def test_graph_may_be_behind_https_or_on_this_machine(url: str, root: str) -> None:
    """Graph may be behind https, or on this machine; the scope stays that of the cloud."""
    settings = Settings.load({"BULKRSVP_GRAPH_URL": url, "BULKRSVP_CLOUD": "usgov"})
    assert (root, "https://graph.microsoft.us/.default") == (settings.graph_root, settings.scope)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://localhost.evil.example", "https"),
        ("http://127.0.0.1.example", "https"),
        ("http://0.0.0.0", "https"),
        ("ftp://graph.microsoft.com", "https"),
        ("graph.microsoft.com", "https"),
        ("https://", "https"),
        ("https://graph.microsoft.com/v1.0", "BULKRSVP_API_VERSION"),
        ("https://graph.microsoft.com/beta/", "BULKRSVP_API_VERSION"),
        (f"https://user:{SECRET}@graph.microsoft.com", "password"),
        ("https://graph.microsoft.com?x=1", "after ?"),
        ("https://graph.microsoft.com#x", "after ?"),
    ],
)
def test_a_wrong_graph_root_is_refused_without_its_password(url: str, part: str) -> None:
    """A wrong root is refused with what to do, and without a password in it."""
    message = complaint(BULKRSVP_GRAPH_URL=url)
    assert (
        names(message),
        part in message,
        SECRET in message,
    ) == (["BULKRSVP_GRAPH_URL"], True, False)


@pytest.mark.parametrize(
    "host", ["login.example", "https://login.example", "https://login.example/"]
)
def test_the_authority_may_be_a_host_or_an_address(host: str) -> None:
    """The authority may be a host or an address, as for azure-identity."""
    assert Settings.load({"AZURE_AUTHORITY_HOST": host}).authority == "https://login.example"


@pytest.mark.parametrize("tenant", ["common", "Organizations", "consumers", "a/b"])
def test_tenants_that_are_none(tenant: str) -> None:
    """A shared tenant, or what could leave its path segment, is refused."""
    assert names(complaint(AZURE_TENANT_ID=tenant)) == ["AZURE_TENANT_ID"]


@given(st.sampled_from(sorted(VARIABLES.values())), st.text(min_size=1))
def test_secrets_are_never_shown(name: str, noise: str) -> None:
    """Whatever else is set, no secret stands in a message or a `repr`."""
    secrets = {
        "AZURE_CLIENT_SECRET": SECRET,
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": SECRET,
        "BULKRSVP_LOG_KEY": SECRET,
        "REDIS_URL": f"redis://:{SECRET}@localhost",
    }
    try:
        shown = repr(Settings.load({name: noise, **secrets}))
    except SettingsError as error:
        shown = f"{error} {error!r}"
    assert SECRET not in shown


def test_settings_do_not_change() -> None:
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).max_calls = 1  # type: ignore[misc]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the path of a file that exists."""
    path = tmp_path / "file"
    path.touch()
    return str(path)


def described(**environ: str) -> CredentialKind:
    """Return the credential that such an environment describes, if it is whole."""
    settings = Settings.load(environ)
    settings.check_credentials()
    return settings.credential_kind


APPLICATION = {"AZURE_TENANT_ID": "contoso.com", "AZURE_CLIENT_ID": "app"}


def test_a_secret_comes_before_a_certificate_and_a_token_file(file: str) -> None:
    """A secret comes before a certificate, and that before a token file, as in azure-identity."""
    token = {**APPLICATION, "AZURE_FEDERATED_TOKEN_FILE": file}
    certificate = {**token, "AZURE_CLIENT_CERTIFICATE_PATH": file}
    secret = {**certificate, "AZURE_CLIENT_SECRET": SECRET}
    managed = {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
    assert (
        described(**token),
        described(**certificate),
        described(**secret),
        described(**managed),
        described(**secret, **managed),
        described(**secret, AZURE_TOKEN_CREDENTIALS="workloadidentitycredential"),
    ) == (
        CredentialKind.WORKLOAD_IDENTITY,
        CredentialKind.CERTIFICATE,
        CredentialKind.SECRET,
        CredentialKind.MANAGED_IDENTITY,
        CredentialKind.MANAGED_IDENTITY,
        CredentialKind.WORKLOAD_IDENTITY,
    )


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, ["AZURE_CLIENT_SECRET"]),
        (APPLICATION, ["AZURE_CLIENT_SECRET"]),
        ({"AZURE_CLIENT_SECRET": SECRET}, ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"]),
        (
            {"AZURE_CLIENT_SECRET": SECRET, "AZURE_TENANT_ID": "contoso.com"},
            ["AZURE_CLIENT_ID"],
        ),
        (
            {**APPLICATION, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"},
            ["AZURE_TOKEN_CREDENTIALS"],
        ),
        (
            {**APPLICATION, "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential"},
            ["AZURE_TOKEN_CREDENTIALS"],
        ),
    ],
)
def test_what_a_credential_lacks_is_named_all_at_once(
    environ: dict[str, str], missing: list[str]
) -> None:
    """What a credential lacks is named, all at once, and only when a credential is needed."""
    settings = Settings.load(environ)
    with pytest.raises(SettingsError) as caught:
        settings.check_credentials()
    assert missing == names(str(caught.value))


def test_managed_identity_is_offered() -> None:
    """With nothing set, the message says how to choose managed identity."""
    with pytest.raises(SettingsError, match="AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential"):
        Settings.load({}).check_credentials()
