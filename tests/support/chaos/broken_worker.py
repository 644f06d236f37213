"""
Workers that are broken on purpose, each in one way: what the checker has to catch.

    python broken_worker.py VARIANT [options of `bulkrsvp worker`]

These are no fakes that a test leans on: patching the product is the purpose here. A checker that
finds nothing in a run of one of these would find nothing in a run of a product that has the same
defect. Each variant takes away one thing that the promise rests on, and leaves all else as it is.
"""

import hashlib
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import worker.graph.codes
import worker.graph.connections
import worker.graph.error
import worker.graph.verdict
import worker.slice.calls.pause
import worker.slice.shift
from jobs.ledger.script import Script
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Answer, Kind, WriteStatus
from jobs.steps import next_step
from worker.commands import main
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement
from worker.slice.calls.admission import Admission
from worker.slice.calls.call import Call
from worker.slice.recent_marks import RecentMarks


def no_mark() -> None:
    """Call without a mark: what the ledger has not been told, a successor does not know."""
    write = Slices.write

    async def unmarked(self: Slices, part: Any, kind: Kind, entry: Any, record: Any) -> Answer:
        if kind is not Kind.MARK:
            return await write(self, part, kind, entry, record)
        entry.record = record
        return Answer(WriteStatus.OK)

    patch.object(Slices, "write", unmarked).start()


def no_look() -> None:
    """Send what may have been sent once more, at once and without a look."""

    def blind(record: Any, terms: Any, now_ms: int) -> Any:
        return next_step(record._replace(unknown_since_ms=0), terms, now_ms)

    patch.object(worker.slice.shift, "next_step", blind).start()


def no_settle_time() -> None:
    """Look at once, while Graph may still be at the call that was given up."""

    def hasty(record: Any, terms: Any, now_ms: int) -> Any:
        return next_step(record, replace(terms, settle_ms=0), now_ms)

    patch.object(worker.slice.shift, "next_step", hasty).start()


def no_wait() -> None:
    """Call again at once, whatever Retry-After says."""
    patch.object(worker.slice.calls.pause, "wait_s", lambda *_, **__: 0.0).start()


def no_fence() -> None:
    """
    Let a worker that stood still go on as if nothing had happened meanwhile.

    The epoch is not checked, records are not compared, the lease is not asked for before a call,
    and a shift does not end. Several guards stand here behind each other: with the epoch check
    alone gone, Graph saw nothing wrong, so this variant takes them away together.
    """
    _change_write(
        [
            (r'redis\.call\("EXISTS", KEYS\[2\]\) == 0', "false"),
            (r"slice\.known\.epoch ~= slice\.epoch", "false"),
            (r"if current ~= expected then", "if false then"),
        ]
    )
    patch.object(Admission, "is_permitted", lambda *_: True).start()
    patch.object(worker.slice.shift, "SHIFT_MS", 600_000).start()


def no_reset() -> None:
    """Only close what was given up: the kernel delivers what the other side has not taken yet."""

    def plain(address: Any) -> socket.socket:
        return socket.socket(*address[:3])

    patch.object(worker.graph.connections, "_resetting_socket", plain).start()
    patch.object(worker.graph.connections, "reset", lambda connection: connection.close()).start()


def believes_pages() -> None:
    """Take any 404 for Graph's word that the event is gone."""
    word = worker.graph.error.word

    def credulous(reply: Reply) -> str:
        return "erroritemnotfound" if reply.status == 404 else word(reply)

    patch.object(worker.graph.error, "word", credulous).start()


def believes_successes() -> None:
    """Take any 2xx for Graph's word that it took the response."""
    patch.object(worker.graph.verdict, "_is_acceptance", lambda _: True).start()


def believes_refusals() -> None:
    """Take any error of Graph's for a proof that nothing was done."""
    patch.object(worker.graph.codes, "DOUBTFUL", frozenset()).start()


def believes_slow_downs() -> None:
    """Take any 503 with a Retry-After for Graph's word that nothing was done."""
    judge_any = worker.graph.verdict._judge_any

    def credulous(reply: Reply) -> Judgement | None:
        asked = reply.status == 503 and reply.retry_after_s is not None
        return worker.graph.verdict.WAIT if asked else judge_any(reply)

    patch.object(worker.graph.verdict, "_judge_any", credulous).start()


def heeds_throttling_only() -> None:
    """Pass over a Retry-After unless it comes with throttling."""

    async def heedless(*_: Any, **__: Any) -> None:
        pass

    patch.object(Call, "_heed", heedless).start()


def remembers_nothing() -> None:
    """Say after a loss of Redis that no mark was granted lately."""
    patch.object(RecentMarks, "lately", lambda _: []).start()


def _change_write(changes: list[tuple[str, str]]) -> None:
    load = Script.__init__

    def changed(self: Script, redis: Any, name: str) -> None:
        load(self, redis, name)
        if name == "write":
            for pattern, instead in changes:
                self.source, times = re.subn(pattern, instead, self.source)
                assert times == 1, f"write.lua does not have {pattern} any more"
            self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    patch.object(Script, "__init__", changed).start()


VARIANTS: dict[str, Callable[[], None]] = {
    variant.__name__: variant
    for variant in (
        no_mark,
        no_look,
        no_settle_time,
        no_wait,
        no_fence,
        no_reset,
        believes_pages,
        believes_successes,
        believes_refusals,
        believes_slow_downs,
        heeds_throttling_only,
        remembers_nothing,
    )
}

if __name__ == "__main__":
    VARIANTS[sys.argv[1]]()
    main(["worker", *sys.argv[2:]])
