"""The table of verdicts beside the code."""

from readme import ROOT
from verdict_table import lines


def test_the_table_is_what_the_code_says() -> None:
    """`tests/verdicts.txt` is what `python tests/verdict_table.py` prints."""
    assert (ROOT / "tests" / "verdicts.txt").read_text().splitlines() == list(lines())
