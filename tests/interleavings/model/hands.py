"""What moves actors and data: an answer, a lost connection, a command that is carried out."""

from jobs.ledger.workers.failover import LOST_MS
from tests.interleavings.explore.scenarios import Scenario
from tests.interleavings.model.actors import Cast, Event, Node, Op, Told
from tests.interleavings.model.client import Asked
from tests.interleavings.model.ledger import Data, Identity, RealLedger
from tests.interleavings.model.state import State


class Hands:
    """The hands of one exploration, on its Redis and its actors."""

    def __init__(self, ledger: RealLedger, cast: Cast, scenario: Scenario) -> None:
        self.ledger = ledger
        self.cast = cast
        self.scenario = scenario

    def answered(self, state: State, number: int, op: Op, told: Told) -> State:
        """Return the state after an actor was answered."""
        return self.happened(state, number, Event("answer", op.number, told))

    def lost(self, state: State, number: int, op: Op) -> State:
        """Return the state after an actor has lost its connection to Redis."""
        return self.happened(state, number, Event("lost", op.number))

    def happened(self, state: State, number: int, event: Event) -> State:
        """Return the state after something has happened to an actor."""
        node = self.cast.go_on(state.people[number].node, event, state.now_ms)
        return state.at(number, node).hearing([node])

    def carried_out(self, state: State, number: int, op: Op, *, unheard: bool = False) -> State:
        """Return the state after Redis has carried out what an actor asked."""
        told, data = self.ledger.carry_out(state.data, op.what.commands, state.now_ms)
        after = self.lost(state, number, op) if unheard else self.answered(state, number, op, told)
        return self.changed(after, data)

    def changed(self, state: State, data: Data) -> State:
        """Return the state with other data; what they were is kept if Redis may go back to it."""
        if not self.scenario.rewinds or state.data is data or data.identity != Identity():
            return state._replace(data=data)
        rewound = (*state.rewound, (state.data, state.now_ms))[-self.scenario.rewinds :]
        kept_ms = state.now_ms - LOST_MS
        lately = tuple((older, until_ms) for older, until_ms in rewound if until_ms > kept_ms)
        return state._replace(data=data, rewound=lately)

    def part(self, state: State, number: int, part: str, channel: str) -> State:
        """Let a part of a worker run to its end, with nothing between."""
        node = self.cast.go_on(state.people[number].node, Event(part), state.now_ms)
        data, nodes = self.run_out(state.data, node, channel, state.now_ms)
        return self.changed(state.at(number, nodes[-1]).hearing(nodes), data)

    def run_out(self, data: Data, node: Node, channel: str, now_ms: int) -> tuple[Data, list[Node]]:
        """Answer all that an actor asks on one channel, at once; return all points on its way."""
        nodes = [node]
        while True:
            op = next((each for each in nodes[-1].ops if each.channel == channel), None)
            if op is None:
                return data, nodes
            told = Told.of(None)
            if isinstance(op.what, Asked):
                told, data = self.ledger.carry_out(data, op.what.commands, now_ms)
            event = Event("answer", op.number, told)
            nodes.append(self.cast.go_on(nodes[-1], event, now_ms))
