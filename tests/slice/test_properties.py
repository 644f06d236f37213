"""
The promise against every order of events: one response, a model of Graph, and all that goes wrong.

The model of Graph says what is true: how often it has taken the response, and what the calendar
shows. The worker's side is the real tables and the real record; only what
`worker/slice/calls/call.py` does with a judgement is said again here. Two broken workers show
that the machine would notice.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs.outcome import Ending, Outcome, Reason
from jobs.record import QUEUED, Record, State
from jobs.rows.choosing import ANSWERS
from jobs.rows.response import Action, Response
from jobs.steps import Step, Terms, next_step
from worker.graph.reply import Event, Reply
from worker.graph.verdict import Verdict, judge, judge_look

SETTLE_MS = 60_000
NEVER_TAKEN = frozenset(
    {Outcome.ALREADY, Outcome.SKIPPED, Outcome.FAILED, Outcome.CANCELLED, Outcome.EXPIRED}
)
RETRIED = frozenset({Outcome.FAILED, Outcome.EXPIRED, Outcome.UNCERTAIN})
BACKOFF_MS = 1_000
BEGIN_MS = 1_790_000_000_000


def reply(status: int | None, code: str | None = None, **fields: Any) -> Reply:
    """Make a reply as `worker/graph/client.py` brings it."""
    arrived_at = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    return Reply(status=status, code=code, arrived_at=arrived_at, duration_ms=1.0, **fields)


UNTAKEN_REPLIES = [
    reply(429),
    reply(429, retry_after_s=2.128),
    reply(503, "UnknownError", retry_after_s=1.0),
    reply(509, "UnknownError", retry_after_s=1.0),
    reply(401),
    reply(None, reached=False),
    reply(400, "ErrorExceededMessageLimit"),
    reply(503, "ErrorMailboxMoveInProgress"),
    reply(404, "MailboxInfoStale"),
]
REFUSING_REPLIES = [
    reply(400, "UnheardOf"),
    reply(400, "ErrorInvalidRequest"),
    reply(403, "ErrorAccessDenied"),
    reply(501, "UnheardOf"),
]
UNCLEAR_REPLIES = [
    reply(None),
    *map(reply, (408, 500, 502, 503, 504, 507, 509, 302, 424, 599)),
    *map(reply, (400, 403, 404, 409, 410)),
    reply(404, "UnknownError"),
    reply(409, "ErrorIrresolvableConflict"),
    reply(400, "ErrorInvalidRecipients"),
    reply(200, has_body=True),
    reply(202, has_body=True),
    reply(503, has_body=True, retry_after_s=1.0),
]


class When(Enum):
    """When Graph takes a call that brought no answer of its own."""

    NOW = auto()
    LATE = auto()
    NEVER = auto()


@dataclass(frozen=True)
class Fate:
    """What becomes of a call: `met` comes back, or else what Graph says; or its worker dies."""

    met: Reply | None = None
    when: When = When.NEVER
    dead: bool = False


HEARD = Fate()
FATES = [
    *[HEARD] * 40,
    *[Fate(met, when) for met in UNCLEAR_REPLIES for when in [*When, When.LATE]],
    *[Fate(met) for met in UNTAKEN_REPLIES + REFUSING_REPLIES],
    *[Fate(when=when, dead=True) for when in [*When, When.LATE]] * 2,
]


@dataclass
class Calendar:
    """What is true: the event as the mailbox shows it (None: it is gone), and what Graph took."""

    action: Action
    answer: str | None
    keeps_declined: bool
    is_organizer: bool
    is_cancelled: bool
    response_requested: bool
    answered_ms: int | None
    """When the answer was given that it shows; None if it does not say."""
    taken: int = 0

    def take(self, now_ms: int) -> Reply:
        """Carry a call out that sends, if Graph allows it."""
        if self.answer is None:
            return reply(404, "ErrorItemNotFound")
        if self.is_organizer:
            return reply(400, "ErrorInvalidRequest", message="you\u2019re the meeting organizer")
        if not self.response_requested:
            return reply(400, "ErrorInvalidRequest", message="hasn't requested a response")
        self.taken += 1
        stays = self.keeps_declined or self.action is Action.TENTATIVELY_ACCEPT
        self.answer, self.answered_ms = ANSWERS[self.action] if stays else None, now_ms
        return reply(202)

    def show(self) -> Reply:
        """Answer a look."""
        if self.answer is None:
            return reply(404, "ErrorItemNotFound")
        given = self.answered_ms
        shown = Event(
            self.answer,
            self.is_organizer,
            self.is_cancelled,
            self.response_requested,
            answered_at=None if given is None else datetime.fromtimestamp(given / 1000, UTC),
        )
        return reply(200, event=shown)


class OneResponse(RuleBasedStateMachine):
    """One response on its way, and everything that can happen to it."""

    settle_ms: ClassVar[int] = SETTLE_MS
    """How long a call of unknown outcome is left alone."""

    looks: ClassVar[bool] = True
    """Whether the calendar is looked at after a call of unknown outcome."""

    @initialize(
        action=st.sampled_from(Action),
        answer=st.sampled_from(["notResponded"] * 6 + ["none", "accepted", "declined", None]),
        traits=st.sampled_from([""] * 6 + ["organizer", "cancelled", "not requested"]),
        keeps_declined=st.booleans(),
        answered_ms=st.sampled_from([None, BEGIN_MS - 3_600_000, BEGIN_MS + 1]),
        check_first=st.booleans(),
        max_attempts=st.integers(1, 4),
    )
    def submit(
        self,
        action: Action,
        answer: str | None,
        traits: str,
        *,
        keeps_declined: bool,
        answered_ms: int | None,
        check_first: bool,
        max_attempts: int,
    ) -> None:
        """Begin with a mailbox of some kind, and a batch that asks for something."""
        self.response = Response(user="ada@c.com", event="E1", action=action)
        self.calendar = Calendar(
            action=action,
            answer=answer,
            keeps_declined=keeps_declined,
            is_organizer=traits == "organizer",
            is_cancelled=traits == "cancelled",
            response_requested=traits != "not requested",
            answered_ms=answered_ms,
        )
        self.now_ms = BEGIN_MS
        self.terms = Terms(
            deadline_ms=self.now_ms + 3_600_000,
            cancelled=False,
            check_first=check_first,
            plan=False,
            max_attempts=max_attempts,
            settle_ms=self.settle_ms,
        )
        self.record: Record = QUEUED
        self.calls = 0
        self.late_until_ms: int | None = None
        self.disturbed = answer == ANSWERS[action]

    # What the worker does with a judgement, as `worker/slice/calls/call.py` does it.

    def mark(self) -> None:
        """Write the mark of a call that sends."""
        self.calls += 1
        self.record = self.record.marked(f"call {self.calls}")

    def conclude(self, met: Reply) -> None:
        """Judge the reply to the call whose mark stands, and note what it has shown (`Call`)."""
        before = self.record._replace(state=State.QUEUED)
        judgement = judge(met, self.response, before)
        told = self.record.told(status=met.status, request_id=None)
        taken = judgement.verdict in {Verdict.SENT, Verdict.REFUSED}
        told = told._replace(attempts=told.attempts + taken)
        match judgement.verdict:
            case Verdict.SENT | Verdict.REFUSED:
                assert judgement.ending is not None
                self.end(told, judgement.ending)
            case Verdict.WAIT:
                self.record = told.waiting(self.now_ms + BACKOFF_MS, throttled=True)
            case Verdict.LOOK if judgement.refusal is not None:
                self.record = told.refused(judgement.refusal)
            case Verdict.LOOK:
                self.pause_mailbox(told)
            case Verdict.AGAIN if judgement.token:
                self.record = told
            case Verdict.AGAIN:
                self.record = told.waiting(self.now_ms + BACKOFF_MS)
            case Verdict.SEEN:
                raise AssertionError("nothing was looked at")

    def pause_mailbox(self, record: Record) -> None:
        """Note a call of unknown outcome; what of it is still under way may arrive until then."""
        self.record = record.unknown(self.now_ms)
        if not self.looks:
            self.record = self.record._replace(unknown_since_ms=0, unclear=False)
        if self.late_until_ms is not None:
            self.late_until_ms = self.now_ms + SETTLE_MS - 1

    def conclude_look(self, met: Reply) -> None:
        """Judge the reply to a look, and note what it has shown; it leaves a call's ids."""
        judgement = judge_look(met, self.response, self.record, BEGIN_MS)
        told = self.record
        if told.client_request_id is None:
            told = told._replace(client_request_id="look").told(status=met.status, request_id=None)
        if judgement.ending is not None:
            self.end(told, judgement.ending)
        elif judgement.verdict is Verdict.WAIT:
            self.record = told.waiting(self.now_ms + BACKOFF_MS, throttled=True)
        elif judgement.verdict is Verdict.SEEN:
            self.record = told.shown(judgement.shown or "")
        elif judgement.token:
            self.record = told
        elif met.reached:
            self.record = told.looked_in_vain(self.now_ms + BACKOFF_MS)
        else:
            self.record = told.waiting(self.now_ms + BACKOFF_MS)

    def end(self, record: Record, ending: Ending) -> None:
        """Settle the response."""
        assert self.record.state is not State.SETTLED
        self.record = record.settled(ending, self.now_ms)

    # What can happen.

    @precondition(lambda self: self.record.state is State.QUEUED)
    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4))
    def go_on(self, fates: list[Fate]) -> None:
        """Take the next steps, one call for each fate."""
        for fate in fates:
            if self.record.state is State.QUEUED:
                self.take_step(fate)

    def take_step(self, fate: Fate) -> None:
        """Take the next step; if it is a call, it meets its fate."""
        step = next_step(self.record, self.terms, self.now_ms)
        match step.step:
            case Step.SEND:
                self.send(fate)
            case Step.LOOK:
                self.conclude_look(fate.met or self.calendar.show())
            case Step.WAIT:
                self.wait(step.until_ms - self.now_ms)
            case _:
                if step.ending is not None:
                    self.end(self.record, step.ending)

    def send(self, fate: Fate) -> None:
        """Make a call that sends; what Graph does not answer it may have taken, or take yet."""
        self.mark()
        if fate.when is When.LATE:
            self.late_until_ms = self.now_ms
        elif fate.when is When.NOW:
            self.calendar.take(self.now_ms)
        if not fate.dead:
            self.conclude(fate.met or self.calendar.take(self.now_ms))

    @precondition(lambda self: self.record.state is State.SENDING)
    @rule()
    def take_over(self) -> None:
        """Another worker opens the slice and finds a mark without an end."""
        self.pause_mailbox(self.record)

    @precondition(lambda self: self.late_until_ms is not None)
    @rule()
    def arrive_late(self) -> None:
        """Graph carries out what was given up."""
        self.late_until_ms = None
        self.calendar.take(self.now_ms)

    @rule(passed_ms=st.sampled_from([1, 500, BACKOFF_MS, SETTLE_MS, 3_600_000]))
    def wait(self, passed_ms: int) -> None:
        """Time passes; what was given up and is still under way arrives before it is too late."""
        then_ms = self.now_ms + passed_ms
        marked = self.record.state is State.SENDING  # its time counts from the take-over on
        if self.late_until_ms is not None and then_ms > self.late_until_ms and not marked:
            self.arrive_late()
        self.now_ms = then_ms

    @rule(what=st.sampled_from(["nothing"] * 6 + ["cancel", "remove"]))
    def interfere(self, what: str) -> None:
        """Have somebody cancel the batch, or remove the event; seldom, for most then is over."""
        if what == "cancel":
            self.terms = replace(self.terms, cancelled=True)
        elif what == "remove":
            self.disturbed |= self.calendar.answer is not None
            self.calendar.answer = None

    @precondition(lambda self: self.outcome in RETRIED)
    @rule()
    def retry(self) -> None:
        """Somebody has it tried again."""
        self.record = self.record.reopened()
        deadline_ms = self.now_ms + 3_600_000
        self.terms = replace(self.terms, cancelled=False, deadline_ms=deadline_ms)

    # What is promised.

    @property
    def outcome(self) -> Outcome | None:
        """How it has ended."""
        return None if self.record.ending is None else self.record.ending.outcome

    @invariant()
    def taken_at_most_once(self) -> None:
        """Graph never takes a response twice."""
        assert self.calendar.taken <= 1

    @invariant()
    def ends_are_true(self) -> None:
        """Hold each end to what is true, as far as nobody else has had a hand in it."""
        if self.record.ending == Ending(Outcome.SENT, Reason.ACCEPTED):
            assert self.calendar.taken == 1
        if self.record.ending == Ending(Outcome.SENT, Reason.VERIFIED) and not self.disturbed:
            assert self.calendar.taken == 1
        if self.outcome in NEVER_TAKEN:
            assert self.calendar.taken == 0

    @invariant()
    def ends_are_settled(self) -> None:
        """Have an end and the state `settled` come and go together."""
        assert (self.record.ending is None) == (self.record.state is not State.SETTLED)
        assert self.record == Record.from_json(self.record.to_json())

    def teardown(self) -> None:
        """Once Graph answers and time passes, every response ends within a few steps."""
        if not hasattr(self, "record"):
            return
        if self.record.state is State.SENDING:
            self.take_over()
        for _ in range(3 * self.terms.max_attempts + 6):
            self.go_on([HEARD])
        if self.late_until_ms is not None:
            self.arrive_late()
        self.taken_at_most_once()
        self.ends_are_true()
        assert self.record.state is State.SETTLED


class Impatient(OneResponse):
    """A broken worker: it looks at once, and does not wait for what is still under way."""

    settle_ms = 0


class Careless(OneResponse):
    """A broken worker: it sends again what it does not know the outcome of."""

    looks = False


EXAMPLES = settings(
    max_examples=250,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_every_response_is_taken_at_most_once_and_ends_truly() -> None:
    """Whatever goes wrong in whatever order, Graph takes a response once at most, and it ends."""
    run_state_machine_as_test(OneResponse, settings=EXAMPLES)


@pytest.mark.parametrize("broken", [Impatient, Careless])
def test_broken_workers_are_noticed(broken: type[OneResponse]) -> None:
    """The control: a worker that does not wait, or does not look, breaks the promise here."""
    unshrunk = settings(EXAMPLES, phases=[Phase.generate], print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=unshrunk)
