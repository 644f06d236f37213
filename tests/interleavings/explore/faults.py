"""What may go wrong, one at a time: with an actor, a connection, a call, or Redis."""

from collections.abc import Container, Iterator
from functools import partial

from tests.interleavings.explore.scenarios import Fault
from tests.interleavings.explore.words import in_words
from tests.interleavings.model import calendar as graph
from tests.interleavings.model.actors import Op, Request, Told
from tests.interleavings.model.calendar import Late
from tests.interleavings.model.client import Asked, Command
from tests.interleavings.model.hands import Hands
from tests.interleavings.model.staff import SETTLE_MS
from tests.interleavings.model.state import Move, Person, State


class Faults:
    """The faults that a scenario allows; each costs one."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._allowed = hands.scenario.faults

    def moves(self, state: State, passed_over: Container[int] = ()) -> Iterator[Move]:
        """Yield them all, but for those with some of the actors."""
        for number, person in enumerate(state.people):
            if number in passed_over:
                continue
            if person.mode == "alive" and not person.node.idle and not person.waits:
                yield from self._with(state, number, person)
        if Fault.REWIND in self._allowed:
            yield from self._rewinds(state)

    def _with(self, state: State, number: int, person: Person) -> Iterator[Move]:
        for op in person.node.enabled:
            match op.what:
                case Asked(commands) if Fault.CUT in self._allowed:
                    yield from self._cuts(state, number, op, commands)
                case Request() as request:
                    yield from self._with_call(state, number, op, request)
        # Nobody else's step matters to these, so they may as well come right after one's own.
        if state.mover in {number, -1}:
            if Fault.KILL in self._allowed:
                yield from self._kills(state, number)
            if Fault.STILL in self._allowed and person.works:
                words = f"{person.name} stands still until its lease has ended"
                after = state.at(number, person.node, "still")
                yield Move(f"{person.name}.still", words, 1, after)
        if person.works and (lease := state.lease_of(number)) is not None:
            yield from self._losses(state, person.name, lease)

    def _cuts(
        self, state: State, number: int, op: Op, commands: tuple[Command, ...]
    ) -> Iterator[Move]:
        code = f"{state.people[number].name}.{op.number}"
        say = partial(self._say, state.people[number].name, commands)
        lost = self._hands.lost(state, number, op)
        yield Move(f"{code}.cut", partial(say, "the connection is cut before"), 1, lost)
        unheard = self._hands.carried_out(state, number, op, unheard=True)
        yield Move(f"{code}.unheard", partial(say, "the reply is lost"), 1, unheard, commands)

    def _say(self, person: str, commands: tuple[Command, ...], what: str) -> str:
        return f"{person}: {in_words(commands, self._hands.ledger.names)}; {what}"

    def _with_call(self, state: State, number: int, op: Op, request: Request) -> Iterator[Move]:
        person, event = state.people[number].name, graph.event_of(request)
        code, whose = f"{person}.{op.number}", f"{person}'s call for {event or 'a page'}"
        lost = self._hands.answered(state, number, op, graph.LOST)
        if Fault.NETWORK in self._allowed:
            yield Move(f"{code}.lost", f"{whose} is lost", 1, lost)
        if request.method == "POST":
            yield from self._with_sending(state, number, op, request)
        for fault, word, told in (
            (Fault.THROTTLED, "429", graph.throttling()),
            (Fault.FAILED, "503", graph.failure()),
            (Fault.REFUSED, "403", graph.refusal()),
        ):
            if fault in self._allowed:
                after = self._hands.answered(state, number, op, told)
                yield Move(f"{code}.{word}", f"Graph answers {word} to {whose}", 1, after)

    def _with_sending(self, state: State, number: int, op: Op, request: Request) -> Iterator[Move]:
        person, event = state.people[number].name, graph.event_of(request)
        code, whose = f"{person}.{op.number}", f"{person}'s call for {event}"
        for fault, word, told, what in (
            (Fault.UNHEARD, "unheard", graph.LOST, "the reply is lost"),
            (Fault.FAILED, "503-taken", graph.failure(), "the reply is 503"),
        ):
            if fault in self._allowed:
                taken = self._taken(state, number, op, told)
                yield Move(f"{code}.{word}", f"Graph takes {whose}; {what}", 1, taken)
        if Fault.LATE in self._allowed:
            late = self._hands.answered(state, number, op, graph.LOST)
            late = late._replace(calendar=late.calendar.delay(_late(state, request)))
            words = f"{person} loses its call for {event}, which is still on its way"
            yield Move(f"{code}.late", words, 1, late)

    def _taken(self, state: State, number: int, op: Op, told: Told) -> State:
        after = self._hands.answered(state, number, op, told)
        taken = after.calendar.take(graph.event_of(op.what), op.what.client_request_id)
        return after._replace(calendar=taken)

    def _kills(self, state: State, number: int) -> Iterator[Move]:
        person = state.people[number]
        others = [each for each in state.people if each is not person and each.works]
        if not any(each.mode in {"alive", "spare"} for each in others):
            return
        dead = state.at(number, person.node, "dead")
        spare = [each for each, other in enumerate(dead.people) if other.mode == "spare"]
        if person.works and spare:
            dead = dead.at(spare[0], dead.people[spare[0]].node, "alive")._replace(mover=number)
        yield Move(f"{person.name}.dies", f"{person.name} dies", 1, dead)
        for op in person.node.enabled:
            if isinstance(op.what, Request) and op.what.method == "POST":
                late = dead._replace(calendar=dead.calendar.delay(_late(state, op.what)))
                event = graph.event_of(op.what)
                words = f"{person.name} dies; its call for {event} is still on its way"
                yield Move(f"{person.name}.dies.{op.number}", words, 1, late)

    def _losses(self, state: State, person: str, lease: str) -> Iterator[Move]:
        claims, ledger = state.claims_of(lease), self._hands.ledger
        if Fault.LEASE in self._allowed:
            after = state._replace(data=ledger.without(state.data, lease, *claims))
            yield Move(f"{person}.lease", f"{person} loses its lease", 1, after)
        if Fault.CLAIM in self._allowed and claims:
            after = state._replace(data=ledger.without(state.data, *claims))
            yield Move(f"{person}.claim", f"{person}'s claim to its slice is lost", 1, after)

    def _rewinds(self, state: State) -> Iterator[Move]:
        failover = self._hands.scenario.failover
        for back, (older, _) in enumerate(reversed(state.rewound), start=1):
            identity = older.identity.after_failover() if failover else older.identity.restarted()
            data = self._hands.ledger.data(older.keys, identity)
            data = self._hands.ledger.ended(data, state.now_ms)
            what = "a replica that lags takes over" if failover else "Redis restarts"
            words = f"{what}; the latest {back} changes are lost"
            after = state._replace(data=data, rewound=(), opened=frozenset(), mover=-1)
            yield Move(f"rewind.{back}", words, 1, after)


def _late(state: State, request: Request) -> Late:
    event = graph.event_of(request)
    return Late(request.client_request_id, event, state.now_ms + SETTLE_MS - 1)
