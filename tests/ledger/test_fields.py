"""The scripts of the ledger and the programs in Python spell the names of fields alike."""

import re
from collections.abc import Iterator
from importlib.resources import files

from jobs.ledger.batches.store import _facts
from jobs.ledger.fields import BatchField, InquiryField, SliceField
from tests.support.small_ledger import order

KINDS = {"batch": BatchField, "slice records": SliceField, "inquiry": InquiryField}

VARIABLES = {
    "batch": {"batch"},
    "slice": {"slice records"},
    "slice.records": {"slice records"},
    "key": {"batch", "slice records"},  # of `doubt`, which is said of both
    "KEYS[i]": {"batch"},
}
"""What is not called KEYS[1] and so on, wherever it stands."""

EVERY_OTHER = {"HSET", "HINCRBY", "HSETNX"}
"""Commands with a value behind each field."""


def spelled() -> dict[str, set[str]]:
    """Return the names that stand in the scripts as they are, by the kind of hash."""
    found = {kind: set[str]() for kind in KINDS}
    for file in (files("jobs.ledger") / "lua").iterdir():
        text = file.read_text()
        for key, name in [*fields_of_commands(text), *fields_elsewhere(text)]:
            for kind in VARIABLES.get(key) or {keys_of(text)[key]}:
                if kind in KINDS:
                    found[kind].add(name)
    return found


def keys_of(text: str) -> dict[str, str]:
    """Return what a script calls its keys, by KEYS[1] and so on."""
    told = re.search(r"^-- KEYS (.*(?:\n--  .*)*)", text, re.MULTILINE)
    assert told is not None
    names = re.findall(r"(\d+)(?:\.\.)? ([a-z ]+)", told[1])
    return {f"KEYS[{number}]": name.strip() for number, name in names}


def fields_of_commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the key and the name of each field that a command of Redis is given as a literal."""
    for call in re.finditer(r"redis\.p?call\(", text):
        command, *arguments = split(text[call.end() :])
        if command.startswith('"H') and len(arguments) > 1:
            key, *rest = arguments
            for each in rest[:: 1 + (command.strip('"') in EVERY_OTHER)]:
                if literal := re.match(r'"([^"]+)"', each):
                    yield key, literal[1]


def fields_elsewhere(text: str) -> Iterator[tuple[str, str]]:
    """Yield those that reach a command by a function or a variable of the scripts."""
    yield from (("batch", name) for name in re.findall(r'\bcount\("([^"]+)"', text))
    yield from (("slice", name) for name in re.findall(r'\bfield = "([^"]+)"', text))
    for names in re.findall(r"\bfields = \{([^}]+)\}", text):
        yield from (("slice", name) for name in re.findall(r'"([^"]+)"', names))


def split(text: str) -> list[str]:
    """Return the arguments of a call, up to the bracket that closes it."""
    depth, arguments = 0, [""]
    for token in re.findall(r'"[^"]*"|.', text, re.DOTALL):
        depth += (token in "([{") - (token in ")]}")
        if depth < 0:
            break
        if depth == 0 and token == ",":
            arguments.append("")
        else:
            arguments[-1] += token
    return [each.strip() for each in arguments]


def names_of(kind: type[BatchField | SliceField | InquiryField]) -> set[str]:
    """Return the names in the list."""
    return {field.decode() for field in kind}


def test_scripts_spell_the_fields_of_the_list_and_no_others() -> None:
    """What Python alone writes is handed to the scripts: the order, and the prefix of suspects."""
    found = spelled()
    ordered = {each.decode() for each in _facts(order(1), 1) if isinstance(each, bytes)}

    assert names_of(BatchField) == found["batch"] | ordered
    assert names_of(SliceField) == found["slice records"] | {"suspect:"}
    assert names_of(InquiryField) == found["inquiry"]
