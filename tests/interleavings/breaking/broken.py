"""
The product broken on purpose, each time in one way: what the explorer has to find.

A claim that no broken product breaks would claim nothing. Each is found by a shortest schedule, and
`python -m tests.interleavings` shows it again.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Final
from unittest.mock import patch

import jobs.ledger.script
from tests.interleavings.breaking.patches import (
    Patch,
    believes_failures,
    cancels_unlooked,
    counts_early,
    keeps_apart,
    no_look,
    no_mark,
    no_permission,
    no_settle_time,
    no_takeover,
    retries_all,
    stepping,
)
from tests.interleavings.explore.scenarios import APART, GRAPHS, TWO, WORKERS, Fault, Scenario
from worker.slice.recent_marks import RecentMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A way to break it: `lua` says which text of which script becomes which other one."""

    name: str
    scenario: Scenario
    lua: tuple[tuple[str, str, str], ...] = ()
    python: Patch = nullcontext

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Break the product for the length of a block."""
        text = jobs.ledger.script._text

        def changed(name: str) -> str:
            found = text(name)
            for script, old, new in self.lua:
                if script == name:
                    assert found.count(old) == 1, f"{name}.lua does not have {old!r} any more"
                    found = found.replace(old, new)
            return found

        with ExitStack() as breaking:
            breaking.enter_context(patch.object(jobs.ledger.script, "_text", changed))
            breaking.enter_context(self.python())
            yield


_FAULTS: Final = GRAPHS | WORKERS
_ALONE: Final = Scenario(name="broken", faults=_FAULTS, most=1)
_PAIR: Final = Scenario(name="broken", workers=2, faults=_FAULTS, most=1)
_RETRY: Final = Scenario(
    name="broken",
    acts=("retry",),
    refused=frozenset({"E1"}),
    faults=frozenset({Fault.KILL, Fault.CUT}),
    most=1,
)


_LOSS: Final = Scenario(
    name="broken", faults=frozenset({Fault.REWIND, Fault.UNHEARD}), most=1, rewinds=5
)

_WRITE: Final = "write"
ALL_BROKEN: Final = {
    each.name: each
    for each in (
        Broken(
            name="no-epoch",
            scenario=_PAIR,
            lua=((_WRITE, '(slice.known.epoch ~= slice.epoch and "stale")', "nil"),),
        ),
        Broken(
            name="no-lease",
            scenario=_PAIR,
            lua=((_WRITE, 'redis.call("EXISTS", KEYS[2]) == 0', "false"),),
        ),
        Broken(
            name="no-conflict",
            scenario=_PAIR,
            lua=((_WRITE, "if current ~= expected then", "if false then"),),
        ),
        Broken(
            name="ends-twice",
            scenario=_PAIR,
            lua=(
                (
                    _WRITE,
                    "if current ~= expected then",
                    "if current ~= expected and current ~= record then",
                ),
            ),
        ),
        Broken(
            name="no-pause",
            scenario=replace(_ALONE, acts=("pause",), most=0),
            lua=((_WRITE, '(batch[2] == "1" and "paused")', "nil"),),
        ),
        Broken(
            name="no-cancel",
            scenario=replace(_ALONE, acts=("cancel",), most=0),
            lua=((_WRITE, '(batch[3] == "1" and "cancelled")', "nil"),),
        ),
        Broken(
            name="puts-away-unlogged",
            scenario=replace(_PAIR, faults=frozenset({Fault.CLAIM, Fault.KILL}), most=2),
            lua=(("close", ' or redis.call("SCARD", KEYS[3]) > 0 then', " then"),),
        ),
        Broken(
            name="same-epoch",
            scenario=_PAIR,
            lua=(("open", '"epoch", 1)', '"epoch", 0)'),),
        ),
        Broken(
            name="retry-undoes-cancel",
            scenario=Scenario(
                name="broken",
                slices=APART,
                acts=("cancel", "retry"),
                refused=frozenset({"E1"}),
            ),
            lua=(("reopen", 'if batch[2] == "1" and batch[3] ~= ARGV[4] then', "if false then"),),
        ),
        Broken(
            name="kept-apart",
            scenario=_RETRY,
            python=keeps_apart,
        ),
        Broken(
            name="retry-leaves-expiry",
            scenario=replace(_RETRY, slices=APART, faults=frozenset({Fault.KILL})),
            lua=(
                ("reopen", "local expiring = batch[3] and batch[3] ~= batch[4]", "local expiring"),
            ),
        ),
        Broken(
            name="announces-what-goes-on",
            scenario=replace(_RETRY, most=0),
            lua=(
                (
                    "announce",
                    'if redis.call("HGET", KEYS[1], "finished_at_ms") ~= ARGV[2] then',
                    "if false then",
                ),
            ),
        ),
        Broken(
            name="finds-twice",
            scenario=replace(_PAIR, selects=True),
            lua=(("found", 'return known == ARGV[3] and "ok" or "conflict"', 'known = "again"'),),
        ),
        Broken(name="no-mark", scenario=_ALONE, python=no_mark),
        Broken(name="no-look", scenario=_ALONE, python=stepping(no_look)),
        Broken(
            name="no-settle-time",
            scenario=_ALONE,
            python=stepping(no_settle_time),
        ),
        Broken(
            name="cancels-unlooked",
            scenario=replace(_ALONE, acts=("cancel",), faults=GRAPHS),
            python=stepping(cancels_unlooked),
        ),
        Broken(name="no-takeover", scenario=_ALONE, python=no_takeover),
        Broken(
            name="no-permission",
            scenario=replace(_PAIR, faults=frozenset({Fault.STILL})),
            python=no_permission,
        ),
        Broken(
            name="believes-failures",
            scenario=_ALONE,
            python=believes_failures,
        ),
        Broken(
            name="no-home",
            scenario=replace(_LOSS, slices=APART, faults=frozenset({Fault.REWIND})),
            lua=((_WRITE, "(asks and not gone and moved())", "false"),),
        ),
        Broken(
            name="remembers-nothing",
            scenario=_LOSS,
            python=lambda: patch.object(RecentMarks, "lately", lambda _: []),
        ),
        Broken(
            name="counts-a-try-early",
            scenario=Scenario(
                name="broken", faults=frozenset({Fault.KILL}), most=2, spares=2, poison=True
            ),
            python=counts_early,
        ),
        Broken(
            name="retries-all",
            scenario=replace(_RETRY, slices=TWO),
            python=retries_all,
        ),
    )
}
