"""The check before going live: what it says of settings, tokens and mailboxes."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from multidict import CIMultiDict
from redis import Redis

from config.settings import Settings
from jobs.check import Check, CheckVerdict
from tests.support.program import Finished, Program
from tests.support.sandbox_client import SandboxClient
from worker.check.course import judge_settings
from worker.check.mailbox import Visit
from worker.check.token import judge_audience, judge_role
from worker.commands import main
from worker.graph.reply import Reply, read_reply
from worker.identity.claims import Claims, read_claims
from worker.process.embedded import EmbeddedRedis

GLOBAL = "https://graph.microsoft.com"
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ROLE = "Calendars.ReadWrite"


@pytest.fixture
def sound(sandbox: SandboxClient, tmp_path: Path) -> Iterator[Program]:
    """Give a test the console command with a Redis that is as it should be."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield Program({**sandbox.environment, "REDIS_URL": server.url}, tmp_path)


def told(finished: Finished, verdict: str) -> dict[str, str]:
    """Return what has a verdict, by name and subject: what was seen, and the hint."""
    return {
        f"{each['name']} {each.get('subject', '')}".strip(): f"{each['seen']}; {each.get('hint')}"
        for each in finished.json["checks"]
        if each["verdict"] == verdict
    }


def test_the_check_passes_where_all_is_well(sound: Program, sandbox: SandboxClient) -> None:
    """Where all is well everything passes; Graph is only read, and nothing is written or shown."""
    arguments = ("check", "Ada@contoso.com", "ada@contoso.com", "--expect-denied", "denied@c.com")
    found = sound(*arguments, "--json")

    assert (0, True, "") == (found.code, found.json["ok"], found.err)
    names = [each["name"] for each in found.json["checks"]]
    assert ["settings", "redis", "redis.version", "redis.layout", "redis.eviction"] == names[:5]
    assert ["redis.persistence", "redis.commands", "token", "token.audience"] == names[5:9]
    assert ["token.role", "mailbox", "denied"] == names[9:]
    assert {"ok"} == {each["verdict"] for each in found.json["checks"]}
    query = "/calendar/events?$top=1&$select=id"
    assert [("GET", query)] * 2 == [
        (entry.method, entry.path.partition("contoso.com")[2] or entry.path.partition("c.com")[2])
        for entry in sandbox.journal()
    ]
    with Redis.from_url(sound.environment["REDIS_URL"]) as redis:
        assert 0 == redis.dbsize()
    assert sound.environment["AZURE_CLIENT_SECRET"] not in found.out
    assert "eyJ" not in found.out  # as every JSON web token begins


def test_mailboxes_that_are_refused(sound: Program, sandbox: SandboxClient) -> None:
    """Each refusal has its line and its hint; what can be read is not denied; the exit is 3."""
    sandbox.faults([{"user": "eve@*", "status": 503}, {"user": "lost@*", "effect": "reset"}])
    users = ["a", "unknown", "nobody", "unlicensed", "undiscovered", "denied", "forbidden", "busy"]
    expected = ["denied", "b", "unknown"]
    given = [f"{user}@c.com" for user in [*users, "eve", "lost"]]
    denials = [part for user in expected for part in ("--expect-denied", f"{user}@c.com")]
    found = sound("check", *given, *denials)

    lines = found.out.splitlines()[10:]
    assert 3 == found.code
    for verdict, name, subject, seen, hint in (
        ("ok", "mailbox", "a", "can be read", ""),
        ("failed", "mailbox", "unknown", "404 ErrorInvalidUser", "no such user"),
        ("failed", "mailbox", "nobody", "404 Request_ResourceNotFound", "no such user"),
        ("failed", "mailbox", "unlicensed", "404 MailboxNotEnabledForRESTAPI", "licence"),
        ("failed", "mailbox", "undiscovered", "404 ResourceNotFound", "licence"),
        ("failed", "mailbox", "denied", "403 ErrorAccessDenied", "access policy, or the scope"),
        ("failed", "mailbox", "forbidden", "403 ErrorAccessDenied", "but not this one"),
        ("failed", "mailbox", "busy", "429 ApplicationThrottled", "again in some minutes"),
        ("failed", "mailbox", "eve", "503", "run the check again"),
        ("failed", "mailbox", "lost", "no reply (reset)", "check the network"),
        ("ok", "denied", "denied", "403 ErrorAccessDenied", ""),
        ("failed", "denied", "b", "can be read", "grants are a union"),
        ("failed", "denied", "unknown", "404 ErrorInvalidUser", "only a mailbox that exists"),
    ):
        line = lines.pop(0)
        assert [verdict, name, f"{subject}@c.com:"] == line.split()[:3]
        assert seen in line
        assert not hint or hint in lines.pop(0)
    assert [] == lines


def test_a_role_may_be_missing_only_where_a_mailbox_can_be_read(
    sound: Program, sandbox: SandboxClient
) -> None:
    """A role may be missing where a mailbox can be read, and only there; an audience must fit."""
    sandbox.options(token_roles=[])
    scoped = sound("check", "ada@contoso.com", "--expect-denied", "denied@c.com", "--json")
    nowhere = sound("check", "forbidden@contoso.com", "--json")
    sandbox.options(token_roles=[ROLE], token_audience="https://graph.microsoft.us")
    foreign = sound("check", "ada@contoso.com", "--json")

    assert (0, {}) == (scoped.code, told(scoped, "failed"))
    assert "RBAC" in told(scoped, "ok")["token.role"]
    failed = told(nowhere, "failed")
    assert ["token.role", "mailbox forbidden@contoso.com"] == list(failed)
    assert "name a USER whom it lets in" in failed["token.role"]
    assert ["token.audience", "mailbox ada@contoso.com"] == list(told(foreign, "failed"))
    assert "cloud usgov" in told(foreign, "failed")["token.audience"]
    assert "another cloud" in told(foreign, "failed")["mailbox ada@contoso.com"]


def test_it_goes_on_as_far_as_it_can(sound: Program, sandbox: SandboxClient) -> None:
    """What fails keeps only that from being checked which rests on it."""
    sandbox.options(token_refusal=7000222)
    arguments = ("check", "ada@contoso.com", "--json")
    expired = sound(*arguments, REDIS_URL="redis://:sesame@127.0.0.1:1/0")
    wrong = sound(*arguments, BULKRSVP_CLOUD="mars", BULKRSVP_FOO="1", BULKRSVP_MAX_CALLS="no")

    assert (3, 3, False) == (expired.code, wrong.code, wrong.json["ok"])
    assert ["redis", "token"] == list(told(expired, "failed"))
    assert "secret has expired" in told(expired, "failed")["token"]
    assert "sesame" not in expired.out
    rest = ["token.audience", "token.role", "mailbox ada@contoso.com"]
    assert rest == list(told(expired, "not checked"))[-3:]
    variables = ["BULKRSVP_FOO", "BULKRSVP_CLOUD", "BULKRSVP_MAX_CALLS"]
    assert [f"settings {name}" for name in variables] == list(told(wrong, "failed"))
    assert ["redis", "token", *rest] == [
        *[name for name in told(wrong, "ok") if name == "redis"],
        *told(wrong, "not checked"),
    ]


def test_a_settle_time_that_is_too_short(sound: Program) -> None:
    """It is a warning where Graph is on this machine, and elsewhere check and worker refuse it."""
    local = sound("check", "--json", BULKRSVP_SETTLE_S="2")
    shown = sound("check", BULKRSVP_SETTLE_S="2")
    elsewhere = {"BULKRSVP_SETTLE_S": "2", "BULKRSVP_GRAPH_URL": "https://graph.invalid"}
    found = sound("check", "--json", **elsewhere)
    worker, asking = sound("worker", **elsewhere), sound("status", **elsewhere)

    subject = "settings BULKRSVP_SETTLE_S"
    assert (0, True, {}) == (local.code, local.json["ok"], told(local, "failed"))
    assert [subject] == list(told(local, "warning"))
    assert ["warning", "settings", "BULKRSVP_SETTLE_S:"] == shown.out.splitlines()[1].split()[:3]
    assert (3, [subject], {}) == (found.code, list(told(found, "failed")), told(found, "warning"))
    assert (3, 0) == (worker.code, asking.code)
    assert "BULKRSVP_SETTLE_S: is 2 s, shorter than BULKRSVP_CALL_TIMEOUT_S (60 s)" in worker.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["me"], "an application has no 'me'"),
        (["a@b.c", "--expect-denied", "a b"], "holds a space"),
        (["--worker", "a@b.c"], "leave the users out"),
    ],
)
def test_users_that_no_row_could_have_are_wrong_usage(arguments: list[str], said: str) -> None:
    """A user that no row could have, and users where none is asked for, are wrong usage."""
    found = CliRunner().invoke(main, ["check", *arguments])

    assert 2 == found.exit_code
    assert said in found.output


CREDENTIAL = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "hidden"}


@pytest.mark.parametrize(
    ("environment", "subject"),
    [
        ({}, None),
        ({"BULKRSVP_CLOUD": "dod"}, None),
        ({"BULKRSVP_GRAPH_URL": "https://proxy.contoso.com/graph"}, None),
        ({"BULKRSVP_GRAPH_URL": "https://graph.microsoft.us"}, "BULKRSVP_GRAPH_URL"),
        ({"BULKRSVP_CLOUD": "dod", "BULKRSVP_GRAPH_URL": GLOBAL}, "BULKRSVP_GRAPH_URL"),
        ({"AZURE_AUTHORITY_HOST": "login.chinacloudapi.cn"}, "AZURE_AUTHORITY_HOST"),
        ({"BULKRSVP_CLOUD": "usgov", "AZURE_AUTHORITY_HOST": "login.microsoftonline.us"}, None),
    ],
)
def test_an_address_of_another_cloud_is_named(
    environment: dict[str, str], subject: str | None
) -> None:
    """An address of another cloud is told by its variable; one of no cloud is left in peace."""
    settings, wrong = Settings.survey({**CREDENTIAL, **environment}, for_calls=True)
    (found,) = judge_settings(settings, wrong)

    assert subject == found.subject
    assert (CheckVerdict.FAILED if subject else CheckVerdict.OK) is found.verdict
    assert "hidden" not in found.seen


def token_with(claims: Any) -> str:
    """Make a token that says this."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "e30.bm8.c2ln", "e30.W10.c2ln", "..", "e30.\u00e9.c2ln", "e30.YQ"],
)
def test_tokens_that_cannot_be_read(token: str) -> None:
    """A token that is no JSON web token is not visible, which is no failure."""
    claims = read_claims(token)

    assert claims is None
    assert CheckVerdict.NOT_CHECKED is judge_role(claims, mailbox_read=False).verdict
    assert CheckVerdict.NOT_CHECKED is judge_audience(claims, f"{GLOBAL}/.default").verdict


def test_what_is_read_of_a_token() -> None:
    """Claims are read as they are meant; what is of another kind is left out, and is printable."""
    good = {"aud": GLOBAL, "tid": "t", "appid": "a", "roles": [ROLE, 7], "exp": 1_800_000_000}
    odd = {"aud": ["x"], "tid": "\x1b[31m", "azp": "v2", "roles": "Calendars", "exp": "soon"}

    assert Claims(GLOBAL, "t", "a", [ROLE], 1_800_000_000) == read_claims(token_with(good))
    assert Claims(None, "\\x1b[31m", "v2", [], None) == read_claims(token_with(odd))


@pytest.mark.parametrize(
    ("roles", "mailbox_read", "verdict"),
    [
        ([ROLE, "Mail.Send"], False, "ok"),
        (["Mail.Send"], True, "ok"),
        (["Mail.Send"], False, "failed"),
        (["Calendars.Read"], True, "failed"),
    ],
)
def test_another_way_of_reading_is_no_proof(
    roles: list[str],
    mailbox_read: bool,  # noqa: FBT001  # a case
    verdict: str,
) -> None:
    """Another way of reading calendars makes a mailbox that can be read no proof."""
    claims = Claims(GLOBAL, None, None, roles, None)
    found = judge_role(claims, mailbox_read=mailbox_read)

    assert verdict == found.verdict
    assert ", ".join(roles) in found.seen


@pytest.mark.parametrize(
    ("audience", "verdict", "hint"),
    [
        (GLOBAL, "ok", None),
        (f"{GLOBAL}/", "ok", None),
        ("00000003-0000-0000-c000-000000000000", "ok", None),
        ("https://dod-graph.microsoft.us", "failed", "cloud dod"),
        ("https://vault.azure.net", "failed", "BULKRSVP_CLOUD"),
    ],
)
def test_a_token_for_this_clouds_graph_passes(
    audience: str, verdict: str, hint: str | None
) -> None:
    """A token for Graph of this cloud passes, however that is spelt."""
    claims = Claims(audience, None, None, [], None)
    found: Check = judge_audience(claims, f"{GLOBAL}/.default")

    assert verdict == found.verdict
    assert (found.hint is None) if hint is None else hint in (found.hint or "")


def reply(status: int, body: Any) -> Reply:
    """Make a reply with this body."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return read_reply(status, CIMultiDict(), content, arrived_at=NOW, duration_ms=1.0)


def error(code: str, message: str = "") -> dict[str, Any]:
    """Make a body as Graph refuses with."""
    return {"error": {"code": code, "message": message}}


WITH_ROLE = Claims(GLOBAL, None, None, [ROLE], None)
WITHOUT = Claims(GLOBAL, None, None, [], None)


@pytest.mark.parametrize(
    ("told", "claims", "hint"),
    [
        (reply(200, b"<html>welcome</html>"), WITH_ROLE, "is not Graph"),
        (reply(302, b""), WITH_ROLE, "is not Graph"),
        (reply(403, b"<html>blocked</html>"), WITH_ROLE, "is not Graph"),
        (reply(404, b""), WITH_ROLE, "is not Graph"),
        (reply(500, b""), WITH_ROLE, "run the check again"),
        (reply(401, error("InvalidAuthenticationToken", "x")), WITH_ROLE, "refuses new tokens"),
        (reply(403, error("Authorization_RequestDenied")), WITHOUT, "see token.role"),
        (reply(403, error("ErrorAccessDenied", "[RAOP] : Blocked")), WITHOUT, "leaves this"),
        (reply(404, error("ErrorItemNotFound")), WITH_ROLE, "no access"),
        (reply(400, error("Strange\x1b")), WITH_ROLE, "look up the code"),
    ],
)
def test_a_failed_mailbox_has_a_hint_of_its_own(told: Reply, claims: Claims, hint: str) -> None:
    """A reply that is no success fails a mailbox with a hint of its own, and is printable."""
    visit = Visit("a@b.c", told, claims)

    assert CheckVerdict.FAILED is visit.judge().verdict
    assert hint in (visit.judge().hint or "")
    assert visit.judge().seen.isprintable()


def test_only_graph_itself_denies() -> None:
    """A refusal without Graph's code, as of a proxy, does not show that Graph denies access."""
    blocked = Visit("a@b.c", reply(403, b"blocked"), WITH_ROLE)
    denied = Visit("a@b.c", reply(403, error("ErrorAccessDenied")), WITH_ROLE)

    assert CheckVerdict.FAILED is blocked.judge_denied().verdict
    assert CheckVerdict.OK is denied.judge_denied().verdict


def test_access_without_a_role_is_not_blamed_on_consent() -> None:
    """Where the token holds no role, it is not the tenant's consent that reaches too far."""
    reached = Visit("a@b.c", reply(200, {"value": []}), WITHOUT).judge_denied()

    assert CheckVerdict.FAILED is reached.verdict
    assert "not by a role of its token" in (reached.hint or "")
