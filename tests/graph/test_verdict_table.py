"""The table of verdicts beside the code."""

from tests.support import ROOT
from tests.support.docs.verdict_table import lines


def test_the_table_is_what_the_code_says() -> None:
    """`tests/graph/verdicts.txt` is what `python tests/support/docs/verdict_table.py` prints."""
    assert (ROOT / "tests" / "graph" / "verdicts.txt").read_text().splitlines() == list(lines())
