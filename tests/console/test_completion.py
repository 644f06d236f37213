"""What the tab key offers: batches from the ledger, outcomes, reasons; and nothing in the way."""

import os
import subprocess

import click
import pytest
from click.shell_completion import get_completion_class

from jobs.console.completion import offer_batches
from tests.support.docs.pages import Pages
from tests.support.program import COMMAND, Finished, Program
from worker.commands import main
from worker.process.children import child_environment

PAGES = Pages.load().text

AWAY = "redis://127.0.0.1:1/0"


def offered(program: Program, line: str, **settings: str) -> Finished:
    """Press the tab key behind a line, as bash does it."""
    place = str(line.count(" "))
    asked = {"_BULKRSVP_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": place}
    return program(**asked, **settings)


def test_batches_are_offered_by_how_they_begin(program: Program) -> None:
    """Where a batch is wanted, those that begin so are offered, as bash itself asks."""
    rows = [{"user": "ada@contoso.com", "event": "e", "action": "decline"}]
    for name in ("leavers-1", "oslo"):
        program.submit(rows, "--batch", name)
    script = """
        eval "$(_BULKRSVP_COMPLETE=bash_source bulkrsvp)"
        COMP_WORDS=(bulkrsvp results os) COMP_CWORD=2
        _bulkrsvp_completion bulkrsvp
        echo "${COMPREPLY[@]}"
    """
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    environment = child_environment({**program.environment, "PATH": path})
    shell = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert ("oslo\n", "") == (shell.stdout, shell.stderr)


def test_every_batch_is_offered() -> None:
    """No command that wants a batch is forgotten."""
    wanting = {
        name: each
        for name, command in main.commands.items()
        for each in command.params
        if isinstance(each, click.Argument) and each.human_readable_name == "BATCH"
    }
    assert {"status", "results", "retry", "pause", "resume", "cancel", "apply"} <= set(wanting)
    for each in wanting.values():
        assert each._custom_shell_complete is offer_batches


@pytest.mark.parametrize("settings", [{"REDIS_URL": AWAY}, {"REDIS_URL": "nonsense"}])
def test_completion_is_silent_without_a_ledger(program: Program, settings: dict[str, str]) -> None:
    """Without a Redis, or with wrong settings, nothing is offered and nothing is said."""
    assert Finished(0, "\n", "") == offered(program, "bulkrsvp status ", **settings)


@pytest.mark.parametrize(
    ("typed", "begun", "expected"),
    [
        (["retry", "x", "--outcome"], "", ["failed", "expired", "uncertain"]),
        (["retry", "x", "--reason"], "ac", ["accepted", "access_denied"]),
        ([], "re", ["results", "retry", "resume"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_outcomes_and_reasons_are_offered(
    shell: str, typed: list[str], begun: str, expected: list[str]
) -> None:
    """Commands, outcomes and reasons are offered in each shell that the pages name."""
    known = get_completion_class(shell)
    assert known is not None
    found = known(main, {}, "bulkrsvp", "_BULKRSVP_COMPLETE").get_completions(typed, begun)
    assert expected == [each.value for each in found]
    assert f'eval "$(_BULKRSVP_COMPLETE={shell}_source bulkrsvp)"' in PAGES or (
        f"_BULKRSVP_COMPLETE={shell}_source bulkrsvp | source" in PAGES
    )
