"""All orders of events of small batches: what must hold holds, and what is broken is found."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.interleavings.breaking.broken import ALL_BROKEN
from tests.interleavings.explore.explorer import Explorer, Found
from tests.interleavings.explore.scenarios import BATCH, HARD, LONG, SHORT, WIDE, Scenario
from tests.interleavings.model.ledger import Key
from tests.interleavings.model.records import entries
from tests.support.docs.pages import Pages

BOUND = WIDE if os.environ.get("INTERLEAVINGS") == "wide" else LONG
LIMIT_S = 12 * 3600 if BOUND is WIDE else 1800

SLOW = {
    *("no-permission", "kept-apart", "no-home", "cancels-unlooked", "puts-away-unlogged"),
    *("retry-leaves-expiry", "believes-failures", "retries-all"),
}
"""Broken products whose schedules are long: they are looked for with the long bounds."""

Figure = Callable[[str, object], None]


@contextmanager
def exploring(
    url: str, scenario: Scenario, *, merging: bool = True, alike: bool = True
) -> Iterator[Explorer]:
    """Explore a scenario for the length of a block."""
    explorer = Explorer(url, scenario, merging=merging, alike=alike)
    try:
        yield explorer
    finally:
        explorer.close()


def told(found: Found) -> str:
    """Say what does not hold, with the way to it."""
    steps = "\n".join(f"  {each}" for each in found.words)
    return f"{found.broken}\n{steps}\nschedule: {' '.join(found.schedule)}"


def check(url: str, scenario: Scenario) -> str:
    """Explore all of a scenario, in which all must hold; return the figures."""
    with exploring(url, scenario) as explorer:
        found = explorer.explore()
    assert not found.broken, told(found)
    assert found.complete
    assert found.schedules
    return (
        f"{found.states:,} states, {found.steps:,} steps, {found.schedules:,} ends, "
        f"{found.depth} steps deep, {found.took_s:.0f} s"
    )


@pytest.mark.parametrize("name", SHORT)
def test_the_claims_hold(redis_url: str, name: str, record_property: Figure) -> None:
    """Whatever the order of events, nothing is sent twice, lost, stuck, or wrongly counted."""
    record_property("explored", check(redis_url, SHORT[name]))


def test_actors_that_stand_alike_go_on_alike(redis_url: str) -> None:
    """What is worked out once for several ways hides no end that one of them comes to."""
    scenario = replace(SHORT["one"], faults=HARD)
    finals = []
    for merging in (True, False):
        with exploring(redis_url, scenario, merging=merging) as explorer:
            finals.append(explorer.explore().finals)
    assert len(finals[0]) > 10
    assert finals[0] == finals[1]


def test_workers_differ_by_their_names_only(redis_url: str) -> None:
    """Whoever of several workers comes first, the others' schedules are the same under its name."""
    scenario = Scenario(name="pair", workers=2, faults=HARD, most=1, switches=0)
    ways = []
    for alike in (True, False):
        with exploring(redis_url, scenario, alike=alike) as explorer:
            found = explorer.explore()
            ends = {ending_of(explorer, keys) for keys in found.finals}
            ways.append((ends, found.states, len(found.finals)))
    (ends, states, finals), (all_ends, all_states, all_finals) = ways
    assert len(ends) == 3
    assert (ends, 2 * states - 1, 2 * finals) == (all_ends, all_states, all_finals)


def ending_of(explorer: Explorer, keys: tuple[Key, ...]) -> tuple[object, ...]:
    """Return how all responses have ended, without names that were given."""
    return tuple(
        (each.row, each.record.ending, each.record.attempts, each.record.seen, each.record.unclear)
        for each in entries(explorer.ledger.data(keys), BATCH)
    )


@pytest.mark.interleavings
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("name", BOUND)
def test_the_claims_hold_in_more_orders(redis_url: str, name: str, record_property: Figure) -> None:
    """So it is with more workers, responses, faults and administrators."""
    record_property("explored", check(redis_url, BOUND[name]))


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.interleavings] * (each in SLOW)) for each in ALL_BROKEN],
)
def test_what_is_broken_is_found(redis_url: str, name: str, record_property: Figure) -> None:
    """Each broken product is found by a schedule that shows it again, and nothing in the whole."""
    broken = ALL_BROKEN[name]
    with broken.applied(), exploring(redis_url, broken.scenario) as explorer:
        found = explorer.explore()
        words, wrong = explorer.replay(found.schedule)
    with exploring(redis_url, broken.scenario) as whole:
        _, nothing = whole.replay(found.schedule)
    table = Pages.load().table("All orders of events", "broken", "steps", "what is wrong then")
    assert [f"`{name}`", str(len(words)), found.broken] in table.rows
    assert (wrong, words) == (found.broken, found.words)
    assert not nothing
    record_property("found", f"after {len(words)} steps, {found.states:,} states: {wrong}")


def test_the_pages_name_bounds_and_what_is_broken() -> None:
    """The tables have each bound with its faults and switches, and each broken product."""
    pages = Pages.load()
    table = pages.table("All orders of events", "bound", "faults", "switches")
    told = {row[0].strip("`"): row[1:3] for row in table.rows}
    assert told == {
        name: [str(each.most), "any" if each.switches is None else str(each.switches)]
        for name, each in (SHORT | LONG).items()
    }
    broken = pages.table("All orders of events", "broken", "steps")
    assert list(ALL_BROKEN) == broken.names("broken")
