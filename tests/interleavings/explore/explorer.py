"""
All schedules up to a bound, the shortest first: each state is gone on from once.

States are compared as a whole: what Redis holds, where each actor stands, what Graph took, the
time, and what was granted and logged. The bound is how many faults there may be; steps are not
bounded, nor are switches from one actor to another who could go on, unless the scenario says so.
What is found first is therefore found by a shortest schedule.
"""

import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.interleavings.explore.claims import Claims
from tests.interleavings.explore.moves import Moves
from tests.interleavings.explore.scenarios import Scenario
from tests.interleavings.model.actors import Cast
from tests.interleavings.model.ledger import Key, RealLedger
from tests.interleavings.model.nature import staged
from tests.interleavings.model.state import Move, State

ANY: Final = 1_000_000
"""More switches than there are steps."""


@dataclass(slots=True)
class Found:
    """
    What an exploration came to; `broken` says which claim does not hold, after which steps.

    `schedules` are the states in which one came to its end, and `finals` what Redis held then.
    `depth` is the most steps that a state was away.
    """

    states: int = 0
    steps: int = 0
    schedules: int = 0
    depth: int = 0
    took_s: float = 0.0
    complete: bool = True
    broken: str = ""
    finals: set[tuple[Key, ...]] = field(default_factory=set, repr=False)
    schedule: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


Left = tuple[int, int]
"""How many faults there may still be, and how many switches."""


class _Points:
    """The states that were reached: from where, by which step, and with what left of the bound."""

    def __init__(self) -> None:
        self.states = 0
        self.left: list[Left] = []
        self._known: dict[object, list[int]] = {}
        self.before = array("l")
        self.codes: list[str] = []
        self.depths = array("l")
        self.steps = array("l")
        self.ends: list[int] = []
        self._codes: dict[str, str] = {}

    def find(self, key: object, left: Left) -> int | None:
        """Return the number of a state that was reached with as much left, or more."""
        for number in self._known.get(key, ()):
            faults, switches = self.left[number]
            if faults >= left[0] and switches >= left[1]:
                return number
        return None

    def add(self, key: object, left: Left, before: int, code: str) -> int:
        """Note a state, and return its number."""
        number = len(self.left)
        known = self._known.setdefault(key, [])
        self.states += not known
        known.append(number)
        self.left.append(left)
        self.before.append(before)
        self.codes.append(self._codes.setdefault(code, code))
        self.depths.append(0 if before < 0 else self.depths[before] + 1)
        return number

    def way_to(self, number: int) -> list[str]:
        """Return the steps that led to a state."""
        codes = []
        while self.before[number] >= 0:
            codes.append(self.codes[number])
            number = self.before[number]
        return codes[::-1]

    def find_stuck(self) -> int | None:
        """Return the first state from which no way leads to an end."""
        sources: list[list[int]] = [[] for _ in self.left]
        for source, target in zip(self.steps[::2], self.steps[1::2], strict=True):
            sources[target].append(source)
        reached, ahead = bytearray(len(sources)), deque(self.ends)
        for end in self.ends:
            reached[end] = 1
        while ahead:
            for source in sources[ahead.popleft()]:
                if not reached[source]:
                    reached[source] = 1
                    ahead.append(source)
        stuck = reached.find(0)
        return None if stuck < 0 else stuck


class Explorer:
    """Explores one scenario on one Redis; `alike` is whether workers differ by their names only."""

    def __init__(
        self, url: str, scenario: Scenario, *, merging: bool = True, alike: bool = True
    ) -> None:
        self._scenario = scenario
        self.ledger = RealLedger(url)
        self.cast = Cast(scenario.makers(), merging=merging)
        self._moves = Moves(self.ledger, self.cast, scenario, alike=alike)
        self._claims = Claims(self.ledger.names)
        self._extras: dict[object, int] = {}

    def explore(self, most: int | None = None, limit: int = 10_000_000) -> Found:
        """Go on from each state once, up to `limit` states, or until a claim does not hold."""
        began_s = time.monotonic()
        with staged(poison=self._scenario.poison):
            found = self._explore(self._scenario.most if most is None else most, limit)
        found.took_s = time.monotonic() - began_s
        return found

    def close(self) -> None:
        """Let go of the actors, and of Redis."""
        self.cast.close()
        self.ledger.close()

    def _explore(self, most: int, limit: int) -> Found:
        points, found, begin = _Points(), Found(), self._moves.begin()
        left = (most, ANY if self._scenario.switches is None else self._scenario.switches)
        ahead = deque([(points.add(self._key(begin), left, -1, ""), begin)])
        while ahead:
            number, state = ahead.popleft()
            found.states, found.depth = points.states, points.depths[-1]
            if points.states > limit:
                found.complete = False
                return found
            if self._moves.is_over(state):
                found.schedules += 1
                found.finals.add(state.data.keys)
                points.ends.append(number)
                if wrong := self._claims.at_end(state):
                    return self._tell(found, points.way_to(number), wrong)
                continue
            for move in self._moves.moves(state, points.left[number][0]):
                left = self._left(points.left[number], state, move)
                if min(left) < 0:
                    continue
                found.steps += 1
                after, wrong = self._claims.after(state, move)
                if wrong:
                    return self._tell(found, [*points.way_to(number), move.code], wrong)
                key = self._key(after)
                if (at := points.find(key, left)) is None:
                    at = points.add(key, left, number, move.code)
                    ahead.append((at, after))
                points.steps.extend((number, at))
        if (stuck := points.find_stuck()) is not None:
            return self._tell(found, points.way_to(stuck), "no way leads to an end")
        return found

    def _left(self, left: Left, state: State, move: Move) -> Left:
        """Return what a move leaves of the bound: one switch less, if it comes in between."""
        faults, switches = left[0] - move.cost, left[1]
        if switches < ANY and move.after.mover not in {-1, state.mover}:
            switches -= self._moves.can_go_on(state, state.mover)
        return faults, switches

    def _key(self, state: State) -> object:
        """Return what tells a state from all others, in little room."""
        extras = (
            state.calendar,
            state.granted,
            state.logged,
            state.opened,
            tuple((older.number, until_ms) for older, until_ms in state.rewound),
            tuple(person.mode for person in state.people),
        )
        return (
            state.data.number,
            self._extras.setdefault(extras, len(self._extras)),
            state.now_ms,
            -1 if self._scenario.switches is None else state.mover,
            *(person.node.number for person in state.people),
        )

    def _tell(self, found: Found, schedule: list[str], wrong: str) -> Found:
        found.broken, found.schedule = wrong, schedule
        found.words = [move.in_words() for move in self._replay(schedule)]
        return found

    def replay(self, schedule: Sequence[str]) -> tuple[list[str], str]:
        """
        Take the steps of a schedule; return them in words, and what is wrong then.

        It ends early where something is wrong, or a step is none that may happen.
        """
        words, wrong = list[str](), ""
        with staged(poison=self._scenario.poison):
            state = self._moves.begin()
            for move in self._replay(schedule):
                words.append(move.in_words())
                state, wrong = self._claims.after(state, move)
                if wrong:
                    break
            if not wrong and self._moves.is_over(state):
                wrong = self._claims.at_end(state)
        return words, wrong

    def _replay(self, schedule: Sequence[str]) -> Iterator[Move]:
        state = self._moves.begin()
        for code in schedule:
            moves = {move.code: move for move in self._moves.moves(state, len(schedule))}
            if code not in moves:
                return
            yield moves[code]
            state, _ = self._claims.after(state, moves[code])
