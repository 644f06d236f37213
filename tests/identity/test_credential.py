"""
Tokens: azure-identity against a real authority, and the arithmetic of when to ask.

What needs TLS runs as a process of its own (`tests/support/network/entra_scenarios.py`), since the
trust in an authority is set before aiohttp is imported.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import structlog
import trustme
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ServiceRequestError
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import CapturingLogger

from config.errors import SettingsError
from config.settings import Settings
from tests.support import SUPPORT
from worker.identity.credential import open_credential
from worker.identity.token_source import TokenSource, TokenUnavailable

SCENARIOS = SUPPORT / "network" / "entra_scenarios.py"
SECRET = "hunter2-Zq8"
APPLICATION = {"AZURE_TENANT_ID": "contoso.com", "AZURE_CLIENT_ID": "app"}
CP1 = {"access_token": {"xms_cc": {"values": ["CP1"]}}}


# -- the real azure-identity ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment for an authority on this machine."""
    folder = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return {"SSL_CERT_FILE": str(folder / "ca.pem"), "SERVER_PEM": str(folder / "server.pem")}


@pytest.fixture(scope="module")
def entra(authority: dict[str, str]) -> Callable[..., Any]:
    """Return a function that plays scenarios under an environment and returns what they saw."""

    def run(*scenarios: str, **environ: str) -> Any:
        foreign = {name: value for name, value in os.environ.items() if "AZURE" not in name}
        done = subprocess.run(
            [sys.executable, "-W", "error", SCENARIOS, *scenarios],
            env=foreign | authority | APPLICATION | environ,
            capture_output=True,
            check=False,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def by_secret(entra: Callable[..., Any]) -> Any:
    """Return what was seen in each scenario that works with a secret; played in one process."""
    names = ("hundred", "wrong_secret", "repair", "page", "nothing", "nobody", "renewal")
    return entra(*names, AZURE_CLIENT_SECRET=SECRET)


def test_a_hundred_waiters_make_one_request(by_secret: Any) -> None:
    """A hundred who wait on an empty source make one request, with the secret and with CAE."""
    seen = by_secret["hundred"]
    request = seen["requests"][0]
    claims = json.loads(request.pop("claims"))
    assert (seen["tokens"], len(seen["requests"]), claims, request) == (
        ["token-1"],
        1,
        CP1,
        {
            "tenant": "contoso.com",
            "grant_type": "client_credentials",
            "scope": "https://graph.microsoft.com/.default",
            "client_id": "app",
            "client_secret": SECRET,
        },
    )


def test_a_new_token_is_one_line_without_the_token(by_secret: Any) -> None:
    """A new token is one line, without the token; azure-identity adds none."""
    seen = by_secret["hundred"]
    assert [(line["event"], line["level"]) for line in seen["log"]] == [("token.refreshed", "info")]
    assert ("token-1" in str(seen["log"]), SECRET in str(seen["log"])) == (False, False)


@pytest.mark.parametrize("password", [None, "sesame"])
def test_a_certificate_signs_the_assertion(
    entra: Callable[..., Any], tmp_path: Path, password: str | None
) -> None:
    """A certificate signs an assertion, also when its key is protected."""
    path = tmp_path / "app.pem"
    path.write_bytes(certificate(password))
    more = {"AZURE_CLIENT_CERTIFICATE_PASSWORD": password} if password else {}
    seen = entra("hundred", AZURE_CLIENT_CERTIFICATE_PATH=str(path), **more)["hundred"]
    request = seen["requests"][0]
    assert (request["client_assertion"].count("."), "client_secret" in request) == (2, False)


def certificate(password: str | None) -> bytes:
    """Return an RSA certificate with its key."""
    leaf = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "app.example", key_type=trustme.KeyType.RSA
    )
    key = leaf.private_key_pem.bytes()
    if password:
        key = protected(key, password)
    return key + leaf.cert_chain_pems[0].bytes()


def protected(key: bytes, password: str) -> bytes:
    """Return the same key under a password."""
    loaded = load_pem_private_key(key, None)
    assert isinstance(loaded, RSAPrivateKey)
    return loaded.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )


def test_the_token_file_of_a_pod_is_the_assertion(
    entra: Callable[..., Any], tmp_path: Path
) -> None:
    """The token file of a pod is the assertion; without it there is a refusal and no request."""
    path = tmp_path / "token"
    path.write_text("assertion-of-the-pod")
    seen = entra("hundred", "vanished", AZURE_FEDERATED_TOKEN_FILE=str(path))
    assert (
        [request["client_assertion"] for request in seen["hundred"]["requests"]],
        seen["vanished"]["requests"],
        [line["error_code"] for line in seen["vanished"]["log"]],
    ) == (["assertion-of-the-pod"], [], ["unreadable_file"])


def test_a_managed_identity_is_asked_for_by_its_client_id(entra: Callable[..., Any]) -> None:
    """A managed identity is asked for by its client id, and again when Graph refused its token."""
    seen = entra("managed", AZURE_TOKEN_CREDENTIALS="ManagedIdentityCredential")["managed"]
    assert (seen["tokens"], [request["client_id"] for request in seen["requests"]]) == (
        ["token-1", "token-2"],
        ["app", "app"],
    )


def test_a_wrong_secret_is_one_request_and_one_critical_line(by_secret: Any) -> None:
    """A wrong secret is one request and one critical line, and then a wait of some seconds."""
    seen = by_secret["wrong_secret"]
    line = seen["log"][0]
    assert (
        seen["errors"],
        len(seen["requests"]),
        len(seen["log"]),
        (line["event"], line["level"], line["error_code"], line["retry_in_s"]),
    ) == (
        ["no token (AADSTS7000215): set AZURE_CLIENT_SECRET to the secret's value, not to its id"],
        1,
        1,
        ("token.refused", "critical", "AADSTS7000215", 7.5),
    )
    assert ("Trace ID" in str(seen["log"]), SECRET in str(seen["log"])) == (False, False)


def test_after_a_503_the_authority_is_left_alone_as_it_wished(by_secret: Any) -> None:
    """After a 503 the authority is left alone as long as it wished, then it is asked again."""
    seen = by_secret["repair"]
    assert (seen["early"], seen["late"], len(seen["requests"])) == ("refused", "token-1", 2)
    assert [(line["event"], line["level"], line.get("retry_in_s")) for line in seen["log"]] == [
        ("token.refused", "warning", 20.0),
        ("token.refreshed", "info", None),
    ]


@pytest.mark.parametrize("scenario", ["page", "nothing"])
def test_foreign_replies_are_waited_out(by_secret: Any, scenario: str) -> None:
    """What a broken proxy says in the authority's place is waited out."""
    seen = by_secret[scenario]
    assert [(each["event"], each["level"]) for each in seen["log"]] == [
        ("token.refused", "warning")
    ]


def test_an_unreachable_authority_is_asked_once_and_waited_for(by_secret: Any) -> None:
    """An authority that cannot be reached is asked once, and waited for."""
    seen = by_secret["nobody"]
    assert [line["error_code"] for line in seen["log"]] == ["unreachable"]


def test_after_a_401_one_new_token_is_fetched_for_all(by_secret: Any) -> None:
    """After a 401 one new token is fetched for all who held the old one, with Graph's claims."""
    seen = by_secret["renewal"]
    assert (seen["tokens"], [json.loads(each["claims"]) for each in seen["requests"]]) == (
        ["token-1", ["token-2"], "token-2", "token-3"],
        [CP1, CP1, {"access_token": {**CP1["access_token"], "nbf": {"value": "4711"}}}],
    )


def test_an_unusable_certificate_is_a_wrong_setting(tmp_path: Path) -> None:
    """A file without a certificate is a wrong setting."""
    path = tmp_path / "app.pem"
    path.write_text("no certificate")
    settings = Settings.load({**APPLICATION, "AZURE_CLIENT_CERTIFICATE_PATH": str(path)})
    with pytest.raises(SettingsError, match=r"^AZURE_CLIENT_CERTIFICATE_PATH: "):
        open_credential(settings)


def test_without_a_whole_credential_none_is_opened() -> None:
    """Without a whole credential none is opened."""
    with pytest.raises(SettingsError, match="AZURE_CLIENT_SECRET"):
        open_credential(Settings.load(APPLICATION))


# -- when to ask ---------------------------------------------------------------------------------


class Issuer:
    """Stands in azure-identity's place: gives numbered tokens, or raises what it is told to."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lifetime_s = 3600
        self.refresh_in_s: int | None = None
        self.fails: Exception | None = None
        self.issued = 0
        self.opens = asyncio.Event()
        self.opens.set()
        self.is_closed = False

    async def get_token_info(
        self, *_scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Issue the next token once the gate is open."""
        assert options == {"enable_cae": True, "claims": "{}"}
        self.issued += 1
        issued, now = self.issued, int(self.clock())
        await self.opens.wait()
        if self.fails:
            raise self.fails
        refresh_on = now + self.refresh_in_s if self.refresh_in_s else None
        return AccessTokenInfo(f"token-{issued}", now + self.lifetime_s, refresh_on=refresh_on)

    async def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


class Stage:
    """A token source with an issuer, a clock and a chance that the test decides."""

    def __init__(self, chance: float = 0.0) -> None:
        self.now = 1_800_000_000.0
        self.issuer = Issuer(lambda: self.now)
        self.written = CapturingLogger()
        self.source = TokenSource(
            self.issuer,
            "https://graph.example/.default",
            clock=lambda: self.now,
            random=lambda: chance,
            log=structlog.wrap_logger(
                self.written, wrapper_class=structlog.make_filtering_bound_logger(0), processors=[]
            ),
        )

    def log(self) -> list[tuple[str, Any]]:
        """Return each line's event, and its wait if it has one."""
        calls = self.written.calls
        return [(call.kwargs["event"], call.kwargs.get("retry_in_s")) for call in calls]

    async def token_later(self) -> str:
        """Take a token, let what that started in the background end, and take another."""
        await self.source.token()
        await settle()
        return await self.source.token()

    async def refused(self) -> float:
        """Take a token that cannot be had, and return how long not to ask."""
        with pytest.raises(TokenUnavailable) as caught:
            await self.source.token()
        return caught.value.retry_at - self.now


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("refresh_in_s", "chance", "age_s", "token"),
    [
        (None, 0.0, 3299, "token-1"),
        (None, 0.0, 3300, "token-2"),
        (None, 1.0, 3239, "token-1"),
        (None, 1.0, 3240, "token-2"),
        (1800, 0.0, 1799, "token-1"),
        (1800, 0.0, 1800, "token-2"),
    ],
)
def test_a_token_is_replaced_five_minutes_early(
    refresh_in_s: int | None, chance: float, age_s: int, token: str
) -> None:
    """A token is replaced five minutes early, a minute more by chance, or when the issuer said."""

    async def play() -> str:
        stage = Stage(chance)
        stage.issuer.refresh_in_s = refresh_in_s
        await stage.source.token()
        stage.now += age_s
        return await stage.token_later()

    assert asyncio.run(play()) == token


def test_nobody_waits_for_a_refresh() -> None:
    """While a new token is fetched in the background, the old one is given out at once."""

    async def play() -> tuple[str, str, int]:
        stage = Stage()
        await stage.source.token()
        stage.now += 3400
        stage.issuer.opens.clear()
        await stage.source.token()
        await settle()
        meanwhile = await stage.source.token()
        stage.issuer.opens.set()
        await settle()
        return meanwhile, await stage.source.token(), stage.issuer.issued

    assert asyncio.run(play()) == ("token-1", "token-2", 2)


def test_a_short_lived_token_is_not_replaced_at_every_call() -> None:
    """A token that lives for less than the early minutes is not replaced at every call."""

    async def play() -> str:
        stage = Stage()
        stage.issuer.lifetime_s = 60
        await stage.source.token()
        stage.now += 47
        return await stage.token_later()

    assert asyncio.run(play()) == "token-1"


def test_an_ended_token_is_not_used() -> None:
    """A token that has ended is never given out."""

    async def play() -> str:
        stage = Stage()
        await stage.source.token()
        stage.now += 3600
        return await stage.source.token()

    assert asyncio.run(play()) == "token-2"


def test_after_a_failed_refresh_the_old_token_serves_on() -> None:
    """When a refresh fails, the old token serves on, and the issuer is left alone for a while."""

    async def play() -> tuple[str, int, list[tuple[str, Any]]]:
        stage = Stage()
        await stage.source.token()
        stage.now += 3400
        stage.issuer.fails = ServiceRequestError("no route")
        await stage.token_later()
        token = await stage.token_later()
        return token, stage.issuer.issued, stage.log()

    assert asyncio.run(play()) == (
        "token-1",
        2,
        [("token.refreshed", None), ("token.refused", 1.0)],
    )


def test_a_cancelled_waiter_leaves_the_token_to_others() -> None:
    """Who stops waiting does not take the token from the others."""

    async def play() -> tuple[bool, str, int]:
        stage = Stage()
        stage.issuer.opens.clear()
        first, second = (asyncio.create_task(stage.source.token()) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        stage.issuer.opens.set()
        return first.cancelled(), await second, stage.issuer.issued

    assert asyncio.run(play()) == (True, "token-1", 1)


@pytest.mark.parametrize(
    ("error", "chance", "waits"),
    [
        (ServiceRequestError("no route"), 0.0, [1, 1, 1, 1, 1, 1]),
        (ServiceRequestError("no route"), 1.0, [2, 4, 8, 16, 32, 60]),
        (FileNotFoundError("token"), 0.0, [5, 5, 5, 5, 5, 5]),
        (FileNotFoundError("token"), 1.0, [10, 20, 40, 60, 60, 60]),
    ],
)
def test_the_wait_grows_up_to_a_minute(error: Exception, chance: float, waits: list[float]) -> None:
    """The wait grows up to a minute, with full jitter; a lasting error begins slower."""

    async def play() -> list[float]:
        stage = Stage(chance)
        stage.issuer.fails = error
        lasted = []
        for _ in waits:
            lasted.append(await stage.refused())
            stage.now += lasted[-1]
        return lasted

    assert asyncio.run(play()) == waits


def test_nobody_asks_while_it_is_refused() -> None:
    """Before the time has come no request is made and no line is written."""

    async def play() -> tuple[int, int]:
        stage = Stage()
        stage.issuer.fails = ServiceRequestError("no route")
        await stage.refused()
        stage.now += 0.9
        await stage.refused()
        return stage.issuer.issued, len(stage.log())

    assert asyncio.run(play()) == (1, 1)


def test_quiet_minutes_end_the_backoff() -> None:
    """After some minutes without a failure the wait begins small again."""

    async def play() -> list[float]:
        stage = Stage(1.0)
        stage.issuer.fails = ServiceRequestError("no route")
        lasted = []
        for pause_s in (10, 300, 0):
            lasted.append(await stage.refused())
            stage.now += pause_s
        return lasted

    assert asyncio.run(play()) == [2, 4, 2]


def test_all_who_were_refused_get_one_new_token() -> None:
    """All who were refused with one token get one new token, also those who come late."""

    async def play() -> tuple[list[str], str, int]:
        stage = Stage()
        stale = await stage.source.token()
        renewed = await asyncio.gather(*(stage.source.renew(stale) for _ in range(50)))
        return sorted(set(renewed)), await stage.source.renew(stale), stage.issuer.issued

    assert asyncio.run(play()) == (["token-2"], "token-2", 2)


def test_a_renewal_with_the_same_token_says_so() -> None:
    """A renewal that brings back the refused token leaves it, and the hint says that it did."""

    async def play() -> tuple[str, bool, str]:
        stage = Stage()
        stale = await stage.source.token()
        stage.issuer.issued -= 1
        renewed = await stage.source.renew(stale)
        is_renewed = stage.source.is_renewed(renewed)
        return renewed, is_renewed, stage.source.refuse(renewed, "401").refusal.error_code

    assert asyncio.run(play()) == ("token-1", True, "token_not_renewed")


def test_others_go_on_while_a_token_is_renewed() -> None:
    """While another token is fetched for one mailbox, all others have the old one at once."""

    async def play() -> tuple[str, str]:
        stage = Stage()
        stale = await stage.source.token()
        stage.issuer.opens.clear()
        renewal = asyncio.create_task(stage.source.renew(stale))
        await settle()
        meanwhile = await stage.source.token()
        stage.issuer.opens.set()
        return meanwhile, await renewal

    assert asyncio.run(play()) == ("token-1", "token-2")


def test_others_go_on_when_a_renewal_fails() -> None:
    """An authority that gives no other token keeps one mailbox waiting, and nobody else."""

    async def play() -> str:
        stage = Stage()
        stale = await stage.source.token()
        stage.issuer.fails = ServiceRequestError("no route")
        with pytest.raises(TokenUnavailable):
            await stage.source.renew(stale)
        return await stage.source.token()

    assert asyncio.run(play()) == "token-1"


def test_a_token_that_is_taken_after_all() -> None:
    """Where Graph takes a token that it was thought to refuse, the pause ends at once."""

    async def play() -> tuple[str, list[tuple[str, Any]]]:
        stage = Stage(1.0)
        token = await stage.source.token()
        stage.source.refuse(token, "InvalidAuthenticationToken")
        await stage.refused()
        stage.source.accepted("another")
        await stage.refused()
        stage.source.accepted(token)
        return await stage.source.token(), stage.log()

    assert asyncio.run(play()) == (
        "token-1",
        [("token.refreshed", None), ("token.refused", 10.0), ("token.accepted", None)],
    )


def test_when_graph_refuses_new_tokens_all_pause() -> None:
    """When Graph refuses a new token, all pause with one line, and longer each time."""

    async def play() -> list[tuple[str, Any]]:
        stage = Stage(1.0)
        for _ in range(2):
            token = await stage.source.token()
            for _ in range(50):
                refused = stage.source.refuse(token, "InvalidAuthenticationToken")
            await stage.refused()
            stage.now = refused.retry_at
        return stage.log()

    assert asyncio.run(play()) == [
        ("token.refreshed", None),
        ("token.refused", 10.0),
        ("token.refreshed", None),
        ("token.refused", 20.0),
    ]


def test_a_token_counts_as_renewed_for_some_minutes() -> None:
    """A token counts as renewed for some minutes when it replaces one that Graph refused."""

    async def play() -> list[bool]:
        stage = Stage()
        first = await stage.source.token()
        second = await stage.source.renew(first)
        said = [stage.source.is_renewed(each) for each in (first, second)]
        stage.now = stage.source.refuse(second, "InvalidAuthenticationToken").retry_at
        third = await stage.source.token()
        said += [stage.source.is_renewed(third)]
        stage.now += 300
        return [*said, stage.source.is_renewed(third)]

    assert asyncio.run(play()) == [False, True, True, False]


def test_a_first_token_is_not_renewed() -> None:
    """A token that nobody refused before is not renewed."""

    async def play() -> bool:
        stage = Stage()
        return stage.source.is_renewed(await stage.source.token())

    assert asyncio.run(play()) is False


def test_late_news_of_an_old_token_changes_nothing() -> None:
    """A refusal of a token that has been replaced changes nothing: the new one may be tried."""

    async def play() -> tuple[float, str]:
        stage = Stage()
        old = await stage.source.token()
        await stage.source.renew(old)
        late = stage.source.refuse(old, "InvalidAuthenticationToken")
        return late.retry_at - stage.now, await stage.source.token()

    assert asyncio.run(play()) == (0.0, "token-2")


def test_an_ended_token_is_not_given_out_when_none_follows() -> None:
    """When a token has ended and no other can be had, there is none."""

    async def play() -> float:
        stage = Stage()
        await stage.source.token()
        stage.issuer.fails = ServiceRequestError("no route")
        stage.now += 3_601
        return await stage.refused()

    assert asyncio.run(play()) == 1.0


def test_an_answer_that_breaks_its_reader() -> None:
    """Whatever the authority says, a token is missed, and nothing crashes."""

    async def play() -> list[tuple[str, Any]]:
        stage = Stage()
        stage.issuer.fails = AttributeError("'int' object has no attribute 'update'")
        await stage.refused()
        return stage.log()

    assert asyncio.run(play()) == [("token.refused", 1.0)]


def test_a_token_that_is_to_be_refreshed_at_once() -> None:
    """However early a token is to be refreshed, it is not with each call."""

    async def play() -> int:
        stage = Stage()
        stage.issuer.refresh_in_s = 1
        for _ in range(50):
            await stage.token_later()
            stage.now += 1
        return stage.issuer.issued

    assert asyncio.run(play()) == 1


class Choosy(Issuer):
    """An authority that grants no claims."""

    async def get_token_info(
        self, *_scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Issue a token unless claims are asked for."""
        assert options is not None
        self.issued += 1
        if options["claims"] != "{}":
            raise ValueError("these claims are not granted")
        return AccessTokenInfo(f"token-{self.issued}", int(self.clock()) + self.lifetime_s)


def test_claims_that_are_not_granted() -> None:
    """One mailbox's claims that the authority refuses are dropped: all others get a token."""

    async def play() -> tuple[str, str]:
        stage = Stage()
        stage.source._credential = stage.issuer = Choosy(lambda: stage.now)
        stale = await stage.source.token()
        with pytest.raises(TokenUnavailable) as caught:
            await stage.source.renew(stale, '{"access_token": {"nbf": {"value": "1"}}}')
        meanwhile = await stage.source.token()
        stage.now = caught.value.retry_at
        return meanwhile, await stage.source.renew(stale)

    assert asyncio.run(play()) == ("token-1", "token-3")
