"""
Compares three records of one run: what Graph took, what the ledger says, what the logs say.

Each invariant yields what violates it; `violations` is all of them. Nothing here knows how the run
came about: `tests/support/chaos/scenario.py` brings the records together.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import orjson

from jobs.ledger.forms.entries import Number
from jobs.outcome import Outcome
from jobs.record import Record, State
from worker.sandbox import Entry

MAILBOX_CONCURRENCY: Final = 4
TOKEN_BEGINS: Final = "eyJ"
UNSENT: Final = frozenset({"already", "cancelled", "expired", "failed", "planned", "skipped"})
ONCE: Final = frozenset({("sent", "accepted"), ("sent", "verified"), ("sent", "inferred")})
"""Ends of what was taken; in an ordeal nobody removes an event but the decline itself."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Log:
    """All that one worker wrote; `killed` if it was not left the time to end."""

    lines: Sequence[Mapping[str, Any]]
    text: bytes
    killed: bool = False

    def has(self, event: str) -> bool:
        """Whether a line of this event stands in it."""
        return any(line["event"] == event for line in self.lines)

    @classmethod
    def read(cls, out: bytes, err: bytes, *, killed: bool) -> "Log":
        """Read what a worker wrote; only a killed one may have been cut off inside a line."""
        whole, _, rest = out.rpartition(b"\n")
        if rest and not killed:
            raise ValueError(f"the log ends inside a line: {rest!r}")
        return cls([orjson.loads(line) for line in whole.splitlines()], out + err, killed)


@dataclass(frozen=True, kw_only=True)
class Records:
    """
    What three witnesses say of one batch.

    `rows` are the user and event that each row was submitted with. `results` are the lines of
    `results --format jsonl`, `status` is what `status --json` prints, `records` are the ledger's
    own; `marks` are the client request ids that it was ever seen to hold, `leftovers` names what
    is still active, released or unlogged (a job of a slice that is done does nothing).
    `canaries` stand in no log.
    """

    batch: str
    rows: Mapping[Number, Key]
    results: Sequence[Mapping[str, Any]]
    status: Mapping[str, Any]
    records: Mapping[Number, Record]
    marks: frozenset[str]
    leftovers: Sequence[str]
    journal: Sequence[Entry]
    logs: Sequence[Log]
    canaries: Sequence[str] = field(default=())

    @cached_property
    def interrupted(self) -> bool:
        """Whether others took a worker's work over: then what it had not noted is said twice."""
        return any(log.killed or log.has("worker.lease_lost") for log in self.logs)

    @cached_property
    def posts(self) -> list[Entry]:
        """The calls that wanted to change a calendar."""
        return [entry for entry in self.journal if entry.action is not None]

    @cached_property
    def taken(self) -> Counter[Key]:
        """How often each answer was taken: so many mails the organizer got."""
        return _taken(self.journal)

    @cached_property
    def calls(self) -> dict[str, list[Mapping[str, Any]]]:
        """The lines of each call, by its client request id."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for line in self.lines("call.finished"):
            found.setdefault(line["client_request_id"], []).append(line)
        return found

    @cached_property
    def settled(self) -> dict[int, list[Mapping[str, Any]]]:
        """The lines of each response's end, by its row."""
        found: dict[int, list[Mapping[str, Any]]] = {}
        for line in self.lines("response.settled"):
            found.setdefault(line["row"], []).append(line)
        return found

    @property
    def outcomes(self) -> Counter[str]:
        """How the responses ended, by the results."""
        return Counter(result["outcome"] for result in self.results)

    def lines(self, event: str) -> Iterator[Mapping[str, Any]]:
        """Yield this batch's lines of one event, from all logs."""
        for log in self.logs:
            for line in log.lines:
                if line["event"] == event and line.get("batch") == self.batch:
                    yield line

    def key(self, row: Number) -> Key:
        """Name a row as Graph does."""
        user, event = self.rows[row]
        return user.casefold(), event


def violations(records: Records) -> list[str]:
    """List all that cannot be true of a run that kept its promise; empty if it did."""
    return [found for invariant in INVARIANTS for found in invariant(records)]


def each_row_has_one_outcome(records: Records) -> Iterator[str]:
    """Every submitted row stands in the results once, and has ended."""
    times = Counter(result["row"] for result in records.results)
    for row in records.rows.keys() | times.keys():
        if times[row] != (row in records.rows):
            yield f"row {row} stands in the results {times[row]} times"
    for result in records.results:
        if result["outcome"] is None:
            yield f"row {result['row']} has no outcome"


def results_are_the_records(records: Records) -> Iterator[str]:
    """Hold the results to what Redis has, and has as settled."""
    for result in records.results:
        record = records.records.get(result["row"])
        if record is None or record.state is not State.SETTLED or record.ending is None:
            yield f"row {result['row']} is not settled in Redis"
        elif record.ending.outcome.value != result["outcome"]:
            yield f"row {result['row']} ended twice: {result['outcome']}, {record.ending.outcome}"


def each_end_is_logged(records: Records) -> Iterator[str]:
    """Every row has a line that tells its outcome, none that tells another, one if nobody died."""
    for result in records.results:
        lines = records.settled.get(result["row"], [])
        told = {(line["outcome"], line["reason"]) for line in lines}
        if told != {(result["outcome"], result["reason"])}:
            said = sorted(map(str, told))
            yield f"row {result['row']} is {result['outcome']}, and logged as {said}"
        elif len(lines) > 1 and not records.interrupted:
            yield f"row {result['row']} is logged as settled {len(lines)} times"


def nothing_is_taken_twice(records: Records) -> Iterator[str]:
    """No organizer is told an answer more than once."""
    yield from taken_twice(records.journal)


def taken_twice(journal: Iterable[Entry]) -> Iterator[str]:
    """Say what Graph took more than once, whatever the ledger has become."""
    for key, times in _taken(journal).items():
        if times > 1:
            yield f"taken {times} times: {key}"


def _taken(journal: Iterable[Entry]) -> Counter[Key]:
    return Counter((entry.mailbox, entry.event or "") for entry in journal if entry.taken)


def outcomes_are_true(records: Records) -> Iterator[str]:
    """Hold what is said to be sent to one answer taken, and what is said not to be to none."""
    for result in records.results:
        if result["row"] not in records.rows:
            continue
        times, end = records.taken[records.key(result["row"])], result["outcome"]
        if times and end in UNSENT:
            yield f"row {result['row']} is {end}, and was taken"
        if times != 1 and (end, result["reason"]) in ONCE:
            yield f"row {result['row']} is sent/{result['reason']}, and was taken {times} times"


def nobody_else_is_answered(records: Records) -> Iterator[str]:
    """Graph was asked to change nothing but what was submitted."""
    wanted = {records.key(row) for row in records.rows}
    for post in records.posts:
        if (post.mailbox, post.event) not in wanted:
            yield f"nobody asked for {post.path}"


def each_post_is_marked(records: Records) -> Iterator[str]:
    """No call that sends exists without a mark: the ledger or a log knows its id."""
    for post in records.posts:
        known = post.client_request_id in records.marks or post.client_request_id in records.calls
        if not known:
            yield f"no mark for {post.path} ({post.client_request_id})"


def each_post_is_logged(records: Records) -> Iterator[str]:
    """Every call that sends has a line; a second one only from whoever found its mark."""
    for post in records.posts:
        lines = records.calls.get(post.client_request_id or "", [])
        if not lines:
            yield f"no line for {post.path} ({post.client_request_id})"
        found = [line for line in lines if line["error_code"] == "worker_lost"]
        if len(lines) - len(found) > 1 or (len(lines) > 1 and not records.interrupted):
            yield f"{len(lines)} lines for {post.path} ({post.client_request_id})"


def logged_calls_were_made(records: Records) -> Iterator[str]:
    """Find a call for each line with a status, and an id of its own for each call."""
    times = Counter(entry.client_request_id for entry in records.journal)
    for call, lines in records.calls.items():
        if times[call] == 0 and any(line["status"] is not None for line in lines):
            yield f"a line for a call that was not made ({call})"
    for guid, received in times.items():
        if received > 1:
            yield f"{received} calls under one id ({guid})"


def never_too_many_in_flight(records: Records) -> Iterator[str]:
    """No mailbox has more calls in flight than Graph allows."""
    for entry in records.journal:
        if entry.in_flight > MAILBOX_CONCURRENCY:
            yield f"{entry.in_flight} in flight: {entry.method} {entry.path}"


def never_early(records: Records) -> Iterator[str]:
    """
    No mailbox is called inside a Retry-After that a worker has read.

    The sandbox marks what comes too early; what had begun before the wait was read was on its way,
    and on a busy machine that takes longer than the sandbox's grace.
    """
    waits: dict[str, list[tuple[float, float]]] = {}
    for line in records.lines("call.finished"):
        if line["retry_after_s"]:
            read, mailbox = _logged_at(line), line["user"].casefold()
            waits.setdefault(mailbox, []).append((read, read + line["retry_after_s"]))
    for entry in records.journal:
        begun = _begun_at(records, entry) if entry.early else None
        if begun and any(read < begun < end for read, end in waits.get(entry.mailbox, [])):
            yield f"early: {entry.method} {entry.path}"


def _begun_at(records: Records, entry: Entry) -> float | None:
    """Return when a call began, by its own worker's line, if that could still write it."""
    for line in records.calls.get(entry.client_request_id or "", []):
        if line["duration_ms"] is not None:
            return _logged_at(line) - float(line["duration_ms"]) / 1000
    return None


def _logged_at(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def nothing_is_betrayed(records: Records) -> Iterator[str]:
    """No comment, secret or token stands in a log."""
    for canary in (*records.canaries, TOKEN_BEGINS):
        for log in records.logs:
            if canary.encode() in log.text:
                yield f"in a log: {canary}"


def nothing_is_left_open(records: Records) -> Iterator[str]:
    """Find the batch finished, and no part of it waiting for anything."""
    if records.status["open"] or not records.status["finishedAt"]:
        yield f"not finished, and {records.status['open']} open"
    for leftover in records.leftovers:
        yield f"left over: {leftover}"


def counts_agree(records: Records) -> Iterator[str]:
    """Count the same in the batch's last line, its status and its results."""
    counted = {end.value: records.outcomes[end.value] for end in Outcome}
    shown = {end.value: records.status["outcomes"].get(end.value, 0) for end in Outcome}
    if shown != counted:
        yield f"status counts {shown}, results {counted}"
    lines = list(records.lines("batch.finished"))
    for line in lines:
        if {name: line[name] for name in counted} != counted or line["total"] != len(records.rows):
            yield f"batch.finished does not count what the results do: {dict(line)}"
    if not lines or (len(lines) > 1 and not records.interrupted):
        yield f"{len(lines)} lines of batch.finished"


INVARIANTS: Final[Iterable[Callable[[Records], Iterator[str]]]] = (
    each_row_has_one_outcome,
    results_are_the_records,
    each_end_is_logged,
    nothing_is_taken_twice,
    outcomes_are_true,
    nobody_else_is_answered,
    each_post_is_marked,
    each_post_is_logged,
    logged_calls_were_made,
    never_too_many_in_flight,
    never_early,
    nothing_is_betrayed,
    nothing_is_left_open,
    counts_agree,
)
