"""A moment of a schedule as a value, and the steps from one to the next."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from arq.constants import in_progress_key_prefix

from jobs.ledger import keys
from tests.interleavings.model.actors import Begin, Line, Node
from tests.interleavings.model.calendar import Calendar
from tests.interleavings.model.client import Command
from tests.interleavings.model.ledger import Data


class Person(NamedTuple):
    """
    An actor as it stands.

    `mode` is "alive", "dead", "still", or "spare": who comes when another one has died.
    """

    node: Node
    mode: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.node.name

    @property
    def works(self) -> bool:
        """Whether it is a worker."""
        return self.name.startswith("w")

    @property
    def waits(self) -> bool:
        """Whether it has not begun yet."""
        return any(isinstance(op.what, Begin) for op in self.node.ops)


class State(NamedTuple):
    """
    All there is at one moment; equal ones go on alike.

    `granted` are the calls that had a mark, `logged` the ends that have a line, `opened` who has
    opened each slice last. `rewound` is what Redis held before its latest changes, and until when
    (ms); `mover` is who made the latest step, and `heard` what was logged in it.
    """

    data: Data
    people: tuple[Person, ...]
    calendar: Calendar
    now_ms: int
    granted: frozenset[str] = frozenset()
    logged: frozenset[str] = frozenset()
    opened: frozenset[tuple[str, int]] = frozenset()
    rewound: tuple[tuple[Data, int], ...] = ()
    mover: int = -1
    heard: tuple[tuple[str, Line], ...] = ()

    def at(self, number: int, node: Node, mode: str = "") -> "State":
        """Return it with one actor at another point, who made the latest step."""
        person = Person(node, mode or self.people[number].mode)
        people = (*self.people[:number], person, *self.people[number + 1 :])
        return self._replace(people=people, mover=number)

    def hearing(self, nodes: Iterable[Node]) -> "State":
        """Return it with what was logged on the way to some points."""
        new = tuple((node.name, line) for node in nodes for line in node.lines)
        return self._replace(heard=self.heard + new) if new else self

    def lease_of(self, number: int) -> str | None:
        """Return the key of a worker's lease; None if it is lost."""
        process = bytes([int(self.people[number].name[1:])]).hex()
        prefix = (keys.WORKER + process).encode()
        for key in self.data.keys:
            if key.name.startswith(prefix):
                return key.name.decode()
        return None

    def claims_of(self, lease: str) -> list[str]:
        """Return the keys by which a worker claims the slices that it holds a mailbox for."""
        held = lease.removeprefix(keys.WORKER).encode() + b"|"
        found = []
        for key in self.data.keys:
            if key.name.startswith(keys.MAILBOX.encode()) and key.value[0].startswith(held):
                job = key.value[0].removeprefix(held).replace(b"|", b":").decode()
                found.append(in_progress_key_prefix + job)
        return [each for each in found if each.encode() in self.data.by_name]


@dataclass(frozen=True, slots=True)
class Move:
    """One step: its code in a schedule, what it costs of the faults, what it leads to."""

    code: str
    words: str | Callable[[], str]
    cost: int
    after: State
    commands: tuple[Command, ...] = ()

    def in_words(self) -> str:
        """Say what it is."""
        return self.words if isinstance(self.words, str) else self.words()
