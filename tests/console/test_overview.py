"""The table of all batches fits where it is shown, and its ids can be copied."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.console.overview import overview
from jobs.ledger.forms.batch import Batch, read_batch
from jobs.outcome import Outcome
from tests.support.program import Program

NOW_MS = 1_796_140_800_000
LONG = "leavers-of-the-oslo-office-2026-11-who-have-to-be-answered-by-friday"[:64]
CONTENT = "5f0c9a31d2e84b67"
IN_NEPAL = "<+0545>-05:45"


def batch(name: str, **outcomes: int) -> Batch:
    """Make a finished batch."""
    counts = {f"outcome:{outcome}".encode(): b"%d" % n for outcome, n in outcomes.items()}
    times = {b"submitted_at_ms": b"%d" % NOW_MS, b"finished_at_ms": b"%d" % NOW_MS}
    return read_batch(name, {b"total": b"%d" % sum(outcomes.values()), **times, **counts})


@contextmanager
def living_in(zone: str) -> Iterator[None]:
    """Have this process show times in a zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("zone", ["UTC0", IN_NEPAL])
@pytest.mark.parametrize("width", [80, 66, 200])
def test_everything_fits(width: int, zone: str) -> None:
    """Long ids and all outcomes of a huge batch fit, and nothing of them is cut."""
    all_outcomes = {outcome.value: 112_500 + n for n, outcome in enumerate(Outcome)}
    with living_in(zone):
        lines = list(overview([batch(LONG, **all_outcomes), batch(CONTENT, sent=3)], NOW_MS, width))

    assert [] == [line for line in lines if len(line) > width]
    words = " ".join(lines).split()
    assert {LONG, CONTENT} <= set(words)
    assert [f"{outcome}={n}" for outcome, n in all_outcomes.items()] == [
        word for word in words if "=112" in word
    ]


def test_a_batch_with_few_outcomes_takes_one_line() -> None:
    """Where ids are short, a batch with few outcomes is one line, its columns under the heads."""
    with living_in(IN_NEPAL):
        lines = list(overview([batch(CONTENT, sent=3, failed=2), batch("oslo", sent=1)], NOW_MS))

    assert [
        "batch             state     submitted (+0545)  total  open  outcomes",
        "5f0c9a31d2e84b67  finished  2026-12-01 21:45       5     0  sent=3 failed=2",
        "oslo              finished  2026-12-01 21:45       1     0  sent=1",
    ] == lines


def test_without_batches_only_the_heads_are_shown() -> None:
    """Without a batch there are the heads of the columns."""
    (line,) = overview([], NOW_MS)
    assert line.startswith("batch  state  submitted (")


def test_people_read_times_in_their_own_zone(program: Program) -> None:
    """People read times in their own zone, which is named; programs read UTC."""
    rows = [{"user": "ada@contoso.com", "event": "e", "action": "decline"}]
    program.submit(rows, "--batch", LONG, "--at", "2026-12-01T16:00:00Z", "--deadline", "1d12h")
    at_home = program("status", LONG, TZ=IN_NEPAL).out
    listed = program("status", TZ=IN_NEPAL).out
    machine = program("status", LONG, "--json", TZ=IN_NEPAL).json

    assert "2026-12-01 21:45 +0545" in at_home
    assert "2026-12-03 09:45 +0545 (in " in at_home
    assert "submitted (+0545)" in listed
    assert "2026-12-01T16:00:00.000Z" == machine["notBefore"]
    assert max(map(len, listed.splitlines())) <= 80
    assert LONG in listed.splitlines()
    assert os.linesep.join(listed.splitlines()) + os.linesep == listed
