"""A slice under way, as its worker holds it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from jobs.ledger.forms.archive import MOST
from jobs.ledger.forms.batch import CODED, Batch
from jobs.ledger.forms.entries import Entry, Number
from jobs.record import Record

LOGGED_AT_ONCE: Final = 1_000
"""Rows that one write reports as logged; there are more only after unusual ends."""


@dataclass(slots=True, eq=False)
class OpenSlice:
    """
    A slice under way: what was read when it was opened, and what goes along with the next write.

    `worker` is the name under which it was opened: once that lease is lost, no mark is granted any
    more, whatever the process calls itself by then. `starts` is whether this is the first slice of
    the batch to be opened. `doubted_ms` is when it was last put in doubt, alone or with its batch.
    `deaths` counts the workers that died while they had it open. `suspects` are the rows that were
    tried alone when a worker died, with how often that happened while nothing else was under way
    in the process. `lines` are all its responses, except that a slice too big to be put away lacks
    those that have `ended`; `entries` are those that were open, `unreadable` those whose records
    bulkrsvp did not write, `unlogged` those settled by a worker that may have died before it logged
    them. `known` are the events of each mailbox that already have a response, if selections are
    still looking for events. `marked_s` is when the latest mark was granted, in seconds of the
    worker's clock, 0 before the first; `asking` is how many marks were asked for and not answered
    yet. `cleared` is whether its deaths no longer count, because its worker is ending normally.
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
        """Whether no response of this slice answers an event yet; from now on one does."""
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
        Have the next write report that the end of a response was logged.

        A slice that is too big to be put away then drops the response.
        """
        self.logged.append(entry.row)
        if self.size > MOST and not entry.finds and self.lines.pop(entry.row, None) is not None:
            self.ended += 1

    def take_told(self) -> "Told":
        """Take what goes along with this write."""
        told = Told(self.logged[:LOGGED_AT_ONCE], self.replies, self.throttled)
        self.logged, self.replies, self.throttled = self.logged[LOGGED_AT_ONCE:], 0, 0
        return told

    def put_back(self, told: "Told") -> None:
        """Have it sent again: the ledger may not have received it."""
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
        """The rows of selections that have not found their events; each counts as one response."""
        if not self.batch.finding:  # and there were none when it was opened
            return []
        return [row for row, entry in self.lines.items() if entry.finds]

    @property
    def settled(self) -> bool:
        """Whether all its responses have ended, as far as its worker knows."""
        return all(entry.record.ending is not None for entry in self.lines.values())

    @property
    def holder(self) -> str:
        """The name that a mailbox's lease has while this slice holds it."""
        return f"{self.worker}|{self.batch.id}|{self.number}"


@dataclass(frozen=True, slots=True)
class Told:
    """What goes along with a flush, and is sent again if the flush fails."""

    logged: list[Number]
    replies: int
    throttled: int
