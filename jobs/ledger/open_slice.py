"""A slice under way, as its worker holds it."""

from dataclasses import dataclass, field

from jobs.ledger.entries import Entry, Number
from jobs.ledger.facts import Batch


@dataclass(slots=True, eq=False)
class OpenSlice:
    """
    A slice under way: what was read when it was opened, and what is to be told at the next write.

    `worker` is the name under which it was opened: if that lease is lost, no mark is granted any
    more, whatever the process calls itself by then. `deaths` counts those who worked on it and
    never came to leave it. `unlogged` are responses settled by a worker
    that may have died before it logged them. `known` are the events that have a response, if
    selections are still looking for some.
    """

    batch: Batch
    number: int
    worker: str
    epoch: int
    deaths: int
    size: int
    entries: list[Entry]
    unlogged: list[Entry]
    logged: list[Number] = field(default_factory=list)
    replies: int = 0
    throttled: int = 0
    known: set[tuple[str, str | None]] = field(default_factory=set)

    def is_new(self, mailbox: str, event: str) -> bool:
        """Say whether an event is answered by no response of this slice; from now on it is."""
        if (mailbox, event) in self.known:
            return False
        self.known.add((mailbox, event))
        return True

    def take_told(self) -> "Told":
        """Take what is to be told at this write."""
        told = Told(self.logged, self.replies, self.throttled)
        self.logged, self.replies, self.throttled = [], 0, 0
        return told

    def put_back(self, told: "Told") -> None:
        """Have it told again: perhaps the ledger has not heard it."""
        self.logged = told.logged + self.logged
        self.replies += told.replies
        self.throttled += told.throttled

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
