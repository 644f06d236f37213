"""The ledger can be used by a program that reads no files of rows."""

import json
import subprocess
import sys

PARSERS = {"jobs.rows.reading", "jobs.rows.jsonl", "jobs.rows.table", "jobs.rows.shortcut"}

LOADED = """
import importlib, json, pkgutil, sys
import jobs.ledger.slices.store
slices = sorted(sys.modules)
import jobs.ledger
for each in pkgutil.walk_packages(jobs.ledger.__path__, "jobs.ledger."):
    importlib.import_module(each.name)
print(json.dumps([slices, sorted(sys.modules)]))
"""


def test_no_module_of_the_ledger_loads_a_parser_of_files() -> None:
    """Neither the worker's side of it nor anything else under it."""
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, check=True)
    slices, whole = (set(names) for names in json.loads(told.stdout))

    assert "jobs.ledger.slices.writes" in slices < whole >= {"jobs.ledger.queue"}
    assert not PARSERS & whole
