"""
What is known of one response on its way: the record that the ledger keeps.

A record is queued, then sending (a mark is set: a call may be under way), then settled. It also
notes until when it waits, since when a call of unknown outcome is left alone, and what a look has
seen. Pure: the ledger stores it, and `jobs/steps.py` says what follows from it.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

import orjson

from jobs.outcome import Ending, Reason
from jobs.storable import MAX_SHOWN, kept, moment, number, word


class State(StrEnum):
    """The state of a response; one letter each, since a million of them may be in Redis."""

    QUEUED = "q"
    SENDING = "m"
    SETTLED = "s"


class Record(NamedTuple):
    """
    What the ledger knows of one response; a tuple, since each call makes three new ones.

    Times are milliseconds since the epoch, 0 where there is none. `attempts` counts the calls
    that could have been carried out. `code` is Graph's error code in the reply that `status` is
    of. `unclear` stays true from the first call whose outcome was not known; `seen` is the answer
    that the calendar showed at the latest look, None before one. `doubted_ms` is when the ledger
    was last known to have forgotten something. `showing` is the event's subject, start and
    organizer, noted for a plan. `refusal` is the reason of a refusal that one look may still
    explain better.

    What the methods return can be stored and read again unchanged: foreign texts are cut, and
    what is not text in them is replaced. They raise `TypeError` or `ValueError` for anything else.
    """

    state: State = State.QUEUED
    attempts: int = 0
    throttled: int = 0
    status: int | None = None
    client_request_id: str | None = None
    request_id: str | None = None
    waiting_until_ms: int = 0
    unknown_since_ms: int = 0
    unclear: bool = False
    seen: str | None = None
    failed_looks: int = 0
    doubted_ms: int = 0
    showing: tuple[str | None, ...] | None = None
    settled_at_ms: int = 0
    ending: Ending | None = None
    code: str | None = None
    refusal: Reason | None = None

    def marked(self, client_request_id: str) -> Self:
        """Return the record under the mark of the call that is about to be made."""
        return self._open(state=State.SENDING, client_request_id=word(client_request_id))

    def told(
        self,
        *,
        status: int | None,
        request_id: str | None,
        code: str | None = None,
        carried_out: bool = False,
    ) -> Self:
        """
        Return the record with what the latest reply says about itself, without its mark.

        A call that was `carried_out`, or refused for good, is an attempt.
        """
        return self._open(
            attempts=self.attempts + bool(carried_out),
            status=status if status is None else number(status) or None,
            code=word(code),
            request_id=word(request_id),
        )

    def read_under(self, client_request_id: str) -> Self:
        """Return the record with the id of a call that only read, unless it has one already."""
        if self.client_request_id is not None:
            return self
        return self._replace(client_request_id=word(client_request_id))

    def showing_event(self, shown: tuple[str | None, ...]) -> Self:
        """Return the record with what a plan shows of the event: subject, start, organizer."""
        subject, start, organizer = (kept(each, MAX_SHOWN) for each in shown)
        return self._replace(showing=(subject, start, organizer))

    def unknown(self, now_ms: int) -> Self:
        """Return the record after a call that may have been carried out."""
        return self._open(
            attempts=self.attempts + 1,
            unknown_since_ms=moment(now_ms),
            waiting_until_ms=0,
            unclear=True,
            failed_looks=0,
        )

    def orphaned(self, now_ms: int, max_attempts: int) -> Self:
        """
        Return the record after a call whose worker died.

        It may have been carried out, but never counts as the last attempt: the worker may have died
        of another response, and this one has still to be tried by a worker that survives.
        """
        attempts = min(self.attempts + 1, max(self.attempts, max_attempts - 1))
        return self.unknown(now_ms)._replace(attempts=attempts)

    def refused(self, reason: Reason) -> Self:
        """Return the record after a call that was certainly refused, though not clearly why."""
        return self._open(
            attempts=self.attempts + 1,
            waiting_until_ms=0,
            failed_looks=0,
            refusal=Reason(reason),
        )

    def doubted(self, doubted_ms: int, now_ms: int) -> Self:
        """Return the record of a response that may have been sent and forgotten by the ledger."""
        return self._open(
            unknown_since_ms=moment(now_ms), unclear=True, doubted_ms=moment(doubted_ms)
        )

    def waiting(self, until_ms: int, *, throttled: bool = False) -> Self:
        """Return the record of a response that waits until `until_ms`."""
        return self._open(
            waiting_until_ms=moment(until_ms), throttled=self.throttled + bool(throttled)
        )

    def looked_in_vain(self, until_ms: int) -> Self:
        """Return the record after a look that showed nothing."""
        return self.waiting(until_ms)._replace(failed_looks=self.failed_looks + 1)

    def shown(self, answer: str) -> Self:
        """Return the record after a look that found it unanswered: it may be sent."""
        seen = word(answer) or "none"
        return self._replace(seen=seen, unknown_since_ms=0, waiting_until_ms=0, failed_looks=0)

    def settled(self, ending: Ending, now_ms: int) -> Self:
        """Return the final record."""
        if type(ending) is not Ending:
            raise TypeError("not an end")
        return self._replace(
            state=State.SETTLED,
            ending=ending,
            settled_at_ms=moment(now_ms),
            waiting_until_ms=0,
            unknown_since_ms=0,
        )

    def reopened(self) -> Self:
        """
        Return the record as `retry` queues it again, with its full attempts.

        What was unclear stays so, and is looked at before anything is sent. What else was seen is
        forgotten: it may be days old.
        """
        return type(self)(
            unclear=self.unclear,
            seen=self.seen if self.unclear else None,
            doubted_ms=self.doubted_ms,
            unknown_since_ms=self.settled_at_ms if self.unclear else 0,
        )

    def _open(self, *, state: State = State.QUEUED, **changes: Any) -> Self:
        """Return the record of a response that continues; one that has ended cannot."""
        if self.ending is not None:
            raise ValueError("a response that has ended does not continue")
        return self._replace(state=state, **changes)

    def uncoded(self) -> Self:
        """Return the record as programs without codes know it (ledger forms 1 to 3)."""
        if self.code is None and self.refusal is None:
            return self
        return self._replace(code=None, refusal=None)

    def to_json(self) -> bytes:
        """Return the record as a JSON array without empty fields at its end."""
        fields: list[object] = [
            self.state,
            self.attempts,
            self.throttled,
            self.status,
            self.client_request_id,
            self.request_id,
            self.ending and self.ending.to_fields(),
            self.settled_at_ms,
            self.waiting_until_ms,
            self.unknown_since_ms,
            int(self.unclear),
            self.seen,
            self.failed_looks,
            self.doubted_ms,
            self.showing,
            self.code,
            self.refusal,
        ]
        while not fields[-1]:
            fields.pop()
        return bytes(memoryview(orjson.dumps(fields)))  # orjson's own result keeps a buffer of 4 KB

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """
        Return the record that `to_json` wrote.

        Raises `ValueError` for anything else: whoever can write to Redis can write nonsense.
        """
        fields = orjson.loads(text)
        if not isinstance(fields, list) or len(fields) > len(_FORMS):
            raise ValueError("not a record: not a list, or too long")
        for value, (known, rule) in zip(fields, _FORMS, strict=False):
            if value is None:
                continue
            if type(value) is not known:
                raise ValueError(f"not a record: a {type(value).__name__} at the wrong place")
            if rule is not None:
                rule(value)
        fields += [None] * (len(_FORMS) - len(fields))
        record = cls(
            state=State(fields[0]),
            attempts=fields[1] or 0,
            throttled=fields[2] or 0,
            status=fields[3],
            client_request_id=fields[4],
            request_id=fields[5],
            ending=None if fields[6] is None else Ending.from_fields(fields[6]),
            settled_at_ms=fields[7] or 0,
            waiting_until_ms=fields[8] or 0,
            unknown_since_ms=fields[9] or 0,
            unclear=bool(fields[10]),
            seen=fields[11],
            failed_looks=fields[12] or 0,
            doubted_ms=fields[13] or 0,
            showing=_read_showing(fields[14]),
            code=fields[15],
            refusal=None if fields[16] is None else Reason(fields[16]),
        )
        if (record.state is State.SETTLED) != (record.ending is not None):
            raise ValueError("not a record: its state and its end contradict each other")
        return record


_TEXT: Final = (str, None)
_COUNT: Final = (int, number)
_MOMENT: Final = (int, moment)
_LIST: Final = (list, None)
_FORMS: Final[tuple[tuple[type, Callable[[Any], int] | None], ...]] = (
    *(_TEXT, _COUNT, _COUNT, _COUNT, _TEXT, _TEXT, _LIST, _MOMENT, _MOMENT, _MOMENT),
    *(_COUNT, _TEXT, _COUNT, _MOMENT, _LIST, _TEXT, _TEXT),
)
"""The types of a record's array, and what numbers must be; any of them may be null."""


def _read_showing(fields: list[object] | None) -> tuple[str | None, ...] | None:
    if fields is None:
        return None
    if not all(each is None or isinstance(each, str) for each in fields):
        raise ValueError("not a record: it shows nothing that can be read")
    return tuple(each if each is None else str(each) for each in fields)


QUEUED: Final = Record()
"""A response of which nothing has been noted yet; the ledger stores nothing for it."""
