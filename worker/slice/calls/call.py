"""
One call, of whichever kind: permission to make it, the exchange, what is written of its reply.

It is made once. Whether another follows is decided from the record (`jobs/record.py`). What differs
between the kinds is in `event_call.py` (one event) and `page_call.py` (a page of a calendar).
"""

from abc import ABC, abstractmethod
from typing import ClassVar
from uuid import uuid4

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.record import Record
from worker.graph.reply import Reply, TransportEnd
from worker.graph.verdict import GRAPHS_WORD, Judgement, Verdict, judge_lone_token
from worker.identity.token_source import TokenUnavailable
from worker.identity.token_trial import Blame
from worker.slice import log_lines
from worker.slice.calls.admission import Admission
from worker.slice.calls.pause import pause_mailbox, until_ms_of
from worker.slice.calls.unauthorized import await_token, clear_up, find_blame
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.throttle.backoff import backoff_s

UNREACHED_MS = 500
"""When to come back after Redis did not take a mark: the call was not made."""

SPARING_S = 60.0
"""The backoff while the retry budget is used up, in seconds."""


class Call(ABC):
    """
    One call for one entry.

    `make` is the outermost of five verbs, each of which makes the call inside what it adds: a
    token (`make`), a turn among the calls that may have a mark (`_make_in_turn`), the gate's
    permission and a mark (`_make_under_mark`), a slot (`_make_in_slot`), the request (`_exchange`).
    """

    kind: ClassVar = Kind.LOOK
    method: ClassVar = "GET"

    def __init__(self, shift: Shift, lane: Lane, entry: Entry) -> None:
        self.id = str(uuid4())
        self._shift = shift
        self._slices = shift.context.ledger.slices
        self._calls = shift.context.calls
        self._lane = lane
        self._entry = entry
        self._before = entry.record
        self._admission = Admission(shift, lane)
        self._begun_s = 0.0

    async def make(self) -> bool:
        """Make the call if all allow it; return whether its response may take another step."""
        if not self._may_begin():
            return False
        try:
            token = await self._find_token()
        except TokenUnavailable as unavailable:
            return await_token(self._shift, self._lane, unavailable)
        try:
            reply = await self._make_in_turn(token)
            if reply is None:
                return not (self._shift.stopped or self._lane.closed)
            return await self._conclude(reply, token)
        finally:
            self._admission.give_back()

    async def _make_in_turn(self, token: str) -> Reply | None:
        """Make it when it is its turn to ask for a mark; None if it may not be made."""
        async with self._calls.ready:
            return await self._make_under_mark(token) if self._may_begin() else None

    async def _make_under_mark(self, token: str) -> Reply | None:
        """Make it on a mark, with a new one whenever that is too old; None if it may not be."""
        marked = over = False
        while not over and await self._is_admitted():
            marked = self.kind is Kind.MARK
            async with self._calls.slot:
                over = self._admission.is_overtaken()
                reply = None if over else await self._make_in_slot(token)
            if reply is not None:
                return reply
            self._admission.give_back()
        if marked:  # it is taken back, since no call was made
            await self._shift.note(self._entry, self._before)
        return None

    async def _make_in_slot(self, token: str) -> Reply | None:
        """Make it, unless its mark is too old by now; None if no byte was sent for that reason."""
        if not self._admission.is_timely():
            return None
        mailbox = self._lane.mailbox
        self._calls.gate.begun(mailbox)
        self._begun_s = self._calls.trial.begun(mailbox)
        try:
            reply = await self._exchange(token)
        finally:
            self._calls.trial.ended(mailbox)
        # Withdrawn although the lease holds: it took too long to connect.
        late = reply.code is TransportEnd.WITHDRAWN and self._admission.is_permitted()
        return None if late else reply

    @abstractmethod
    async def _exchange(self, token: str) -> Reply:
        """Make the request."""

    @abstractmethod
    def _judge(self, reply: Reply) -> Judgement:
        """Return what the reply means."""

    @abstractmethod
    def _record_with(self, reply: Reply, judgement: Judgement) -> Record:
        """Return the record with what is kept of the reply itself."""

    @abstractmethod
    def _next_record(self, record: Record, reply: Reply, judgement: Judgement) -> Record:
        """Return the record after a reply that neither ends the response nor makes it wait."""

    def _may_begin(self) -> bool:
        return self._shift.may_begin(self._lane)

    async def _find_token(self) -> str:
        """Return a token for this mailbox; raises `TokenUnavailable`."""
        token = await self._calls.tokens.token()
        if self._calls.trial.refuses(self._lane.mailbox, token):
            return await self._calls.tokens.renew(token)
        return token

    async def _is_admitted(self) -> bool:
        answer = await self._admission.ask(self._mark)
        if answer is None:  # the gate is closed
            return False
        if answer.status is not WriteStatus.OK:
            self._obey(answer)
        return answer.status is WriteStatus.OK

    async def _mark(self) -> Answer:
        """Ask the ledger for permission to make the call; under a mark, if it sends."""
        return await self._slices.write(self._shift.part, self.kind, self._entry, self._before)

    def _obey(self, answer: Answer) -> None:
        """Do what follows from the ledger's refusal."""
        shift = self._shift
        match answer.status:
            case WriteStatus.CANCELLED:
                shift.cancel()
            case WriteStatus.LATER:
                shift.end_lane(self._lane, shift.now_ms() + answer.wait_ms)
            case WriteStatus.PAUSED:
                shift.stop(shift.now_ms() + shift.PAUSED_MS)
            case status:  # not ours any more, gone, or in doubt: the next opening finds out
                if status is WriteStatus.WENT_BACK:
                    shift.context.signals.went_back.set()
                shift.stop(shift.now_ms() + UNREACHED_MS)

    async def _conclude(self, reply: Reply, token: str) -> bool:
        """Judge the reply, log it, write down what it has shown, and do what follows from it."""
        judgement = self._judge(reply)
        blame = find_blame(
            self._calls, self._lane, judgement, reply, token=token, begun_s=self._begun_s
        )
        if blame is Blame.MAILBOX:
            judgement = judge_lone_token(self._before)
        first = not self._lane.refused  # of those that were in flight together
        waits = judgement.verdict is Verdict.WAIT
        if waits or reply.retry_after_s is not None:
            # At once: no other call may begin while this is written down.
            self._lane.refuse()
        self._log(reply, judgement)
        record = self._record_with(reply, judgement)
        if waits:
            await self._wait(record, reply, away=judgement.away, first=first)
            return False
        await self._admission.replied(reply, went_through=judgement.verdict in GRAPHS_WORD)
        may_follow = await self._write_down(record, reply, judgement, blame, token)
        if reply.retry_after_s is not None:
            await self._heed(reply, first=first)
        return may_follow

    async def _write_down(
        self, record: Record, reply: Reply, judgement: Judgement, blame: Blame | None, token: str
    ) -> bool:
        """Write what a reply has shown that does not ask to wait; return whether a step follows."""
        if self._lane.away and judgement.verdict in GRAPHS_WORD:
            log_lines.mailbox_back(self._shift.log, self._shift.part, self._entry)
            await self._shift.come_back(self._lane)
        if judgement.ending is not None:
            await self._shift.settle(self._entry, record, judgement.ending)
            return False
        if blame is not None:
            await self._shift.note(self._entry, record)
            return await clear_up(self._shift, self._lane, reply, token, blame)
        return await self._note(self._next_record(record, reply, judgement))

    async def _note(self, record: Record) -> bool:
        """Write a record that goes on; return whether the response is still ours."""
        return await self._shift.note(self._entry, record)

    async def _wait(self, record: Record, reply: Reply, *, away: bool, first: bool) -> None:
        """Pause the mailbox for all workers, and end the lane."""
        if away and first:
            self._lane.away += 1
        times = self._lane.away if away else 0
        until_ms = self._until_ms(reply, away=times)
        await self._admission.replied(reply, None if away else until_ms)
        record = record.waiting(until_ms, throttled=True)
        if self._shift.overdue and _must_be_looked_at(record):  # else it might never end
            record = record.looked_in_vain(until_ms)
        await self._shift.note(self._entry, record)
        await self._pause_mailbox(reply, until_ms, first=first, away=times)

    async def _heed(self, reply: Reply, *, first: bool) -> None:
        """Pause the mailbox for as long as a reply asks that does not itself mean `wait`."""
        await self._pause_mailbox(reply, self._until_ms(reply), first=first)

    async def _pause_mailbox(
        self, reply: Reply, until_ms: int, *, first: bool, away: int = 0
    ) -> None:
        await pause_mailbox(
            self._shift, self._lane, self._entry, reply, until_ms=until_ms, logged=first, away=away
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
        return self._shift.now_ms() + int(backoff * 1000)

    def _log(self, reply: Reply, judgement: Judgement) -> None:
        log_lines.call_finished(
            self._shift.log,
            self._shift.part,
            self._entry,
            attempt=self._before.attempts + (self.kind is Kind.MARK),
            method=self.method,
            client_request_id=self.id,
            reply=reply,
            verdict=judgement.verdict,
        )


def _must_be_looked_at(record: Record) -> bool:
    return bool(record.unknown_since_ms or record.refusal)
