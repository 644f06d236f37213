"""The pages say what the code does: no more, no less, and in the same words."""

import contextlib
import io
import re
import shlex
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args, get_origin

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from config.clouds import CloudName
from config.errors import InputError, LedgerUnreachable, SettingsError
from config.settings import DEFAULT_REDIS_URL, PREFIX, VARIABLES, Settings
from jobs.check import Check, CheckName, CheckVerdict
from jobs.console import report
from jobs.console.group import INTERRUPTED
from jobs.console.submitting import UNSUCCESSFUL_EXIT, _as_json
from jobs.draft.spool import SELECTS
from jobs.ledger.batches.pauses import NO_PAUSES
from jobs.ledger.forms.batch import VERSIONS, BatchState, read_batch
from jobs.ledger.forms.entries import Entry
from jobs.operations.results import result
from jobs.operations.status import describe
from jobs.operations.submit import Submitted
from jobs.outcome import REASONS, Outcome, Reason
from jobs.record import Record
from jobs.rows.jsonl import COLUMNS, RESULT_KEYS, RESULTS
from jobs.rows.reading import Format, Row, read_rows
from jobs.rows.response import Response
from jobs.rows.selection import DEFAULT_DAYS, MAX_DAYS, MAX_SUBJECT, Events, Selection, Series
from tests.support import ROOT
from tests.support.docs.pages import Page, Pages
from worker.commands import main
from worker.graph.reply import TransportEnd
from worker.graph.verdict import Verdict

PAGES = Pages.load()
COMMANDS = main.commands
RESPONSE = Response(user="ada@contoso.com", event="AAMk=", action="decline")


def options_of(command: click.Command) -> set[str]:
    """Return the long names of a command's options."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {name for option in options for name in option.opts if name.startswith("--")}


def test_the_table_lists_every_command() -> None:
    """The table lists every command with its arguments, and nothing else."""
    context = click.Context(main)
    usages = {
        " ".join([name, *command.collect_usage_pieces(context)]).replace("[OPTIONS] ", "")
        for name, command in COMMANDS.items()
    }
    listed = PAGES.table("Commands", "command").names("command")
    assert sorted(usage.removesuffix(" [OPTIONS]") for usage in usages) == sorted(listed)


def test_the_table_lists_every_option() -> None:
    """The table lists every option of every command, and nothing else."""
    table = PAGES.table("Commands", "option", "commands")
    listed = sorted(
        (command, option)
        for option, commands in zip(table.names("option"), table.spans("commands"), strict=True)
        for command in commands
    )
    known = {(name, each) for name, command in COMMANDS.items() for each in options_of(command)}
    assert sorted(known) == listed


def test_the_table_says_choices_and_defaults_of_options() -> None:
    """Where an option has choices or a default, the table says them."""
    table = PAGES.table("Commands", "option", "commands", "meaning")
    told: dict[tuple[str, str], str] = {}
    for row, commands in zip(table.rows, table.spans("commands"), strict=True):
        told |= {(command, row[0].strip("`")): row[2] for command in commands}
    for name, command in COMMANDS.items():
        for each in command.params:
            if isinstance(each, click.Option):
                meaning = told[name, each.opts[-1]]
                assert [] == [said for said in expected_of(each) if said not in meaning]


def expected_of(option: click.Option) -> list[str]:
    """Return what the meaning of an option must hold."""
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    if option.name in {"outcomes", "reasons"}:  # these have a table of their own
        choices = ()
    default = [f"default `{option.default}`"] if option.show_default else []
    return [f"`{choice}`" for choice in choices] + default


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_has_an_example(name: str) -> None:
    """Every command has help, with examples that can be pasted and that it can be given."""
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=80)
    examples = re.findall(r"^ +(?:\w.* \| )?bulkrsvp (.+)", shown.output, re.MULTILINE)
    assert 0 == shown.exit_code
    assert {name} == {each.split()[0] for each in examples}
    for each in examples:
        assert_callable(shlex.split(re.split(r" [|<>] ", each)[0]))
    assert [] == [line for line in shown.output.splitlines() if len(line) > 80]


@pytest.mark.parametrize("arguments", PAGES.invocations, ids=" ".join)
def test_every_command_shown_is_valid(arguments: list[str]) -> None:
    """Every call of the console command on the pages is one that it can be given."""
    assert_callable(arguments)


def assert_callable(arguments: list[str]) -> None:
    """Assert that the console command understands these arguments; it is not run."""
    if arguments == ["--version"]:
        return
    name, *rest = arguments
    if rest or not COMMANDS[name].params:  # else the command is only mentioned
        with (
            TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            COMMANDS[name].make_context(name, rest),
        ):
            pass  # a file to write is opened there, and closed


def test_exported_settle_times_are_long_enough() -> None:
    """What a page has a reader export settles no sooner than a call may take."""
    exported = dict(re.findall(r"\b(BULKRSVP_\w+_S)=(\S+)", "".join(PAGES.blocks("console"))))
    assert {"BULKRSVP_CALL_TIMEOUT_S", "BULKRSVP_SETTLE_S"} == set(exported)
    assert Settings.load(exported).short_settle is None


def test_the_table_lists_the_exit_codes() -> None:
    """The table lists the exit codes that there are."""
    errors = {each.exit_code for each in (InputError, SettingsError, LedgerUnreachable)}
    table = PAGES.table("Exit codes", "code")
    expected = errors | {0, UNSUCCESSFUL_EXIT, INTERRUPTED}
    assert sorted(expected) == [int(row[0]) for row in table.rows]


def test_a_fresh_machine_needs_exactly_two_commands() -> None:
    """A fresh machine needs exactly these two, and the checks run the second as it stands."""
    check = (ROOT / ".ci" / "run").read_text()
    (install,) = re.findall(r"^pip install uv==[0-9.]+", check, re.MULTILINE)
    commands = [f"{install} && uv run {each}\n" for each in ("bulkrsvp demo", "pytest")]
    assert commands == Page.load("README.md").blocks("sh")[:2]
    assert commands[1] in check


def test_the_table_lists_every_setting_with_its_default() -> None:
    """The table lists every setting once, with its default."""
    table = PAGES.table("Settings", "variable", "default")
    listed = dict(zip(table.names("variable"), (row[1] for row in table.rows), strict=True))
    assert len(table.rows) == len(listed)
    assert {name: default_of(field) for field, name in VARIABLES.items()} == listed


def default_of(field: str) -> str:
    """Return the default of a setting as the table says it."""
    words = {
        "redis_url": f"`{DEFAULT_REDIS_URL}`",
        "azure_authority_host": "by cloud",
        "graph_url": "by cloud",
        "log_format": "by terminal",
    }
    default = Settings.model_fields[field].default
    if default is None:
        return words.get(field, "none")
    return f"`{default:g}`" if isinstance(default, float | int) else f"`{default}`"


def test_the_table_says_the_choices_of_settings() -> None:
    """Where a setting is one of a few words, its meaning lists them."""
    table = PAGES.table("Settings", "variable", "default", "meaning")
    meanings = dict(zip(table.names("variable"), table.spans("meaning"), strict=True))
    for field, name in VARIABLES.items():
        assert choices_in(Settings.model_fields[field].annotation) <= set(meanings[name])


def choices_in(annotation: Any) -> set[str]:
    """Return the words of a `Literal` or of the clouds, however they are wrapped."""
    if annotation is CloudName:
        return set(CloudName)
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*(choices_in(each) for each in get_args(annotation)))


def test_no_unknown_variable_is_named() -> None:
    """No variable is named anywhere that is none."""
    named = set(re.findall(r"\b(?:BULKRSVP|AZURE|REDIS|SSL)_[A-Z_]*", PAGES.text))
    assert named - {PREFIX} == set(VARIABLES.values())


def test_the_tables_list_the_fields_of_rows() -> None:
    """The tables list the fields of responses and selections, under the names of the file."""
    names = dict.fromkeys([*names_of(Response), *names_of(Selection)])
    assert list(names) == PAGES.table("Rows", "field").names("field")
    events = PAGES.table("Rows that find their events", "in `events`")
    assert names_of(Events) == events.names("in `events`")


def names_of(model: type[BaseModel]) -> list[str]:
    """Return the names of a model's fields in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def test_the_table_says_how_long_a_window_may_be() -> None:
    """The table says how long a window is, and how long it may be."""
    table = PAGES.table("Rows that find their events", "in `events`", "rule")
    rules = dict(zip(table.names("in `events`"), (row[1] for row in table.rows), strict=True))
    assert f"default {DEFAULT_DAYS} days" in rules["to"]
    assert f"at most {MAX_DAYS:,} days" in rules["to"]
    assert f"at most {MAX_SUBJECT} characters" in rules["subject"]
    assert {*Series} <= set(re.findall(r"`(\w+)`", rules["series"]))


def test_the_table_lists_the_columns_of_csv() -> None:
    """The table lists the columns of CSV, and each belongs to a field."""
    table = PAGES.table("Rows", "CSV column", "field")
    fields = PAGES.table("Rows", "field").names("field")
    assert list(COLUMNS) == table.names("CSV column")
    assert set(fields) == set(table.names("field"))


def test_the_list_of_ignored_columns_is_complete() -> None:
    """The list of what is passed over on input is whole."""
    line = next(line for line in PAGES.text.splitlines() if "is ignored on input" in line)
    assert RESULTS == set(re.findall(r"`(\w+)`", line)) - {"results"}


@pytest.mark.parametrize(("language", "format"), [("csv", Format.CSV), ("json", Format.JSONL)])
def test_the_rows_on_the_pages_are_good(language: str, format: Format) -> None:  # noqa: A002  # the option's name
    """The rows that the pages show are good."""
    blocks = PAGES.blocks(language)
    now = datetime(2026, 12, 1, tzinfo=UTC)
    kinds: list[list[bool | None]] = []
    for block in blocks:
        rows = read_rows(io.BufferedReader(io.BytesIO(block.encode())), format=format, now=now)
        kinds.append(
            [row.target.startswith(SELECTS) if isinstance(row, Row) else None for row in rows]
        )
    assert [[False] * 2, [True] * 2] == kinds


def test_the_table_lists_every_outcome_and_reason() -> None:
    """The table lists every outcome with each of its reasons, and nothing else."""
    table = PAGES.table("Outcomes", "outcome", "reason")
    cells = zip(table.names("outcome"), table.spans("reason"), strict=True)
    listed = [(outcome, reasons[0] if reasons else None) for outcome, reasons in cells]
    expected = {(one.value, each.value) for one in Outcome for each in REASONS[one]}
    expected_bare = {(one.value, None) for one in Outcome if not REASONS[one]}

    assert len(listed) == len(set(listed))
    assert expected | expected_bare == set(listed)
    assert set(Reason) == {reason for _, reason in listed if reason}


def test_the_table_lists_the_verdicts() -> None:
    """The table lists the verdicts."""
    assert list(Verdict) == PAGES.table("Verdicts of a call", "verdict").names("verdict")


def test_the_table_lists_our_own_error_codes() -> None:
    """The table lists our own error codes."""
    listed = PAGES.table("Log lines", "error_code").names("error_code")
    assert [*TransportEnd, "worker_lost"] == listed


def test_the_table_lists_what_is_checked() -> None:
    """The table lists what is checked, and the text each verdict."""
    assert list(CheckName) == PAGES.table("Before going live", "check").names("check")
    assert set(CheckVerdict) <= set(PAGES.spans)


def test_the_table_lists_the_states_of_a_batch() -> None:
    """The table lists the states of a batch."""
    assert set(BatchState) == set(PAGES.table("JSON forms", "state").names("state"))


def test_the_table_lists_the_stored_forms() -> None:
    """The table lists the forms of a batch that this program understands."""
    assert sorted(VERSIONS) == [int(row[0]) for row in PAGES.table("Forms", "form").rows]


def test_the_table_lists_the_keys_that_commands_print() -> None:
    """The table lists the keys that the commands print."""
    submit, status, results, check = PAGES.table("JSON forms", "form", "keys").spans("keys")
    submitted = Submitted(batch="b", created=True, total=1, duplicates=0)
    printed = result("b", Entry(1, RESPONSE, Record()))

    assert re.findall(r'"(\w+)":', _as_json(submitted)) == submit
    assert list(describe(read_batch("b", {}), NO_PAUSES)) == status
    failed = Check.failed(CheckName.MAILBOX, "seen", "hint", "subject")
    assert [*report.describe_checks([failed]), *failed.to_json()] == check
    assert list(RESULT_KEYS) == results == [key for key in printed if key in RESULT_KEYS]
