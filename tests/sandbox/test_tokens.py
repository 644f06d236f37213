"""The simulated Entra ID, and the tokens that the simulated Graph refuses."""

import base64
import json
from typing import Any

import pytest

from tests.support.sandbox_talk import APP, Client, FrozenTime, ask_token, converse
from worker.sandbox import (
    Effect,
    Rule,
    Sandbox,
)


def test_token_says_what_a_client_reads_in_it() -> None:
    """The answer is Entra ID's, and the token a JSON web token for Graph with the role."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        status, granted = await ask_token(sandbox, client.session)
        token = granted.pop("access_token")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert (200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}) == (
            status,
            granted,
        )
        expected = (sandbox.graph_url, ["Calendars.ReadWrite"], APP.tenant_id, APP.client_id)
        assert expected == tuple(claims[name] for name in ("aud", "roles", "tid", "appid"))
        assert claims["exp"] - claims["iat"] == 3599

    converse(talk)


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.mark.parametrize(
    ("changes", "status", "name", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"tenant": "elsewhere"}, 400, "invalid_request", 90002),
        ({"client_id": "unknown"}, 400, "unauthorized_client", 700016),
        ({"client_id": None}, 400, "invalid_request", 900144),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://graph.microsoft.com/User.Read"}, 400, "invalid_scope", 70011),
        ({"scope": "https://vault.azure.net/.default"}, 400, "invalid_resource", 500011),
        (
            {
                "client_secret": None,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": "no.token",
            },
            401,
            "invalid_client",
            50027,
        ),
    ],
)
def test_token_requests_are_refused_in_entra_shape(
    changes: dict[str, Any], status: int, name: str, number: int
) -> None:
    """What is wrong with a token request is said with Entra ID's status, name and number."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        heard, body = await ask_token(sandbox, client.session, **changes)
        assert (status, name, [number]) == (heard, body["error"], body["error_codes"])
        assert body["error_description"].startswith(f"AADSTS{number}: ")
        assert {"trace_id", "correlation_id", "timestamp"} <= body.keys()
        assert [None, number] == [asked.error for asked in sandbox.token_requests]

    converse(talk)


def test_well_formed_assertion_gets_a_token() -> None:
    """A client assertion is taken in the place of a secret."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        part = base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("=")
        assertion: dict[str, Any] = {
            "client_secret": None,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": f"{part}.{part}.c2ln",
        }
        status, _ = await ask_token(sandbox, client.session, **assertion)
        assert 200 == status

    converse(talk)


def test_token_endpoint_fails_as_often_as_asked() -> None:
    """Refusals with a number, and 5xx without one, are counted down."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.set_options(token_refusal=7000222, token_times=1)
        answers = [await ask_token(sandbox, client.session) for _ in range(2)]
        sandbox.set_options(token_refusal=None, token_status=503, token_times=-1)
        answers.append(await ask_token(sandbox, client.session))
        numbers = [body.get("error_codes") for _, body in answers]
        assert [401, 200, 503] == [status for status, _ in answers]
        assert [[7000222], None, [90033]] == numbers
        assert 4 == sandbox.stats().token_requests

    converse(talk)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "Access token is empty."),
        ("a.b.c", "Access token validation failure. Invalid signature."),
    ],
)
def test_graph_refuses_what_is_no_token(token: str, message: str) -> None:
    """A token that was not issued here gets 401 InvalidAuthenticationToken with a challenge."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        client.token = token
        heard = await client.decline("e1")
        assert (401, "InvalidAuthenticationToken", message) == heard.error
        assert "invalid_token" in heard.headers["WWW-Authenticate"]
        assert [False] == [entry.authorized for entry in sandbox.journal]

    converse(talk)


def test_graph_refuses_an_old_token() -> None:
    """A token is refused once its lifetime is over."""
    time = FrozenTime()

    async def talk(_: Sandbox, client: Client) -> None:
        time.now_s += 59.9
        assert (await client.decline("e1")).status == 202
        time.now_s += 0.1
        heard = await client.decline("e2")
        message = "Lifetime validation failed, the token is expired."
        assert (401, "InvalidAuthenticationToken", message) == heard.error

    converse(talk, clock=time.clock, token_lifetime_s=60)


def test_revoked_token_comes_with_a_claims_challenge() -> None:
    """After a revocation Graph asks for a token with claims, and a new token works."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.revoke_tokens()
        heard = await client.decline("e1")
        challenge = heard.headers["WWW-Authenticate"]
        claims = base64.b64decode(challenge.partition('claims="')[2].rstrip('"')).decode()
        _, granted = await ask_token(sandbox, client.session, claims=claims)
        client.token = granted["access_token"]
        assert 401 == heard.status
        assert ["nbf"] == list(json.loads(claims)["access_token"])
        assert [None, claims] == [asked.claims for asked in sandbox.token_requests]
        assert 202 == (await client.decline("e1")).status

    converse(talk)


def test_scripted_401_carries_the_claims_it_is_given() -> None:
    """A rule can refuse a good token, with a challenge of its own."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        sandbox.add_fault(Rule(effect=Effect.UNAUTHORIZED, claims='{"a":1}'))
        heard = await client.decline("e1")
        encoded = base64.b64encode(b'{"a":1}').decode()
        assert 401 == heard.status
        assert heard.headers["WWW-Authenticate"].endswith(f'claims="{encoded}"')
        assert [(True, False)] == [(entry.authorized, entry.taken) for entry in sandbox.journal]

    converse(talk)


def test_discovery_names_the_token_endpoint() -> None:
    """The discovery documents lead to the token endpoint, for the one tenant only."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        root = sandbox.authority_url
        async with client.session.get(f"{root}/common/discovery/instance") as reply:
            instance = await reply.json()
        async with client.session.get(instance["tenant_discovery_endpoint"]) as reply:
            openid = await reply.json()
        async with client.session.get(f"{root}/x/.well-known/openid-configuration") as reply:
            assert 404 == reply.status
        assert f"{root}/{APP.tenant_id}/oauth2/v2.0/token" == openid["token_endpoint"]

    converse(talk)


def test_tokens_for_another_audience_are_refused() -> None:
    """A token with another audience is given and refused; one without a role is let in."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        async def tried(**options: Any) -> tuple[Any, ...]:
            await client.call("PUT", "/sandbox/options", json=options)
            _, granted = await ask_token(sandbox, client.session)
            client.token = granted["access_token"]
            claims = json.loads(base64.urlsafe_b64decode(client.token.split(".")[1] + "=="))
            heard = await client.look("e")
            return claims["aud"], claims.get("roles"), heard.status, str(heard.body)

        foreign = await tried(token_audience="https://graph.microsoft.us")
        roleless = await tried(token_audience="", token_roles=[])
        assert ("https://graph.microsoft.us", ["Calendars.ReadWrite"], 401) == foreign[:3]
        assert "Invalid audience" in foreign[3]
        assert (sandbox.graph_url, None, 200) == roleless[:3]

    converse(talk)
