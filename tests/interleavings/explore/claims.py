"""What must hold after each step, and in the end; what is wrong is said in words."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jobs.ledger import keys
from jobs.outcome import Outcome, Reason
from tests.interleavings.explore.claims_of_ledger import (
    check_cancels,
    check_care,
    check_counts,
    check_ends,
    check_lives,
    check_marks,
)
from tests.interleavings.explore.words import script_of
from tests.interleavings.model.actors import BROKE, Request
from tests.interleavings.model.calendar import event_of
from tests.interleavings.model.client import Command
from tests.interleavings.model.records import batches, entries, facts, granted, slices
from tests.interleavings.model.state import Move, State

CRASHES: Final = frozenset({"slice.crashed", "response.crashed", "batch.gone", BROKE})
UNSENT: Final = frozenset({Outcome.CANCELLED, Outcome.EXPIRED, Outcome.FAILED, Outcome.SKIPPED})


class Claims:
    """The claims of one exploration; `names` are the scripts' names by their digests."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._names = names

    def after(self, before: State, move: Move) -> tuple[State, str]:
        """Return the state after a move, with what it granted and logged, and what is wrong."""
        after, wrong = move.after, ""
        if after.data is not before.data:
            if new := granted(before.data, after.data):
                after = after._replace(granted=after.granted | new)
            if after.data.identity == before.data.identity:  # else Redis has forgotten
                wrong = self._check_data(before, after, move.commands)
            after = self._opened(after, move.commands)
        after, crash = _hear(after)
        checks = (_check_calls, _check_log)
        wrongs = (wrong, crash, *(check(before, after) for check in checks))
        return after, next(filter(None, wrongs), "")

    def at_end(self, state: State) -> str:
        """Return what is wrong where nobody has anything to do any more."""
        for batch in batches(state.data):
            told = facts(state.data, batch)
            if b"finished_at_ms" not in told:
                return f"batch {batch} never finished"
            counts = {each: int(told.get(f"outcome:{each}".encode(), 0)) for each in Outcome}
            if _finished(batch, counts) not in state.logged:
                return f"the end of batch {batch} was not logged"
            if wrong := check_lives(state.data, batch) or _check_truth(state, batch):
                return wrong
        return ""

    def _check_data(self, before: State, after: State, commands: Iterable[Command]) -> str:
        if wrong := check_counts(after.data) or check_care(after.data):
            return wrong
        scripts = {script_of(command, self._names): command for command in commands}
        if "write" in scripts and (wrong := check_marks(before, after, scripts["write"])):
            return wrong
        reopens = "reopen" in scripts
        return check_ends(before.data, after.data, reopens=reopens) or check_cancels(
            before.data, after.data
        )

    def _opened(self, state: State, commands: Iterable[Command]) -> State:
        """Remember who has opened a slice last."""
        for command in commands:
            if script_of(command, self._names) == "open":
                name = command[5].decode()
                others = {each for each in state.opened if each[0] != name}
                return state._replace(opened=frozenset(others | {(name, state.mover)}))
        return state


def _hear(after: State) -> tuple[State, str]:
    """Return the state with what was logged since, and what ought not to have been."""
    logged, wrong = set(after.logged), ""
    for name, told in after.heard:
        line: dict[str, Any] = dict(told)
        match line["event"]:
            case "response.settled":
                logged.add(_settled(line["row"], line["outcome"]))
            case "batch.finished":
                logged.add(_finished(line["batch"], {each: line[each] for each in Outcome}))
            case event if event in CRASHES:
                wrong = f"{name} logged {event}: {line.get('error', '')}"
    if len(logged) > len(after.logged):
        after = after._replace(logged=frozenset(logged))
    return after._replace(heard=()) if after.heard else after, wrong


def _settled(row: object, outcome: Outcome) -> str:
    return f"row {row}: {outcome}"


def _finished(batch: str, counts: Mapping[Outcome, int]) -> str:
    return f"batch {batch}: " + ", ".join(f"{counts[each]} {each}" for each in Outcome)


def _check_log(before: State, after: State) -> str:
    """Check that what the ledger calls logged was logged."""
    if after.data is before.data and after.logged is before.logged:
        return ""
    for batch in batches(after.data):
        for number, found in slices(after.data, batch):
            waiting = after.data.members(keys.unlogged(batch, number))
            for each in found:
                ending = each.record.ending
                if ending is None or str(each.row).encode() in waiting:
                    continue
                if _settled(each.row, ending.outcome) not in after.logged:
                    return f"the end of row {each.row} was never logged"
    return ""


def _check_calls(before: State, after: State) -> str:
    """Check that nothing is taken twice, and nothing called for without a granted mark."""
    if after.calendar is not before.calendar:
        for event, times in Counter(event for event, _ in after.calendar.taken).items():
            if times > 1:
                return f"Graph took {event} twice"
    for was, now in zip(before.people, after.people, strict=True):
        ops = () if now.node is was.node else now.node.ops
        for request in (op.what for op in ops if isinstance(op.what, Request)):
            marked = request.client_request_id in after.granted
            if request.method == "POST" and not marked:
                return f"{now.name} called for {event_of(request)} without a mark"
    return ""


def _check_truth(state: State, batch: str) -> str:
    """Check that what is called sent was taken, and what is called unsent was not."""
    taken = {event for event, _ in state.calendar.taken}
    for each in entries(state.data, batch):
        ending = each.record.ending
        if ending is None:
            return f"row {each.row} never ended"
        if _settled(each.row, ending.outcome) not in state.logged:
            return f"the end of row {each.row} was never logged"
        if ending.outcome is Outcome.UNCERTAIN or ending.reason is Reason.ATTEMPTS_EXHAUSTED:
            return f"row {each.row} was given up, after fewer faults than there are attempts"
        if ending.outcome is Outcome.SENT and each.event_id not in taken:
            return f"row {each.row} is called sent, and was lost"
        if ending.outcome in UNSENT and each.event_id in taken:
            return f"row {each.row} is called {ending.outcome}, and was taken"
    return ""
