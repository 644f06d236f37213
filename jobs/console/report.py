"""
What an administrator reads: bars, tables, CSV and JSON. Owner of rich.

Results go to standard output, everything else to standard error; colour and bars only where
there is a terminal.
"""

from collections.abc import Iterable, Sequence
from typing import IO, Any, Final, Self

import orjson
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
)
from rich.table import Table
from rich.text import Text

from jobs.check import Check, CheckName, CheckVerdict
from jobs.console import overview
from jobs.ledger.batches.pauses import Pauses
from jobs.ledger.forms.batch import Batch, BatchState
from jobs.ledger.forms.entries import Entry
from jobs.operations.status import estimated_end_ms, rate_per_s
from jobs.outcome import Outcome
from jobs.quoting import escaped
from jobs.times import now_ms, write_duration, write_local

PIPED_WIDTH: Final = 240
"""Width of a table of results without a terminal: wide enough to cut nothing."""

MAILS_PER_MINUTE: Final = 30
"""What Exchange Online sends from one mailbox; the rest it queues (Exchange Online limits)."""

STYLES: Final = {
    Outcome.SENT: "green",
    Outcome.ALREADY: "green",
    Outcome.SKIPPED: "yellow",
    Outcome.FAILED: "red",
    Outcome.UNCERTAIN: "bold red",
    Outcome.EXPIRED: "red",
    Outcome.CANCELLED: "yellow",
    Outcome.PLANNED: "cyan",
}

CHECK_STYLES: Final = {
    CheckVerdict.OK: "green",
    CheckVerdict.WARNING: "yellow",
    CheckVerdict.FAILED: "bold red",
    CheckVerdict.NOT_CHECKED: "yellow",
}

UNREADABLE_SHOWN: Final = 20

_VERDICT_WIDTH: Final = max(map(len, CheckVerdict)) + 2
_NAME_WIDTH: Final = max(map(len, CheckName)) + 2


def output(file: IO[str] | None = None) -> Console:
    """Return the console of results; without a file it is standard output."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def messages() -> Console:
    """Return the console of messages and progress."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def to_json(value: object) -> str:
    """Write a value as one line of JSON."""
    return orjson.dumps(value).decode()


def show_batch(console: Console, batch: Batch, pauses: Pauses) -> None:
    """Print one batch in full."""
    now = now_ms()
    table = Table.grid(padding=(0, 2))
    _add(table, "batch", batch.id)
    _add(table, "state", batch.state(now).value)
    _add(table, "responses", f"{batch.total} ({batch.open} open)")
    for outcome, count in batch.outcomes.items():
        table.add_row(f"  {outcome.value}", Text(str(count), STYLES[outcome]))
    if count := sum(batch.unreadable.values()):
        why = "" if batch.finished_at_ms else ", so it cannot finish"
        said = f"{count}{why}; see the log, and: bulkrsvp results {batch.id}"
        table.add_row("  unreadable", Text(said, STYLES[Outcome.UNCERTAIN]))
    throttled = f"{pauses.throttled} mailboxes are paused now" if pauses.throttled else "no"
    _add(table, "throttled", throttled)
    if pauses.graph_until_ms and not batch.finished_at_ms:
        _add(table, "graph", f"paused until {_with_distance(pauses.graph_until_ms, now)}")
    _add(table, "submitted", write_local(batch.submitted_at_ms))
    for name, text in _times(batch, pauses, now):
        _add(table, name, text)
    console.print(table)
    if batch.outcomes.get(Outcome.SENT) and batch.total > MAILS_PER_MINUTE:
        console.print(
            f"Exchange sends at most {MAILS_PER_MINUTE} mails a minute from one mailbox and "
            "queues the rest: organizers may hear later than this batch ends.",
            style="dim",
        )


def tell_graph_pause(console: Console, found: Iterable[tuple[Batch, Pauses]]) -> None:
    """Print why nothing moves and what to do, if all calls wait and a batch is under way."""
    moments = [pauses.graph_until_ms for batch, pauses in found if not batch.finished_at_ms]
    if until_ms := next(filter(None, moments), None):
        console.print(
            _plain(
                "Graph throttles the application, so every call of every batch waits until "
                f"{_with_distance(until_ms, now_ms())}; then one call tries whether all may go on. "
                "To continue at once: bulkrsvp resume --graph"
            )
        )


def _add(table: Table, *cells: str) -> None:
    """Add a row of plain text: no markup, and nothing that controls the terminal."""
    table.add_row(*map(_plain, cells))


def _plain(text: str, style: str = "") -> Text:
    return Text(escaped(text), style)


def _times(batch: Batch, pauses: Pauses, now: int) -> Iterable[tuple[str, str]]:
    if batch.state(now) is BatchState.SCHEDULED:
        yield "starts", _with_distance(batch.not_before_ms, now)
    if batch.finished_at_ms:
        took_ms = batch.finished_at_ms - max(batch.submitted_at_ms, batch.not_before_ms)
        yield "finished", f"{write_local(batch.finished_at_ms)} (after {write_duration(took_ms)})"
        return
    yield "deadline", _with_distance(batch.deadline_ms, now)
    if (rate := rate_per_s(batch, now)) and (end := estimated_end_ms(batch, pauses, now)):
        yield "rate", f"{rate} responses a second"
        yield "estimated end", _with_distance(end, now)


def _with_distance(time_ms: int, now: int) -> str:
    distance = f"in {write_duration(time_ms - now)}" if time_ms > now else "passed"
    return f"{write_local(time_ms)} ({distance})"


def show_batches(console: Console, batches: Sequence[Batch]) -> None:
    """Print a table of batches."""
    width = console.width if console.is_terminal else overview.PIPED_WIDTH
    for line in overview.overview(batches, now_ms(), width):
        console.print(_plain(line), no_wrap=True, overflow="ignore", crop=False)


class Bar:
    """A live bar of one batch; draws nothing without a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = _Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            console=console,
            expand=True,  # to the current width of the terminal
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, text: str) -> None:
        """Print a line above the bar, or where it would be."""
        self._progress.console.print(_plain(text))

    def show(self, batch: Batch, pauses: Pauses) -> None:
        """Draw the current state of the batch."""
        if self._task is None:
            self._task = self._progress.add_task(batch.id, total=batch.total)
        self._progress.note = f"{batch.id}: {_note(batch, pauses)}"
        self._progress.update(
            self._task,
            total=batch.total,  # grows while selections find
            completed=batch.total - batch.open,
        )
        self._progress.refresh()


class _Progress(Progress):
    """A bar with a note below it, which may wrap on a narrow terminal."""

    note = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield _plain(self.note)


def _note(batch: Batch, pauses: Pauses) -> str:
    now = now_ms()
    parts = [f"{count} {outcome.value}" for outcome, count in batch.outcomes.items()]
    if pauses.throttled:
        parts.append(f"{pauses.throttled} throttled")
    if pauses.graph_until_ms and not batch.finished_at_ms:
        parts.append(f"Graph paused until {write_local(pauses.graph_until_ms)}")
    if (state := batch.state(now)) not in {BatchState.RUNNING, BatchState.FINISHED}:
        parts.append(state.value)
    if end := estimated_end_ms(batch, pauses, now):
        parts.append(f"about {write_duration(end - now)} left")
    return ", ".join(parts or [state.value])


def show_results(console: Console, results: Sequence[dict[str, Any]]) -> None:
    """Print results as a table; events that were found or planned as a person knows them."""
    table = Table(box=None, pad_edge=False)
    table.add_column("row", justify="right")
    table.add_column("user", overflow="fold")
    if finds := any("start" in each for each in results):
        for name in ("start", "subject", "organizer"):
            table.add_column(name, overflow="fold")
    else:
        table.add_column("event", no_wrap=True, max_width=24)
    for name in ("action", "outcome", "reason", "status"):
        table.add_column(name)
    table.add_column("request id", no_wrap=True)
    for each in results:
        names = ("start", "subject", "organizer") if finds else ("event",)
        told = [_plain(each.get(name) or "") for name in names]
        if not any(told):  # unreadable but for its id, perhaps
            told[-1] = _plain(each.get("event") or "")
        table.add_row(_plain(str(each["row"])), _plain(each["user"]), *told, *_came_of(each))
    console.print(table)


def _came_of(each: dict[str, Any]) -> Iterable[Text]:
    outcome = each["outcome"]
    yield _plain(each["action"])
    yield _plain(outcome or "open", STYLES[Outcome(outcome)] if outcome else "")
    yield _plain(each["reason"] or "")
    yield _plain(str(each["status"] or ""))
    yield _plain(each["requestId"] or each["clientRequestId"] or "")


def tell_unreadable(console: Console, lines: Sequence[Entry]) -> None:
    """Print which responses have an unreadable record, and what to do."""
    for line in lines[:UNREADABLE_SHOWN]:
        console.print(_plain(f"row {line.row}: Redis holds no record of it, but: {line.error}"))
    if lines:
        console.print(
            f"{len(lines)} records in Redis were not written by bulkrsvp and are left alone: see "
            "who else writes to that Redis, restore it from a copy, or look into these calendars",
        )


def show_check(console: Console, check: Check) -> None:
    """Print a verdict on one line, and a hint below it."""
    subject = f"{check.subject}: " if check.subject else ""
    line = Text(check.verdict.value.ljust(_VERDICT_WIDTH), CHECK_STYLES[check.verdict])
    said = escaped(f"{subject}{check.seen}")
    line.append(f"{check.name.value.ljust(_NAME_WIDTH)}{said}", "default")
    console.print(line, soft_wrap=True)
    if check.hint:
        console.print(_plain(f"{' ' * _VERDICT_WIDTH}hint: {check.hint}"), soft_wrap=True)


def describe_checks(checks: Sequence[Check]) -> dict[str, Any]:
    """Return what `check --json` prints."""
    return {"ok": all_well(checks), "checks": [check.to_json() for check in checks]}


def all_well(checks: Iterable[Check]) -> bool:
    """Whether no check has failed; what could not be seen does not count as failed."""
    return not any(check.verdict is CheckVerdict.FAILED for check in checks)
