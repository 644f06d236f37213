"""
All schedules up to a bound, the shortest first: each state is gone on from once.

States are compared as a whole: what Redis holds, where each actor stands, what Graph took, the
time, and what was granted and logged. The bound is how many faults there may be; steps are not
bounded. What is found first is therefore found by a shortest schedule.
"""

import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .actors import Cast
from .claims import Claims
from .ledger import RealLedger
from .moves import Moves
from .nature import staged
from .scenarios import Scenario
from .state import Move, State


@dataclass(slots=True)
class Found:
    """
    What an exploration came to; `broken` says which claim does not hold, after which steps.

    `schedules` are the states in which one came to its end, and `depth` the most steps to a state.
    """

    states: int = 0
    steps: int = 0
    schedules: int = 0
    depth: int = 0
    took_s: float = 0.0
    complete: bool = True
    broken: str = ""
    schedule: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class _Points:
    """The states that were reached: from where, by which step, and with how many faults left."""

    def __init__(self) -> None:
        self.known: dict[object, int] = {}
        self.faults = bytearray()
        self.before = array("l")
        self.codes: list[str] = []
        self.depths = array("l")
        self.steps = array("l")
        self.ends: list[int] = []
        self._codes: dict[str, str] = {}

    def add(self, key: object, faults: int, before: int, code: str) -> int:
        """Note a state, and return its number."""
        number = self.known[key] = len(self.faults)
        self.faults.append(faults)
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
        sources: list[list[int]] = [[] for _ in self.faults]
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
    """Explores one scenario on one Redis."""

    def __init__(self, url: str, scenario: Scenario) -> None:
        self._scenario = scenario
        self.ledger = RealLedger(url)
        self.cast = Cast(scenario.makers())
        self._moves = Moves(self.ledger, self.cast, scenario)
        self._claims = Claims(self.ledger.names)

    def explore(self, most: int | None = None, limit: int = 10_000_000) -> Found:
        """Go on from each state once, up to `limit` states, or until a claim does not hold."""
        began_s = time.monotonic()
        with staged():
            found = self._explore(self._scenario.most if most is None else most, limit)
        found.took_s = time.monotonic() - began_s
        return found

    def close(self) -> None:
        """Let go of the actors, and of Redis."""
        self.cast.close()
        self.ledger.close()

    def _explore(self, most: int, limit: int) -> Found:
        points, found, begin = _Points(), Found(), self._moves.begin()
        ahead = deque([(points.add(_key(begin), most, -1, ""), begin)])
        while ahead:
            number, state = ahead.popleft()
            found.states, found.depth = len(points.known), points.depths[-1]
            if points.known[_key(state)] != number:
                points.ends.append(number)  # it is gone on from with more faults
                continue
            if len(points.known) > limit:
                found.complete = False
                return found
            if self._moves.is_over(state):
                found.schedules += 1
                points.ends.append(number)
                if wrong := self._claims.at_end(state):
                    return self._tell(found, points.way_to(number), wrong)
                continue
            for move in self._moves.moves(state, points.faults[number]):
                found.steps += 1
                after, wrong = self._claims.after(state, move)
                if wrong:
                    return self._tell(found, [*points.way_to(number), move.code], wrong)
                faults, key = points.faults[number] - move.cost, _key(after)
                at = points.known.get(key)
                if at is None or points.faults[at] < faults:
                    at = points.add(key, faults, number, move.code)
                    ahead.append((at, after))
                points.steps.extend((number, at))
        if (stuck := points.find_stuck()) is not None:
            return self._tell(found, points.way_to(stuck), "no way leads to an end")
        return found

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
        with staged():
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


_EXTRAS: dict[object, int] = {}


def _key(state: State) -> object:
    """Return what tells a state from all others, in little room."""
    extras = (
        state.calendar,
        state.granted,
        state.logged,
        state.opened,
        tuple(each.number for each in state.rewound),
        tuple(person.mode for person in state.people),
    )
    extra = _EXTRAS.setdefault(extras, len(_EXTRAS))
    return (
        state.data.number,
        extra,
        state.now_ms,
        *(person.node.number for person in state.people),
    )
