"""The two calls about one event: `Sending` the response to it, and `Looking` at it."""

from jobs.ledger.forms.entries import Entry
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.record import Record
from jobs.rows.response import Response
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement, Verdict, judge, judge_look
from worker.slice.calls.call import Call
from worker.slice.calls.reading import Reading
from worker.slice.lane import Lane
from worker.slice.shift import Shift


class Sending(Call):
    """The call that sends the response: marked before it is made."""

    kind = Kind.MARK
    method = "POST"

    def __init__(self, shift: Shift, lane: Lane, entry: Entry) -> None:
        super().__init__(shift, lane, entry)
        self._response = _response_of(entry)

    async def _mark(self) -> Answer:
        part, record = self._shift.part, self._before.marked(self.id)
        part.asking += 1
        try:
            answer = await self._slices.write(part, self.kind, self._entry, record)
            if answer.status is WriteStatus.OK:
                part.marked_s = self._shift.context.signals.clocks.unstopped()
        finally:
            part.asking -= 1
        return answer

    async def _exchange(self, token: str) -> Reply:
        return await self._calls.graph.send(
            self._response,
            token=token,
            client_request_id=self.id,
            permitted=self._admission.is_permitted,
            timely=self._admission.is_timely,
        )

    def _judge(self, reply: Reply) -> Judgement:
        return judge(reply, self._response, self._before)

    def _record_with(self, reply: Reply, judgement: Judgement) -> Record:
        return self._entry.record.told(
            status=reply.status,
            code=reply.graph_code,
            request_id=reply.request_id,
            carried_out=judgement.verdict in {Verdict.SENT, Verdict.REFUSED},
        )

    def _next_record(self, record: Record, reply: Reply, judgement: Judgement) -> Record:  # noqa: ARG002  # of all calls
        if judgement.refusal is not None:
            return record.refused(judgement.refusal)
        if judgement.verdict is Verdict.LOOK:
            return record.unknown(self._shift.now_ms())
        return record.waiting(self._again_ms(record.attempts + 1))


class Looking(Reading):
    """The call that reads the event."""

    def __init__(self, shift: Shift, lane: Lane, entry: Entry) -> None:
        super().__init__(shift, lane, entry)
        self._response = _response_of(entry)

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

    def _record_with(self, reply: Reply, judgement: Judgement) -> Record:
        record = super()._record_with(reply, judgement)
        if self._shift.part.batch.plan and reply.event is not None:
            return record.showing_event(reply.event.showing)
        return record


def _response_of(entry: Entry) -> Response:
    if not isinstance(response := entry.response, Response):
        raise TypeError(f"row {entry.row} has to find its events first")
    return response
