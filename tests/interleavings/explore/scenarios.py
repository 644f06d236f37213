"""What is explored: who takes part, what the batch holds, which faults there may be."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

import orjson
from arq.connections import ArqRedis

from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.batch import Order
from jobs.ledger.forms.slice import Slice
from jobs.ledger.queue import Queue
from jobs.ledger.workers.failover import SETTLED_IN_MS
from jobs.operations.flags import cancelling, pausing, resuming
from jobs.operations.retry import Choice, queue_again
from jobs.outcome import Outcome
from jobs.times import now_ms
from tests.interleavings.model import staff
from tests.interleavings.model.actors import Actor
from tests.interleavings.model.client import SteppedRedis

BATCH: Final = "b"


class Fault(StrEnum):
    """What may go wrong."""

    KILL = "kill"
    """Somebody dies; a call that is under way may still arrive."""
    LEASE = "lease"
    """A worker's lease is gone, and the worker does not know."""
    CLAIM = "claim"
    """A worker's claim to a slice is gone from the queue, and its lease is not."""
    STILL = "still"
    """A worker stands still until its lease has ended, and goes on."""
    CUT = "cut"
    """The connection to Redis is cut, before a command was carried out or after."""
    UNHEARD = "unheard"
    """Graph takes a call, and its reply is lost."""
    NETWORK = "network"
    """A call is lost."""
    LATE = "late"
    """A call is given up, and arrives before the settle time is over."""
    THROTTLED = "throttled"
    FAILED = "failed"
    REFUSED = "refused"
    SLOW = "slow"
    """Time passes although somebody could go on."""
    REWIND = "rewind"
    """Redis forgets the writes it was told last."""


GRAPHS: Final = frozenset({Fault.UNHEARD, Fault.NETWORK, Fault.LATE, Fault.THROTTLED, Fault.FAILED})
WORKERS: Final = frozenset(
    {Fault.KILL, Fault.LEASE, Fault.CLAIM, Fault.STILL, Fault.CUT, Fault.SLOW}
)
ALL: Final = GRAPHS | WORKERS

Act = Callable[[ArqRedis, Batches], Awaitable[object]]


async def _pause_and_resume(redis: ArqRedis, batches: Batches) -> None:
    await pausing(BATCH).change(redis, batches)
    await resuming(BATCH).change(redis, batches)


async def _cancel(redis: ArqRedis, batches: Batches) -> None:
    await cancelling(BATCH).change(redis, batches)


async def _retry(redis: ArqRedis, batches: Batches) -> object:
    wanted = frozenset({Outcome.FAILED.value, Outcome.EXPIRED.value, Outcome.UNCERTAIN.value})
    return await queue_again(redis, batches, BATCH, Choice(wanted, frozenset()))


ACTS: Final[Mapping[str, Act]] = {
    "pause": _pause_and_resume,
    "cancel": _cancel,
    "retry": _retry,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    A small batch and who meets it; `faults` may happen, at most `most` of them in one schedule.

    `slices` are the rows of each slice: mailbox and event. `acts` are what administrators do, each
    once. `switches` is how often another actor comes in between while one could go on; None is as
    often as there is. The first call for an event that is `refused` is. `rewinds` is how many of
    the latest changes Redis may forget. `spares` are workers that come when a lone one dies, one
    after the other. With `poison`, one death is enough for responses to be tried one by one, and
    one try for them to be given up.
    """

    name: str
    workers: int = 1
    slices: tuple[tuple[tuple[str, str], ...], ...] = ((("ada", "E1"),),)
    selects: bool = False
    acts: tuple[str, ...] = ()
    switches: int | None = None
    faults: frozenset[Fault] = field(default_factory=frozenset)
    most: int = 0
    allowed_ms: int = 86_400_000
    check_first: bool = False
    refused: frozenset[str] = frozenset()
    spares: int = 1
    poison: bool = False
    rewinds: int = 0
    failover: bool = False

    @property
    def people(self) -> list[tuple[str, str]]:
        """Who takes part, and how each begins; a lone worker has one who comes when it dies."""
        workers = [(f"w{number}", "alive") for number in range(1, self.workers + 1)]
        if self.workers == 1:
            workers += [(f"w{number}", "spare") for number in range(2, self.spares + 2)]
        return workers + [(act, "alive") for act in self.acts]

    def makers(self) -> dict[str, Callable[[], Actor]]:
        """Return what makes each of the actors."""
        made: dict[str, Callable[[], Actor]] = {
            "submitter": partial(staff.administrator, "submitter", 99, self._submit)
        }
        settles_in_ms = SETTLED_IN_MS if self.rewinds else 0
        for number in range(1, max(self.workers, self.spares + 1) + 1):
            made[f"w{number}"] = partial(staff.worker, f"w{number}", number, settles_in_ms)
        for number, act in enumerate(self.acts):
            made[act] = partial(staff.administrator, act, 50 + number, ACTS[act])
        return made

    async def _submit(self, redis: SteppedRedis, batches: Batches) -> None:
        slices = [
            Slice(number, len(rows), zlib.compress(orjson.dumps(list(self._rows(number))), 1))
            for number, rows in enumerate(self.slices)
        ]
        total = sum(map(len, self.slices))
        order = Order(
            batch=BATCH,
            fingerprint="f",
            total=total,
            duplicates=0,
            not_before_ms=now_ms(),
            allowed_ms=self.allowed_ms,
            check_first=self.check_first,
            plan=False,
            selections=total if self.selects else 0,
        )
        await batches.commit(order, slices, now_ms())
        await Queue(redis, batches).release(await batches.get(BATCH))

    def _rows(self, number: int) -> Any:
        first = 1 + sum(len(rows) for rows in self.slices[:number])
        for row, (user, event) in enumerate(self.slices[number], start=first):
            given: dict[str, Any] = {"user": f"{user}@contoso.com"}
            asked: dict[str, Any] = {"events": {}} if self.selects else {"event": event}
            given |= asked
            given |= {"action": "tentativelyAccept", "sendResponse": True}
            yield [row, given]


TWO: Final = ((("ada", "E1"), ("ada", "E2")),)
APART: Final = ((("ada", "E1"),), (("grace", "E2"),))


def _named(*scenarios: Scenario) -> dict[str, Scenario]:
    return {each.name: each for each in scenarios}


SHORT: Final = _named(
    Scenario(name="one", faults=ALL, most=1),
    Scenario(name="two-by-two", workers=2, slices=TWO),
    Scenario(name="apart", workers=2, slices=APART),
    Scenario(name="three", workers=3),
    Scenario(name="selection", selects=True),
    Scenario(name="cancel", acts=("cancel",)),
    Scenario(name="retry", acts=("retry",), refused=frozenset({"E1"}), switches=1),
    Scenario(name="poison", faults=frozenset({Fault.KILL}), most=2, spares=2, poison=True),
    Scenario(name="restart", faults=frozenset({Fault.REWIND}), most=1, rewinds=8),
    Scenario(name="failover", faults=frozenset({Fault.REWIND}), most=1, rewinds=8, failover=True),
)
"""What the tests explore each time."""

HARD: Final = frozenset({Fault.KILL, Fault.LEASE, Fault.UNHEARD, Fault.LATE})
"""The faults that a promise is most easily broken by."""

LONG: Final = _named(
    Scenario(name="two-workers", workers=2, faults=ALL, most=1),
    Scenario(name="two-faults", workers=2, faults=HARD, most=2, switches=1),
    Scenario(name="selection-faults", selects=True, faults=ALL, most=1),
    Scenario(name="two-by-two-faults", workers=2, slices=TWO, faults=ALL, most=1, switches=0),
    Scenario(name="apart-faults", workers=2, slices=APART, faults=ALL, most=1, switches=0),
    Scenario(
        name="two-by-two-cancel",
        workers=2,
        slices=TWO,
        acts=("cancel",),
        faults=HARD,
        most=1,
        switches=0,
    ),
    Scenario(
        name="two-by-two-cancel-hard",
        workers=2,
        slices=TWO,
        acts=("cancel",),
        faults=HARD,
        most=2,
        switches=0,
    ),
    Scenario(
        name="retry-faults",
        acts=("retry",),
        refused=frozenset({"E1"}),
        faults=ALL,
        most=1,
        switches=1,
    ),
    Scenario(name="three-faults", workers=3, faults=HARD, most=2, switches=0),
    Scenario(name="pause", acts=("pause",)),
    Scenario(name="cancel-faults", acts=("cancel",), faults=ALL, most=1, switches=2),
    Scenario(
        name="retry-and-cancel",
        slices=APART,
        acts=("cancel", "retry"),
        refused=frozenset({"E1"}),
        switches=2,
    ),
    Scenario(name="expiry", acts=("retry",), allowed_ms=3_000, faults=HARD, most=1, switches=1),
    Scenario(name="loss", faults=frozenset({Fault.KILL, Fault.REWIND}), most=2, rewinds=5),
)
"""What takes minutes."""

WIDE: Final = _named(
    Scenario(name="pause-faults", acts=("pause",), faults=HARD, most=1, switches=1),
    Scenario(
        name="loss-by-two",
        workers=2,
        faults=frozenset({Fault.REWIND}),
        most=1,
        rewinds=5,
        switches=1,
    ),
    Scenario(name="two-by-two-wide", workers=2, slices=TWO, faults=ALL, most=1),
    Scenario(
        name="two-by-two-cancel-wide",
        workers=2,
        slices=TWO,
        acts=("cancel",),
        faults=ALL,
        most=2,
        switches=1,
    ),
    Scenario(name="three-wide", workers=3, faults=ALL, most=2, switches=2),
    Scenario(name="pause-wide", acts=("pause",), faults=ALL, most=1),
    Scenario(name="retry-wide", acts=("retry",), refused=frozenset({"E1"}), faults=ALL, most=1),
    Scenario(
        name="loss-wide",
        workers=2,
        faults=frozenset({Fault.KILL, Fault.REWIND}),
        most=2,
        rewinds=5,
        failover=True,
        switches=2,
    ),
)
"""What takes a night."""

SCENARIOS: Final = LONG | WIDE | SHORT
