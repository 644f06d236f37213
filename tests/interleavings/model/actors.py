"""
Actors: coroutines of the product that stand wherever they ask something of the world.

What an actor does next follows from what it was told so far, and when. So each point on its way is
a `Node` in a tree of all ways, worked out once; an actor is made anew, and told all of it again,
where a way branches off.
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Final

import structlog
from redis.exceptions import ConnectionError as Lost

from tests.interleavings.model.likeness import likeness
from tests.interleavings.model.loop import SteppedLoop
from tests.interleavings.model.nature import NATURE

BROKE: Final = "broke"
"""The line that we write when a part of an actor has ended with an error."""

KEPT: Final = 400
"""Actors that are kept where they stand: who goes on from there needs not be told all again."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Asked by whoever comes in when the explorer lets him."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Asked by a worker that has room for a slice."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Asked before a request goes out: a connection."""

    client_request_id: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is under way; `target` is its path and query."""

    method: str
    target: str
    client_request_id: str


@dataclass(frozen=True, slots=True)
class Op:
    """What an actor waits for, since when (ms); numbers go up while it waits for several things."""

    number: int
    channel: str
    what: Any
    since_ms: int


class Told:
    """An answer; two of the same content are one object."""

    __slots__ = ("value",)
    _known: Final[dict[Any, "Told"]] = {}

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def of(cls, value: Any) -> "Told":
        """Return the answer of this content."""
        frozen = _frozen(value)
        found = cls._known.get(frozen)
        if found is None:
            found = cls._known[frozen] = cls(value)
        return found


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (type(value), *map(_frozen, value))
    if isinstance(value, Exception):
        return (type(value), value.args)
    return value


@dataclass(frozen=True, slots=True)
class Event:
    """
    What happens to an actor: an answer, a lost connection, a timer, or another part that begins.

    `kind` is "answer" or "lost", with the number of what was asked; "time"; or the name of a part.
    """

    kind: str
    number: int = -1
    told: Told | None = None


Line = tuple[tuple[str, Any], ...]


class Actor:
    """One actor on its way; `number` tells its ids from those of the others."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.loop = SteppedLoop(NATURE.time_s)  # type: ignore[abstract]  # of sockets it has none
        self.parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self.lines: list[Line] = []
        self._parked: dict[int, tuple[Op, Any]] = {}
        self._ids = 0
        NATURE.actor = self

    @property
    def ops(self) -> tuple[Op, ...]:
        """What it waits for, in the order in which it was asked."""
        return tuple(op for op, _ in self._parked.values())

    def next_id(self) -> bytes:
        """Return bytes that nobody has had before."""
        self._ids += 1
        return bytes([self.number]) + self._ids.to_bytes(4, "big")

    async def park(self, channel: str, what: Any) -> Any:
        """Stand until there is an answer."""
        op = Op(max(self._parked, default=0) + 1, channel, what, NATURE.now_ms)
        answer = self.loop.create_future()
        self._parked[op.number] = op, answer
        try:
            return await answer
        finally:
            self._parked.pop(op.number, None)

    def happen(self, event: Event, now_ms: int) -> None:
        """Let something happen to it, and let it go on until it stands again."""
        NATURE.now_ms, NATURE.actor = now_ms, self
        if event.kind == "answer":
            assert event.told is not None
            self._parked[event.number][1].set_result(event.told.value)
        elif event.kind == "lost":
            self._parked[event.number][1].set_exception(Lost("the connection was cut"))
        elif event.kind != "time":
            self.loop.create_task(self.parts[event.kind]())
        self.loop.run_until_idle()

    def logger(self) -> Any:
        """Return a logger whose lines are kept here."""
        return structlog.wrap_logger(
            _Heard(self.lines),
            processors=[],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        ).bind()


class _Heard:
    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def _hear(self, **fields: Any) -> None:
        told = {
            name: repr(value) if isinstance(value, list | dict) else value
            for name, value in fields.items()
        }
        self._lines.append(tuple(told.items()))

    debug = info = warning = error = critical = _hear


_NUMBERS: Final = count()


class Node:
    """A point on an actor's way: what it waits for there, and what its last step has logged."""

    def __init__(self, parent: "Node | None", event: Event, now_ms: int, actor: Actor) -> None:
        self.parent = parent
        self.event = event
        self.now_ms = now_ms
        self.name = actor.name
        self.ops = actor.ops
        broke = [(("event", BROKE), ("error", error)) for error in actor.loop.errors]
        self.lines = (*actor.lines, *broke)
        self.number = next(_NUMBERS)
        timer_s = actor.loop.next_timer_s
        self.timer_ms = None if timer_s is None else -int(-timer_s * 1000 // 1)
        self.next: dict[tuple[Event, int], Node] = {}
        actor.lines.clear()
        actor.loop.errors.clear()

    @cached_property
    def enabled(self) -> tuple[Op, ...]:
        """What may be answered next: of each channel the first that was asked, but all of Graph."""
        first: dict[Any, Op] = {}
        for op in self.ops:
            first.setdefault(op.number if op.channel == "graph" else op.channel, op)
        return tuple(first.values())

    @cached_property
    def idle(self) -> bool:
        """Whether it waits for nothing but more work."""
        return all(isinstance(op.what, Claim) for op in self.ops) and self.timer_ms is None


class Cast:
    """
    All actors that may take part, and the tree of their ways.

    With `merging`, ways become one where their actors stand alike.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Actor]], *, merging: bool) -> None:
        self._makers = makers
        self._roots: dict[str, Node] = {}
        self._kept: OrderedDict[Node, Actor] = OrderedDict()
        self._signs: dict[Any, Node] = {}
        self._merging = merging
        self.merged = 0
        self.made = 0
        self.nodes = 0

    def enter(self, name: str, now_ms: int) -> Node:
        """Return the point at which an actor waits first."""
        if name not in self._roots:
            actor = self._makers[name]()
            begun = Event("main")
            actor.happen(begun, now_ms)
            self._roots[name] = self._keep(Node(None, begun, now_ms, actor), actor)
        return self._roots[name]

    def go_on(self, node: Node, event: Event, now_ms: int) -> Node:
        """Return the point at which an actor stands after something has happened to it."""
        found = node.next.get((event, now_ms))
        if found is None:
            actor = self._kept.pop(node, None) or self._made_again(node)
            actor.happen(event, now_ms)
            found = self._alike(Node(node, event, now_ms, actor), actor)
            node.next[event, now_ms] = found
        return found

    def _alike(self, node: Node, actor: Actor) -> Node:
        """Return the point itself, or one at which its actor stood alike."""
        if not self._merging:
            return self._keep(node, actor)
        sign = (node.name, node.lines, likeness(actor))
        if (found := self._signs.setdefault(sign, node)) is node:
            return self._keep(node, actor)
        if found in self._kept:
            actor.loop.abandon()
        else:
            self._keep(found, actor)
            self.nodes -= 1
        self.merged += 1
        return found

    def close(self) -> None:
        """Let go of all actors."""
        for actor in self._kept.values():
            actor.loop.abandon()
        self._kept.clear()

    def _made_again(self, node: Node) -> Actor:
        self.made += 1
        way: list[Node] = []
        each: Node | None = node
        while each is not None:
            way.append(each)
            each = each.parent
        actor = self._makers[node.name]()
        for point in reversed(way):
            actor.happen(point.event, point.now_ms)
        assert actor.ops == node.ops, f"{node.name} did not go the same way again"
        actor.lines.clear()
        return actor

    def _keep(self, node: Node, actor: Actor) -> Node:
        self.nodes += 1
        self._kept[node] = actor
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)[1].loop.abandon()
        return node
