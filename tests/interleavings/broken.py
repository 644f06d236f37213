"""
The product broken on purpose, each time in one way: what the explorer has to find.

A claim that no broken product breaks would claim nothing. Each is found by a shortest schedule, and
`python -m tests.interleavings` shows it again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

import jobs.ledger.script
import worker.alone
import worker.call
import worker.shift
import worker.slice
import worker.verdict
from jobs.ledger import keys
from jobs.ledger.facts import Batch
from jobs.ledger.retries import Retries
from jobs.ledger.slices import Slices
from jobs.ledger.writes import Answer, Kind, Word
from jobs.outcome import Ending, Outcome
from jobs.record import Next, Record, Step, Terms, next_step
from jobs.retry import Choice
from worker.grants import Grants
from worker.reply import Reply
from worker.verdict import Judgement

from .scenarios import APART, GRAPHS, TWO, WORKERS, Fault, Scenario

Patch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """
    A way to break it: `lua` says which text of which script becomes which other one.

    `breaks` are words of the claim that does not hold then.
    """

    name: str
    breaks: str
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


def _no_mark() -> AbstractContextManager[object]:
    write = Slices.write

    async def unmarked(self: Slices, part: Any, kind: Kind, entry: Any, record: Any) -> Answer:
        if kind is not Kind.MARK:
            return await write(self, part, kind, entry, record)
        return Answer(Word.OK)

    return patch.object(Slices, "write", unmarked)


def _stepping(following: Callable[[Record, Terms, int], Next]) -> Patch:
    return lambda: patch.object(worker.shift, "next_step", following)


def _no_look(record: Record, terms: Terms, now_ms: int) -> Next:
    return next_step(record._replace(unknown_since_ms=0), terms, now_ms)


def _no_settle_time(record: Record, terms: Terms, now_ms: int) -> Next:
    return next_step(record, replace(terms, settle_ms=0), now_ms)


def _cancels_unlooked(record: Record, terms: Terms, now_ms: int) -> Next:
    if terms.cancelled and record.ending is None:
        return Next(Step.SETTLE, ending=Ending(Outcome.CANCELLED))
    return next_step(record, terms, now_ms)


def _no_takeover() -> AbstractContextManager[object]:
    async def nothing(_: object) -> None:
        pass

    return patch.object(worker.slice, "take_over", nothing)


def _no_permission() -> AbstractContextManager[object]:
    patches = ExitStack()
    for name in ("_permitted", "_timely"):
        patches.enter_context(patch.object(worker.call.Call, name, lambda _: True))
    return patches


def _believes_failures() -> AbstractContextManager[object]:
    judge = worker.verdict.judge

    def credulous(reply: Reply, *told: Any) -> Judgement:
        return worker.verdict.AGAIN if reply.status == 503 else judge(reply, *told)

    return patch.object(worker.call, "judge", credulous)


def _retries_all() -> AbstractContextManager[object]:
    return patch.object(Choice, "has", lambda _, line: line.record.ending is not None)


def _keeps_apart() -> AbstractContextManager[object]:
    async def keep(self: Any, batch_id: str) -> None:
        batch: Batch = await self._batches.get(batch_id)
        names = [keys.batch(batch_id), keys.rows(batch_id)]
        names += [keys.slice_records(batch_id, number) for number in range(batch.slices)]
        for name in names:
            await self._redis.persist(name)
        await self._redis.hset(keys.batch(batch_id), "kept_ms", batch.finished_at_ms)

    return patch.object(Retries, "_keep", keep)


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


def _counts_early() -> AbstractContextManager[object]:
    take = worker.alone._take_noted

    async def early(shift: Any, answer: Any, lane: Any, entry: Any, tries: int) -> None:
        await take(shift, answer, lane, entry, max(tries, 1))

    return patch.object(worker.alone, "_take_noted", early)


_LOSS: Final = Scenario(
    name="broken", faults=frozenset({Fault.REWIND, Fault.UNHEARD}), most=1, rewinds=5
)

_WRITE: Final = "write"
ALL_BROKEN: Final = {
    each.name: each
    for each in (
        Broken(
            name="no-epoch",
            breaks="marked under an old epoch",
            scenario=_PAIR,
            lua=((_WRITE, '(slice.known.epoch ~= slice.epoch and "stale")', "nil"),),
        ),
        Broken(
            name="no-lease",
            breaks="marked under a lost lease",
            scenario=_PAIR,
            lua=((_WRITE, 'redis.call("EXISTS", KEYS[2]) == 0', "false"),),
        ),
        Broken(
            name="no-conflict",
            breaks="counts 2 as done, and 1 are",
            scenario=_PAIR,
            lua=((_WRITE, "if current ~= expected then", "if false then"),),
        ),
        Broken(
            name="ends-twice",
            breaks="counts 2 as done, and 1 are",
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
            breaks="marked in a paused batch",
            scenario=replace(_ALONE, acts=("pause",), most=0),
            lua=((_WRITE, '(batch[2] == "1" and "paused")', "nil"),),
        ),
        Broken(
            name="no-cancel",
            breaks="marked in a cancelled batch",
            scenario=replace(_ALONE, acts=("cancel",), most=0),
            lua=((_WRITE, '(batch[3] == "1" and "cancelled")', "nil"),),
        ),
        Broken(
            name="puts-away-unlogged",
            breaks="is kept for ever",
            scenario=replace(_PAIR, faults=frozenset({Fault.CLAIM, Fault.KILL}), most=2),
            lua=(("close", ' or redis.call("SCARD", KEYS[3]) > 0 then', " then"),),
        ),
        Broken(
            name="same-epoch",
            breaks="marked under an old epoch",
            scenario=_PAIR,
            lua=(("open", '"epoch", 1)', '"epoch", 0)'),),
        ),
        Broken(
            name="retry-undoes-cancel",
            breaks="the cancel of batch b was undone",
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
            breaks="is kept for ever",
            scenario=_RETRY,
            python=_keeps_apart,
        ),
        Broken(
            name="retry-leaves-expiry",
            breaks="goes on, and bulkrsvp:batch:b:slice:1 will expire",
            scenario=replace(_RETRY, slices=APART, faults=frozenset({Fault.KILL})),
            lua=(
                ("reopen", "local expiring = batch[3] and batch[3] ~= batch[4]", "local expiring"),
            ),
        ),
        Broken(
            name="announces-what-goes-on",
            breaks="its end counts as told",
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
            breaks="counts open as 3, and it is 2",
            scenario=replace(_PAIR, selects=True),
            lua=(("found", 'return known == ARGV[3] and "ok" or "conflict"', 'known = "again"'),),
        ),
        Broken(name="no-mark", breaks="without a mark", scenario=_ALONE, python=_no_mark),
        Broken(name="no-look", breaks="took E1 twice", scenario=_ALONE, python=_stepping(_no_look)),
        Broken(
            name="no-settle-time",
            breaks="took E1 twice",
            scenario=_ALONE,
            python=_stepping(_no_settle_time),
        ),
        Broken(
            name="cancels-unlooked",
            breaks="called cancelled, and was taken",
            scenario=replace(_ALONE, acts=("cancel",), faults=GRAPHS),
            python=_stepping(_cancels_unlooked),
        ),
        Broken(name="no-takeover", breaks="took E1 twice", scenario=_ALONE, python=_no_takeover),
        Broken(
            name="no-permission",
            breaks="took E1 twice",
            scenario=replace(_PAIR, faults=frozenset({Fault.STILL})),
            python=_no_permission,
        ),
        Broken(
            name="believes-failures",
            breaks="took E1 twice",
            scenario=_ALONE,
            python=_believes_failures,
        ),
        Broken(
            name="no-home",
            breaks="took E2 twice",
            scenario=replace(_LOSS, slices=APART, faults=frozenset({Fault.REWIND})),
            lua=((_WRITE, "(asks and not gone and moved())", "false"),),
        ),
        Broken(
            name="remembers-nothing",
            breaks="took E1 twice",
            scenario=_LOSS,
            python=lambda: patch.object(Grants, "lately", lambda _: []),
        ),
        Broken(
            name="counts-a-try-early",
            breaks="row 1 was given up",
            scenario=Scenario(
                name="broken", faults=frozenset({Fault.KILL}), most=2, spares=2, poison=True
            ),
            python=_counts_early,
        ),
        Broken(
            name="retries-all",
            breaks="ended well (sent), and was reopened",
            scenario=replace(_RETRY, slices=TWO),
            python=_retries_all,
        ),
    )
}
