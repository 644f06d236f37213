"""
One call for one response: leave to make it, the exchange, what is written down of it.

It is made once. Whether there is another is the next step's affair, and decided from the record.
`Sending` is the call that is marked before it is made; `Looking` reads the event. What a
selection reads of a calendar stands in `worker/slice/calls/page_call.py`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar
from uuid import uuid4

from redis.exceptions import RedisError

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.writes import MARK_GOOD_S, Answer, Kind, Word
from jobs.record import Record
from jobs.rows.response import Response
from worker.graph.reply import Reply, TransportEnd
from worker.graph.verdict import (
    GRAPHS_WORD,
    Judgement,
    Verdict,
    judge,
    judge_lone_token,
    judge_look,
)
from worker.identity.credential import TokenUnavailable
from worker.identity.token_trial import Blame
from worker.slice import log_lines
from worker.slice.calls.pause import leave_alone, until_ms_of
from worker.slice.calls.unauthorized import await_token, clear_up, find_blame
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.throttle.backoff import backoff_s
from worker.throttle.gate import Leave

UNREACHED_MS = 500
"""When to come back after Redis did not take a mark: the call was not made."""

SPARING_S = 60.0
"""The backoff while the retry budget is used up, in seconds."""


class Call(ABC):
    """One call, of whichever kind: all of them obey the same leaves, waits and tokens."""

    kind: ClassVar = Kind.LOOK
    method: ClassVar = "GET"

    def __init__(self, shift: Shift, lane: Lane, entry: Entry) -> None:
        self.id = str(uuid4())
        self._shift = shift
        self._ledger = shift.context.ledger
        self._calls = shift.context.calls
        self._signals = shift.context.signals
        self._lane = lane
        self._entry = entry
        self._before = entry.record
        self._leave = Leave.OPEN
        self._begun_s = 0.0
        self._asked_s = 0.0

    async def make(self) -> bool:
        """Make the call if all allow it; return whether its response may take another step."""
        if not self._goes_on():
            return False
        try:
            token = await self._find_token()
        except TokenUnavailable as unavailable:
            return await_token(self._shift, self._lane, unavailable)
        try:
            async with self._calls.ready:
                reply = await self._admitted_exchange(token) if self._goes_on() else None
            if reply is None:
                return not (self._shift.stopped or self._lane.closed)
            return await self._conclude(reply, token)
        finally:
            self._give_back()

    async def _find_token(self) -> str:
        """Return a token for this mailbox; raises `TokenUnavailable`."""
        token = await self._calls.tokens.token()
        if self._calls.trial.refuses(self._lane.mailbox, token):
            return await self._calls.tokens.renew(token)
        return token

    async def _admitted_exchange(self, token: str) -> Reply | None:
        """Make the request in a slot, under a mark not long ago; return None if it may not be."""
        marked = over = False
        while not over:
            self._asked_s = self._signals.clocks.unstopped()
            if not await self._admitted():
                break
            marked = self.kind is Kind.MARK
            async with self._calls.slot:
                over = self._overtaken()
                if not over and self._timely():
                    self._calls.gate.begun(self._lane.mailbox)
                    self._begun_s = self._calls.trial.begun(self._lane.mailbox)
                    try:
                        reply = await self._exchange(token)
                    finally:
                        self._calls.trial.ended(self._lane.mailbox)
                    if not self._was_late(reply):
                        return reply
            self._give_back()
        if marked:  # it is taken back, since no call was made
            await self._shift.note(self._entry, self._before)
        return None

    def _timely(self) -> bool:
        """Whether the call may still begin on the strength of its mark."""
        return self._signals.clocks.unstopped() - self._asked_s < MARK_GOOD_S

    def _was_late(self, reply: Reply) -> bool:
        """Whether no byte was sent, only because it took too long to connect."""
        return reply.code is TransportEnd.WITHDRAWN and self._permitted()

    def _permitted(self) -> bool:
        """Whether the mark still holds: who stood still for too long must not send on it."""
        return self._ledger.worker_lease.holds(self._shift.part.worker)

    @abstractmethod
    async def _exchange(self, token: str) -> Reply:
        """Make the request."""

    @abstractmethod
    def _judge(self, reply: Reply) -> Judgement:
        """Say what the reply means."""

    @abstractmethod
    def _told(self, reply: Reply, judgement: Judgement) -> Record:
        """Return the record with what the reply says of itself."""

    @abstractmethod
    def _going_on(self, record: Record, reply: Reply, judgement: Judgement) -> Record:
        """Return the record as it goes on after a reply that neither ends it nor makes it wait."""

    def _goes_on(self) -> bool:
        return self._shift.goes_on(self._lane)

    async def _admitted(self) -> bool:
        """Pass the gate and write the mark. While Redis is away nobody passes."""
        try:
            self._leave = await self._calls.gate.ask(self._shift.part.worker)
            if self._leave is Leave.CLOSED:
                self._shift.end_lane(self._lane, self._calls.gate.reopens_ms())
                return False
            answer = await self._mark()
        except (RedisError, OSError):
            # Perhaps it was written, but nothing was sent: the next opening looks into it.
            answer = Answer(Word.STALE)
        if answer.word is Word.OK:
            return True
        self._give_back()
        self._obey(answer)
        return False

    def _give_back(self) -> None:
        """Give the leave back, if it is still to be answered for: else nobody probes any more."""
        self._calls.gate.give_back(self._leave)
        self._leave = Leave.OPEN

    def _overtaken(self) -> bool:
        """Whether it was over while its mark was written, or while it waited for a slot."""
        if self._shift.stopped or self._signals.log_lost.is_set():
            return True
        if self._leave is Leave.PROBE:
            # The gate closes a lane to all but its probe: the others beside it have asked in vain.
            return self._lane.refused
        return self._lane.closed or self._calls.gate.closed

    async def _mark(self) -> Answer:
        """Ask for leave to make the call; under a mark, if it sends."""
        return await self._ledger.slices.write(
            self._shift.part, self.kind, self._entry, self._before
        )

    def _obey(self, answer: Answer) -> None:
        """Do what the ledger's refusal of a mark wants."""
        match answer.word:
            case Word.CANCELLED:
                self._shift.cancel()
            case Word.LATER:
                self._shift.end_lane(self._lane, self._signals.now_ms() + answer.wait_ms)
            case Word.PAUSED:
                self._shift.stop(self._signals.now_ms() + self._shift.PAUSED_MS)
            case word:  # not ours any more, gone, or in doubt: opening it again will tell
                if word is Word.WENT_BACK:
                    self._signals.went_back.set()
                self._shift.stop(self._signals.now_ms() + UNREACHED_MS)

    async def _conclude(self, reply: Reply, token: str) -> bool:
        """Judge the reply, log it, write down what it has shown, and do what it wants."""
        judgement = self._judge(reply)
        blame = find_blame(
            self._calls, self._lane, judgement, reply, token=token, begun_s=self._begun_s
        )
        if blame is Blame.MAILBOX:
            judgement = judge_lone_token(self._before)
        first = not self._lane.refused  # of those that were in flight together
        waits = judgement.verdict is Verdict.WAIT
        if waits or reply.retry_after_s is not None:
            # At once: nobody may begin another call while this is written down.
            self._lane.refuse()
        self._log(reply, judgement)
        record = self._told(reply, judgement)
        if waits:
            return await self._wait(record, reply, away=judgement.away, first=first)
        await self._tell_gate(reply, None, went_through=judgement.verdict in GRAPHS_WORD)
        going_on = await self._act(record, reply, judgement, blame, token)
        if reply.retry_after_s is not None:
            await self._heed(reply, first=first)
        return going_on

    async def _act(
        self, record: Record, reply: Reply, judgement: Judgement, blame: Blame | None, token: str
    ) -> bool:
        """Write down what a reply has shown that does not ask to wait, and do what it wants."""
        if self._lane.away and judgement.verdict in GRAPHS_WORD:
            await self._come_back()
        if judgement.ending is not None:
            await self._shift.settle(self._entry, record, judgement.ending)
            return False
        if blame is not None:
            await self._shift.note(self._entry, record)
            return await clear_up(self._shift, self._lane, reply, token, blame)
        return await self._go_on(self._going_on(record, reply, judgement))

    async def _come_back(self) -> None:
        log_lines.mailbox_back(self._signals.log, self._shift.part, self._entry)
        await self._shift.come_back(self._lane)

    async def _tell_gate(
        self, reply: Reply, throttled_until_ms: int | None, *, went_through: bool
    ) -> None:
        if not reply.reached:  # Graph was not asked: that tells the gate nothing
            self._give_back()
        await self._shift.replied(
            self._leave, self._lane.mailbox, throttled_until_ms, went_through=went_through
        )
        self._leave = Leave.OPEN

    async def _go_on(self, record: Record) -> bool:
        return await self._shift.note(self._entry, record)

    def _log(self, reply: Reply, judgement: Judgement) -> None:
        log_lines.call_finished(
            self._signals.log,
            self._shift.part,
            self._entry,
            attempt=self._before.attempts + (self.kind is Kind.MARK),
            method=self.method,
            client_request_id=self.id,
            reply=reply,
            verdict=judgement.verdict,
        )

    async def _wait(self, record: Record, reply: Reply, *, away: bool, first: bool) -> bool:
        """Pause the mailbox for all workers, and end the lane."""
        if away and first:
            self._lane.away += 1
        times = self._lane.away if away else 0
        until_ms = self._until_ms(reply, away=times)
        await self._tell_gate(reply, None if away else until_ms, went_through=False)
        record = record.waiting(until_ms, throttled=True)
        if self._shift.overdue and _must_be_looked_at(record):  # else it might never end
            record = record.looked_in_vain(until_ms)
        await self._shift.note(self._entry, record)
        await leave_alone(
            self._shift, self._lane, self._entry, reply, until_ms=until_ms, away=times, told=first
        )
        return False

    async def _heed(self, reply: Reply, *, first: bool) -> None:
        """Leave the mailbox alone as long as a reply wants that means no `wait` itself."""
        until_ms = self._until_ms(reply)
        await leave_alone(
            self._shift, self._lane, self._entry, reply, until_ms=until_ms, told=first
        )

    def _until_ms(self, reply: Reply, *, away: int = 0) -> int:
        random, throttled = self._calls.random, self._before.throttled
        return until_ms_of(random, reply, throttled=throttled, away=away)

    def _again_ms(self, attempt: int) -> int:
        """Return when to try again after a failure; later while the retry budget is used up."""
        random = self._calls.random.random
        if self._calls.budget.spend():
            backoff = backoff_s(attempt, random)
        else:
            backoff = (0.5 + random() / 2) * SPARING_S
        return self._signals.now_ms() + int(backoff * 1000)


class EventCall(Call):
    """A call about one event."""

    def __init__(self, shift: Shift, lane: Lane, entry: Entry) -> None:
        super().__init__(shift, lane, entry)
        if not isinstance(response := entry.response, Response):
            raise TypeError(f"row {entry.row} has to find its events first")
        self._response = response


class Sending(EventCall):
    """The call that sends the response: marked before it is made."""

    kind = Kind.MARK
    method = "POST"

    async def _mark(self) -> Answer:
        part, record = self._shift.part, self._before.marked(self.id)
        part.asking += 1
        try:
            answer = await self._ledger.slices.write(part, self.kind, self._entry, record)
            if answer.word is Word.OK:
                part.marked_s = self._signals.clocks.unstopped()
        finally:
            part.asking -= 1
        return answer

    async def _exchange(self, token: str) -> Reply:
        return await self._calls.graph.send(
            self._response,
            token=token,
            client_request_id=self.id,
            permitted=self._permitted,
            timely=self._timely,
        )

    def _judge(self, reply: Reply) -> Judgement:
        return judge(reply, self._response, self._before)

    def _told(self, reply: Reply, judgement: Judgement) -> Record:
        return self._entry.record.told(
            status=reply.status,
            code=_code(reply),
            request_id=reply.request_id,
            carried_out=judgement.verdict in {Verdict.SENT, Verdict.REFUSED},
        )

    def _going_on(self, record: Record, reply: Reply, judgement: Judgement) -> Record:  # noqa: ARG002  # of all calls
        if judgement.refusal is not None:
            return record.refused(judgement.refusal)
        if judgement.verdict is Verdict.LOOK:
            return record.unknown(self._signals.now_ms())
        return record.waiting(self._again_ms(record.attempts + 1))


class Reading(Call):
    """A call that only reads: it changes nothing, and its record keeps the ids of a call sent."""

    def _told(self, reply: Reply, judgement: Judgement) -> Record:  # noqa: ARG002  # of all calls
        if self._before.client_request_id is not None:
            return self._before
        read = self._before.read_under(self.id)
        return read.told(status=reply.status, code=_code(reply), request_id=reply.request_id)

    def _going_on(self, record: Record, reply: Reply, judgement: Judgement) -> Record:
        if judgement.verdict is Verdict.SEEN:
            return record.shown(judgement.shown or "")
        if reply.reached:
            return record.looked_in_vain(self._again_ms(record.failed_looks + 1))
        return record.waiting(self._again_ms(record.attempts + 1))


class Looking(Reading, EventCall):
    """The call that reads the event."""

    async def _exchange(self, token: str) -> Reply:
        return await self._calls.graph.look(
            self._response,
            token=token,
            client_request_id=self.id,
            showing=self._shift.part.batch.plan,
        )

    def _judge(self, reply: Reply) -> Judgement:
        batch = self._shift.part.batch
        begun_ms = batch.started_at_ms or batch.submitted_at_ms
        return judge_look(reply, self._response, self._before, begun_ms)

    def _told(self, reply: Reply, judgement: Judgement) -> Record:
        told = super()._told(reply, judgement)
        if self._shift.part.batch.plan and reply.event is not None:
            return told.showing_event(reply.event.showing)
        return told


def _must_be_looked_at(record: Record) -> bool:
    return bool(record.unknown_since_ms or record.refusal)


def _code(reply: Reply) -> str | None:
    """Return Graph's code; without a status it is a word of ours, and says how a call ended."""
    return reply.code if reply.status is not None else None
