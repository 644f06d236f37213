"""What all calls have in common that only read: they change nothing."""

from jobs.record import Record
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement, Verdict
from worker.slice.calls.call import Call


class Reading(Call):
    """A call that only reads; its record keeps the ids of a call that was sent before."""

    def _record_with(self, reply: Reply, judgement: Judgement) -> Record:  # noqa: ARG002  # of all calls
        if self._before.client_request_id is not None:
            return self._before
        read = self._before.read_under(self.id)
        return read.told(status=reply.status, code=reply.graph_code, request_id=reply.request_id)

    def _next_record(self, record: Record, reply: Reply, judgement: Judgement) -> Record:
        if judgement.verdict is Verdict.SEEN:
            return record.shown(judgement.shown or "")
        if reply.reached:
            return record.looked_in_vain(self._again_ms(record.failed_looks + 1))
        return record.waiting(self._again_ms(record.attempts + 1))
