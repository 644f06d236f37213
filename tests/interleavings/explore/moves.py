"""What may happen next: the steps of all actors, what goes wrong, and the passing of time."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from arq.constants import in_progress_key_prefix

from jobs.ledger import keys
from tests.interleavings.explore.faults import Faults
from tests.interleavings.explore.passing import LEASE_MS, Passing
from tests.interleavings.explore.scenarios import Scenario
from tests.interleavings.explore.words import in_words
from tests.interleavings.model import calendar as graph
from tests.interleavings.model.actors import Begin, Cast, Claim, Connect, Event, Op, Request, Told
from tests.interleavings.model.calendar import Calendar
from tests.interleavings.model.client import Asked, Command
from tests.interleavings.model.hands import Hands
from tests.interleavings.model.ledger import RealLedger
from tests.interleavings.model.nature import BEGIN_MS
from tests.interleavings.model.state import Move, Person, State

_BEATS_MS: Final = (6_000, 400)
"""Between the beats of workers that are there, and known to be, before the batch is."""


class Moves:
    """The rules of one scenario."""

    def __init__(
        self, ledger: RealLedger, cast: Cast, scenario: Scenario, *, alike: bool = True
    ) -> None:
        self._scenario = scenario
        self._hands = Hands(ledger, cast, scenario)
        self._faults = Faults(self._hands)
        self._passing = Passing(self._hands)
        self._alike = alike
        self._begun: dict[int, Person] = {}

    def begin(self) -> State:
        """Return the state in which the batch is queued, and all are there."""
        hands, now_ms = self._hands, BEGIN_MS - sum(_BEATS_MS)
        data, people = hands.ledger.data(), []
        for name, mode in self._scenario.people:
            data, nodes = hands.run_out(data, hands.cast.enter(name, now_ms), "beat", now_ms)
            people.append(Person(nodes[-1], mode))
        state = State(data, tuple(people), Calendar(), now_ms)
        for pause_ms in (0, *_BEATS_MS):
            state = state._replace(now_ms=state.now_ms + pause_ms)
            for number, person in enumerate(people):
                if person.works:
                    state = hands.part(state, number, "beat", "beat")
        submitter = hands.cast.enter("submitter", state.now_ms)
        data, _ = hands.run_out(state.data, submitter, "main", state.now_ms)
        self._begun = {
            number: person
            for number, person in enumerate(state.people)
            if person.works and person.mode == "alive"
        }
        return state._replace(data=data, rewound=(), mover=-1, heard=())

    def moves(self, state: State, faults: int) -> Iterator[Move]:
        """Yield what may happen next, with at most so many faults."""
        if local := self._find_local(state):
            yield local
        else:
            yield from self._steps(state)
            yield from self._arrivals(state)
            yield from self._awakenings(state)
        free = local is None and not self._is_anything_due(state)
        yield from self._passing.moves(state, free=free, faults=faults)
        if faults:
            yield from self._faults.moves(state, self._find_alike(state))

    def is_over(self, state: State) -> bool:
        """Whether all is done, and nobody has anything to do any more."""
        left = any(
            person.mode in {"alive", "still"} and not person.node.idle for person in state.people
        )
        kept = (keys.QUEUE, keys.ACTIVE)
        return not (left or state.calendar.late or any(map(state.data.members, kept)))

    def can_go_on(self, state: State, number: int) -> bool:
        """Whether an actor has a step to take."""
        if number < 0:
            return False
        person = state.people[number]
        return any(self._may(state, person, op) for op in person.node.enabled)

    def _is_anything_due(self, state: State) -> bool:
        """Whether anybody has a step to take that does not wait for time, or for its own will."""
        return bool(state.calendar.late) or any(
            not isinstance(op.what, Begin) and self._may(state, person, op)
            for person in state.people
            for op in person.node.enabled
        )

    def _may(self, state: State, person: Person, op: Op) -> bool:
        if isinstance(op.what, Claim):
            return person.mode == "alive" and _due(state) is not None
        return person.mode in {"alive", "spare"}

    def _find_local(self, state: State) -> Move | None:
        """Return a step that concerns nobody else, if there is one: the others need not wait."""
        for number, person in enumerate(state.people):
            if person.mode == "alive":
                for op in person.node.enabled:
                    if isinstance(op.what, Connect):
                        after = self._hands.answered(state, number, op, Told.of(None))
                        words = f"{person.name} has a connection to Graph"
                        return Move(f"{person.name}.{op.number}", words, 0, after)
        return None

    def _steps(self, state: State) -> Iterator[Move]:
        alike = self._find_alike(state)
        for number, person in enumerate(state.people):
            if number in alike:
                continue
            for op in person.node.enabled:
                if self._may(state, person, op):
                    yield self._step(state, number, op)

    def _find_alike(self, state: State) -> set[int]:
        """
        Return the workers to whom nothing has happened yet, but for the first of them.

        They differ by their names alone, and a name is a number that chance gives: what one of
        them could do first, another does in a schedule that is explored, under the other's name.
        """
        unmoved = [n for n, person in enumerate(state.people) if person == self._begun.get(n)]
        return set(unmoved[1:]) if self._alike else set()

    def _step(self, state: State, number: int, op: Op) -> Move:
        person = state.people[number].name
        code = f"{person}.{op.number}"
        match op.what:
            case Asked(commands):
                after = self._hands.carried_out(state, number, op)
                return Move(code, partial(self._say, person, commands), 0, after, commands)
            case Claim():
                return self._claim(state, number, op)
            case Request() as request:
                return self._reach(state, number, op, request)
            case _:
                after = self._hands.answered(state, number, op, Told.of(None))
                return Move(code, f"{person} begins", 0, after)

    def _say(self, person: str, commands: tuple[Command, ...]) -> str:
        return f"{person}: {in_words(commands, self._hands.ledger.names)}"

    def _claim(self, state: State, number: int, op: Op) -> Move:
        found, person = _due(state), state.people[number].name
        assert found is not None
        name = f"{found[0]}:{found[1]}"
        key = (in_progress_key_prefix + name).encode()
        command = (b"SET", key, b"1", b"NX", b"PX", b"%d" % LEASE_MS)
        _, data = self._hands.ledger.carry_out(state.data, (command,), state.now_ms)
        after = self._hands.answered(state, number, op, Told.of(found))
        after = self._hands.changed(after, data)
        return Move(f"{person}.{op.number}", f"{person} claims slice {name}", 0, after)

    def _reach(self, state: State, number: int, op: Op, request: Request) -> Move:
        person, event = state.people[number].name, graph.event_of(request)
        code, hands = f"{person}.{op.number}", self._hands
        if request.method == "GET":
            after = hands.answered(state, number, op, graph.show(state.calendar, request))
            return Move(code, f"{person} reads {event or 'the calendar'}", 0, after)
        if event in self._scenario.refused - state.calendar.refused:
            after = hands.answered(state, number, op, graph.refusal())
            after = after._replace(calendar=after.calendar.refuse(event))
            return Move(code, f"Graph refuses {person}'s call for {event}", 0, after)
        after = hands.answered(state, number, op, graph.ACCEPTED)
        after = after._replace(calendar=after.calendar.take(event, request.client_request_id))
        return Move(code, f"Graph takes {person}'s call for {event}", 0, after)

    def _arrivals(self, state: State) -> Iterator[Move]:
        for each in state.calendar.late:
            after = state._replace(calendar=state.calendar.arrive(each))
            words = f"the late call for {each.event} arrives, and Graph takes it"
            yield Move(f"arrives.{each.client_request_id[:12]}", words, 0, after)

    def _awakenings(self, state: State) -> Iterator[Move]:
        for number, person in enumerate(state.people):
            if person.mode == "still" and state.lease_of(number) is None:
                after = state.at(number, person.node, "alive")
                due_ms = person.node.timer_ms
                if due_ms is not None and due_ms <= state.now_ms:
                    after = self._hands.happened(after, number, Event("time"))
                yield Move(f"{person.name}.wakes", f"{person.name} goes on", 0, after)


def _due(state: State) -> tuple[str, int] | None:
    """Return the batch and the number of the slice that a worker would take now."""
    jobs = state.data.members(keys.QUEUE)
    dues = sorted(
        (float(due), job.decode())
        for job, due in zip(jobs[::2], jobs[1::2], strict=True)
        if in_progress_key_prefix.encode() + job not in state.data.by_name
    )
    if not dues or dues[0][0] > state.now_ms:
        return None
    batch_id, _, number = dues[0][1].rpartition(":")
    return batch_id, int(number)
