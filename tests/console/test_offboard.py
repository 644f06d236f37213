"""`bulkrsvp offboard`: users in the place of a file become the batch that such a file would be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from jobs.ledger import keys
from jobs.ledger.forms.slice import unpack
from jobs.rows.selection import Selection
from worker.commands import main

ADA, BOB = "ada@contoso.com", "bob@contoso.com"
OBJECT_ID = "6f1c0b1e-8a52-4c57-9d0e-2b7f3c1d9a44"
FAR = "2099-01-01T00:00:00Z"

Run = Callable[..., Result]


@pytest.fixture
def run(redis_url: str) -> Run:
    """Give a test the console command, in this process."""
    runner = CliRunner(env={"REDIS_URL": redis_url})

    def invoke(*arguments: str, given: bytes | None = None) -> Result:
        return runner.invoke(main, arguments, input=given)

    return invoke


def batch_of(result: Result) -> str:
    """Return the id of the batch that a dry run in JSON tells of."""
    assert 0 == result.exit_code, result.stderr
    batch: str = json.loads(result.stdout)["batch"]
    return batch


def dry(run: Run, *arguments: str, given: bytes | None = None) -> str:
    """Return the id of the batch that these arguments would make."""
    return batch_of(run("offboard", *arguments, "--dry-run", "--json", given=given))


def file_of(run: Run, folder: Path, *rows: dict[str, Any]) -> str:
    """Return the id of the batch that a file of these rows would be."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return batch_of(run("submit", str(file), "--dry-run", "--json"))


PLAIN: dict[str, Any] = {"events": {}, "action": "decline"}
ALL = [
    *("--from", "2098-12-01T00:00+01:00", "--to", FAR, "--series", "occurrences"),
    *("--organizer", "@contoso.com", "--organizer", "external", "--action", "tentativelyAccept"),
]
SAID: dict[str, Any] = {
    "events": {
        "from": "2098-12-01T00:00+01:00",
        "to": FAR,
        "series": "occurrences",
        "organizer": ["external", "@contoso.com"],
    },
    "action": "tentativelyAccept",
}


def test_options_are_the_fields_of_a_row(run: Run, tmp_path: Path) -> None:
    """The command makes the batch that a file with the same rows is."""
    both = [{"user": user} for user in (ADA, BOB)]
    expected = [
        file_of(run, tmp_path, *(each | PLAIN for each in both)),
        file_of(run, tmp_path, *(each | SAID | {"comment": "Ada has left."} for each in both)),
        file_of(run, tmp_path, *(each | SAID | {"sendResponse": False} for each in both)),
    ]

    assert expected == [
        dry(run, ADA, BOB),
        dry(run, ADA, BOB, *ALL, "--comment", "Ada has left."),
        dry(run, ADA, BOB, *ALL, "--no-send-response"),
    ]


@pytest.mark.parametrize(
    "given",
    [
        b"ada@contoso.com\nbob@contoso.com\n",
        b"# leavers\r\n\r\n  ada@contoso.com \r\nbob@contoso.com",
        b"\xef\xbb\xbfada@contoso.com\nADA@contoso.com\nbob@contoso.com\n \n",
        "ada@contoso.com\nbob@contoso.com\n".encode("utf-16"),
    ],
)
def test_users_are_read_from_standard_input(run: Run, given: bytes) -> None:
    """One a line, without what is blank or a remark, however the file was saved."""
    assert dry(run, ADA, BOB) == dry(run, "-", given=given)
    assert dry(run, ADA, BOB) == dry(run, ADA, "-", given=given)


def test_the_same_user_twice_is_one(run: Run) -> None:
    """Whoever is named twice, in whatever letter case, is offboarded once."""
    told = run("offboard", ADA, BOB, ADA.upper(), ADA, "--dry-run", "--json")

    assert (2, 0) == tuple(json.loads(told.stdout)[key] for key in ("total", "duplicates"))
    assert dry(run, ADA, BOB) == batch_of(told)


def test_a_plan_is_another_batch(run: Run) -> None:
    """After a plan the same users can be offboarded."""
    assert dry(run, ADA) != dry(run, ADA, "--plan")


def test_a_call_is_queued_once(run: Run, redis: Redis) -> None:
    """The same call again finds its batch; the rows of it select, with `now` as it was said."""
    first = run("offboard", ADA, "--at", FAR)
    again = run("offboard", ADA, "--at", FAR, "--json")
    batch = first.stdout.strip()
    rows: Any = redis.hgetall(keys.rows(batch))
    (body,) = rows.values()
    expected = Selection.from_json({"user": ADA, **PLAIN})

    assert (0, 0) == (first.exit_code, again.exit_code), first.stderr + again.stderr
    assert (batch, False) == tuple(json.loads(again.stdout)[key] for key in ("batch", "created"))
    assert [(1, expected)] == unpack(body)
    assert "now" == expected.events.from_


def test_a_batch_can_be_named(run: Run) -> None:
    """The options of a batch are those of a submit."""
    assert "leavers" == dry(run, ADA, "--batch", "leavers")
    refused = run("offboard", ADA, "--batch", "a b", "--dry-run")
    assert (2, True) == (refused.exit_code, "cannot be a batch id" in refused.stderr)


WRONG: dict[str, tuple[list[str], list[str]]] = {
    "users": (
        ["me", ADA, "a\x1b[1mb"],
        ["me: user: an application has no 'me'", "'a\\x1b[1mb': user: 'a\\x1b[1mb' holds a space"],
    ),
    "an option, once": (
        [ADA, BOB, "--from", "soon", "--comment", "x" * 8193],
        ["--from: 'soon' is not an ISO 8601 time", "--comment: has 8193 bytes"],
    ),
    "a window": ([ADA, BOB, "--to", "now"], ["--to: must come after from, which is 20"]),
    "a window that a start makes wrong": (
        [ADA, "--at", FAR, "--to", "2098-01-01T00:00Z"],
        ["--to: must come after from, which is 2099-01-01T00:00:00Z"],
    ),
    "two organizers": (
        [ADA, BOB, "--organizer", "contoso.com", "--organizer", "@"],
        ["--organizer: 'contoso.com' is none of", "--organizer: '@' is none of"],
    ),
    "object ids": (
        [OBJECT_ID, ADA, OBJECT_ID.replace("6", "7"), "--organizer", "internal"],
        [f"{OBJECT_ID}: --organizer: ", f"{OBJECT_ID.replace('6', '7')}: --organizer: "],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_by_user_or_option(run: Run, redis: Redis, kind: str) -> None:
    """Nothing is queued, and each user or option that is wrong is named."""
    arguments, expected = WRONG[kind]
    refused = run("offboard", *arguments)
    *told, last = refused.stderr.splitlines()

    assert (2, "", 0) == (refused.exit_code, refused.stdout, redis.dbsize())
    assert expected == [line[: len(part)] for line, part in zip(told, expected, strict=True)]
    assert last.startswith(f"bulkrsvp: {len(expected)} problem")


@pytest.mark.parametrize(
    ("arguments", "given", "part"),
    [
        (["-"], b"", "standard input names no user"),
        (["-"], b"# nobody\n\n", "standard input names no user"),
        (["-"], b"n\xe9@contoso.com\n", "standard input is not UTF-8"),
        (["-"], b"\xff\xfe\x00\xd8\x0a\x00", "standard input is not UTF-8"),
        ([ADA, "--no-send-response", "--comment", "x"], None, "--no-send-response"),
        ([ADA, "--action", "accept"], None, "'accept' is not one of"),
        ([ADA, "--series", "all"], None, "'all' is not one of"),
    ],
)
def test_wrong_use_is_not_blamed_on_a_user(
    run: Run, arguments: list[str], given: bytes | None, part: str
) -> None:
    """Wrong use is told as such, and not as a fault of a user."""
    refused = run("offboard", *arguments, "--dry-run", given=given)

    assert (2, "", True) == (refused.exit_code, refused.stdout, part in refused.stderr)


def test_a_file_of_this_name_is_no_user(run: Run, tmp_path: Path) -> None:
    """Who gives a file where a user belongs is told that it is none."""
    refused = run("offboard", str(tmp_path / "leavers.txt"), "--dry-run")

    assert 2 == refused.exit_code
    assert "leavers.txt: user: " in refused.stderr
