"""A slice under way, as its worker holds it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from jobs.ledger.forms.archive import MOST
from jobs.ledger.forms.batch import CODED, Batch
from jobs.ledger.forms.entries import Entry, Number
from jobs.record import Record

LOGGED_AT_ONCE: Final = 1_000
"""Rows of which one write tells that they were logged; they are more only after odd ends."""


@dataclass(slots=True, eq=False)
class OpenSlice:
    """
    A slice under way: what was read when it was opened, and what is to be told at the next write.

    `worker` is the name under which it was opened: if that lease is lost, no mark is granted any
    more, whatever the process calls itself by then. `starts` is whether nobody has opened a slice
    of the batch before. `doubted_ms` is when it was last put in doubt, by itself or with its batch.
    `deaths` counts those who worked on it and never came to leave it. `suspects` are the rows that
    were begun by themselves when somebody died, with how often that was while nothing else was
    under way in the process. `lines` are all its responses, but for those that have `ended` of a
    slice too big to be put away, `entries` those of them that were open, `unreadable` those whose
    records are none of ours, `unlogged` those settled by a worker that may have died before it
    logged them. `known` are the events of each mailbox that have a response, if selections are
    still looking for some. `marked_s` is when the latest mark was granted, by the worker's clock
    (s), and 0 before the first; `asking` is how many have been asked for and are not answered yet.
    `cleared` is whether its deaths count no more, because its worker ends in order.
    """

    batch: Batch
    number: int
    worker: str
    epoch: int
    deaths: int
    doubted_ms: int
    lines: dict[Number, Entry]
    entries: list[Entry]
    unlogged: list[Entry]
    unreadable: list[Entry] = field(default_factory=list)
    starts: bool = False
    ended: int = 0
    suspects: dict[str, int] = field(default_factory=dict)
    logged: list[Number] = field(default_factory=list)
    replies: int = 0
    throttled: int = 0
    marked_s: float = 0.0
    asking: int = 0
    cleared: bool = False
    known: dict[str, set[str]] = field(default_factory=dict)

    def is_new(self, mailbox: str, event: str) -> bool:
        """Say whether an event is answered by no response of this slice; from now on it is."""
        known = self.known.setdefault(mailbox, set())
        is_new = event not in known
        known.add(event)
        return is_new

    def write(self, record: Record) -> bytes:
        """Return a record as the ledger keeps it, in a form that all its workers understand."""
        known = record if self.batch.version >= CODED else record.uncoded()
        return known.to_json()

    def note_logged(self, entry: Entry) -> None:
        """
        Have the next write tell that the end of a response was logged.

        A slice that is too big to be put away holds nothing of it any more.
        """
        self.logged.append(entry.row)
        if self.size > MOST and not entry.finds and self.lines.pop(entry.row, None) is not None:
            self.ended += 1

    def take_told(self) -> "Told":
        """Take what is to be told at this write."""
        told = Told(self.logged[:LOGGED_AT_ONCE], self.replies, self.throttled)
        self.logged, self.replies, self.throttled = self.logged[LOGGED_AT_ONCE:], 0, 0
        return told

    def put_back(self, told: "Told") -> None:
        """Have it told again: perhaps the ledger has not heard it."""
        self.logged = told.logged + self.logged
        self.replies += told.replies
        self.throttled += told.throttled

    def put_in_place(self, selection: Entry, found: Iterable[Entry]) -> None:
        """Have what a selection has found count instead of the selection."""
        self.lines.pop(selection.row, None)
        self.lines.update({entry.row: entry for entry in found})

    @property
    def size(self) -> int:
        """How many responses it has."""
        return self.ended + len(self.lines)

    @property
    def selections(self) -> list[Number]:
        """The rows of the selections that have found nothing yet, each of which counts as one."""
        if not self.batch.finding:  # nor had when it was opened, so there are none
            return []
        return [row for row, entry in self.lines.items() if entry.finds]

    @property
    def settled(self) -> bool:
        """Whether all its responses have ended, as far as its worker knows."""
        return all(entry.record.ending is not None for entry in self.lines.values())

    @property
    def holder(self) -> str:
        """Name who holds a mailbox, for its lease."""
        return f"{self.worker}|{self.batch.id}|{self.number}"


@dataclass(frozen=True, slots=True)
class Told:
    """What goes along with a flush, to be told again if the flush fails."""

    logged: list[Number]
    replies: int
    throttled: int
