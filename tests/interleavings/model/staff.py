"""The actors: workers with all of a worker's parts, and administrators with one act each."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from azure.core.credentials import AccessTokenInfo
from redis.exceptions import RedisError

from config.errors import BulkrsvpError
from jobs.ledger import keys
from jobs.ledger.batches.store import Batches
from jobs.ledger.foreign import Unreadable
from jobs.ledger.queue import Queue, job_id
from jobs.ledger.slices.store import Slices
from jobs.ledger.slices.writes import Written
from jobs.ledger.workers.crew import Crew
from jobs.ledger.workers.facts import Facts
from jobs.ledger.workers.failover import Failover
from jobs.ledger.workers.leases import Leases
from tests.interleavings.model.actors import Actor, Begin, Claim
from tests.interleavings.model.client import SteppedRedis
from tests.interleavings.model.nature import NATURE
from tests.interleavings.model.transport import SteppedTransport
from worker.graph.client import Graph
from worker.graph.incoming import Intake
from worker.identity.token_source import TokenSource
from worker.identity.token_trial import TokenTrial
from worker.process.consumer import AWAY_S, CRASHED_S, UNREADABLE_S
from worker.process.rescue import Rescue
from worker.slice.calls.events_read import READERS, ReadMemory
from worker.slice.clock import Clocks
from worker.slice.context import CallSide, Context, LedgerSide, Signals
from worker.slice.lease import WorkerLease
from worker.slice.recent_marks import RecentMarks
from worker.slice.shared_lock import SharedLock
from worker.slice.unreadable import UnreadableLog
from worker.slice.work import work
from worker.throttle.backoff import RetryBudget
from worker.throttle.gate import Gate
from worker.throttle.slots import SlotPool, Slots
from worker.throttle.widths import Widths

SETTLE_MS: Final = 4_000
CALL_TIMEOUT_MS: Final = 2_000
MAX_ATTEMPTS: Final = 3
MAX_CALLS: Final = 8
WIDTH: Final = 4


class _Even(Random):
    """Chance that is always the same."""

    def random(self) -> float:
        """Return a half."""
        return 0.5


class _Authority:
    """Gives one token for ever."""

    async def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
        """Return the token."""
        return AccessTokenInfo("token", NATURE.now_ms // 1000 + 10**8)

    async def close(self) -> None:
        """Have nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        """Have nothing to close."""


def worker(name: str, number: int, settles_in_ms: int) -> Actor:
    """Make a worker: it takes a lease, then slice after slice."""
    actor = Actor(name, number)
    context = _context(actor)
    apart = SteppedRedis(actor.park, "rescue")
    batches = Batches(apart)
    ledger = replace(context.ledger, batches=batches)
    rescue = Rescue(replace(context, ledger=ledger), Queue(apart, batches))
    consumer = _Consumer(actor, context)
    context.ledger.worker_lease.settles_in_ms = settles_in_ms

    async def beat() -> None:
        await context.ledger.worker_lease.beat()
        context.ledger.recent_marks.forget(context.ledger.worker_lease.noted_s)
        await rescue.doubt()

    actor.parts = {
        "main": consumer.work_on,
        "beat": _kept(beat),
        "rescue": _kept(rescue.look_round),
    }
    return actor


def administrator(
    name: str, number: int, act: Callable[[SteppedRedis, Batches], Awaitable[object]]
) -> Actor:
    """Make somebody who acts once, when the explorer lets him; what he is told is logged."""
    actor = Actor(name, number)
    redis = SteppedRedis(actor.park, "main")
    log = actor.logger()

    async def main() -> None:
        await actor.park("main", Begin())
        try:
            log.info("command.ended", told=repr(await act(redis, Batches(redis))))
        except (BulkrsvpError, RedisError) as error:
            log.info("command.refused", told=str(error))

    actor.parts = {"main": main}
    return actor


def _kept(act: Callable[[], Awaitable[None]]) -> Any:
    """Act as `worker/process/main.py` has it done again and again."""

    async def once() -> None:
        with suppress(RedisError, OSError, Unreadable):
            await act()

    return once


def _context(actor: Actor) -> Context:
    redis, beating = SteppedRedis(actor.park, "main"), SteppedRedis(actor.park, "beat")
    log, written, leases = actor.logger(), Written(), Leases(redis)
    clocks, slots = Clocks(NATURE.time_s, NATURE.time_s), Slots(MAX_CALLS)
    graph = Graph(
        "https://graph.test",
        "v1.0",
        max_calls=MAX_CALLS,
        timeout_s=CALL_TIMEOUT_MS / 1000,
        clock=lambda: datetime.fromtimestamp(NATURE.time_s(), UTC),
    )
    graph._transport, graph._intake = SteppedTransport(actor), Intake()  # type: ignore[assignment]
    tokens = TokenSource(
        _Authority(),  # type: ignore[arg-type]
        "scope",
        clock=NATURE.time_s,
        random=_Even().random,
        log=log,
    )
    ledger = LedgerSide(
        slices=Slices(redis, NATURE.time_ms, written),
        leases=leases,
        batches=Batches(redis),
        crew=Crew(beating),
        home=Failover(beating),
        written=written,
        worker_lease=WorkerLease(Leases(beating), Facts, clocks, log),
        recent_marks=RecentMarks(),
    )
    calls = CallSide(
        graph=graph,
        tokens=tokens,
        trial=TokenTrial(NATURE.time_s),
        gate=Gate(leases, NATURE.time_ms, log),
        slots=slots,
        ready=slots.ready.behind,
        slot=slots.free.behind,
        readers=SlotPool(READERS).behind,
        read_memory=ReadMemory(),
        widths=Widths(WIDTH, NATURE.time_ms),
        process_lock=SharedLock(),
        budget=RetryBudget(),
        random=_Even(),
        max_attempts=MAX_ATTEMPTS,
        settle_ms=SETTLE_MS,
    )
    signals = Signals(
        draining=asyncio.Event(),
        log_lost=asyncio.Event(),
        went_back=asyncio.Event(),
        log=log,
        unreadable=UnreadableLog(log),
        now_ms=NATURE.time_ms,
        clocks=clocks,
    )
    return Context(ledger=ledger, calls=calls, signals=signals)


@dataclass
class _Consumer:
    """Takes slices as `worker/process/consumer.py` does, one at a time and without arq."""

    actor: Actor
    context: Context

    def __post_init__(self) -> None:
        self._redis = SteppedRedis(self.actor.park, "queue")
        self._queue = Queue(self._redis, Batches(self._redis))

    async def work_on(self) -> None:
        """Take a lease, then slices for ever."""
        await self.context.ledger.worker_lease.enlist()
        while True:
            batch_id, number = await self.actor.park("queue", Claim())
            begun_as = self.context.ledger.worker_lease.name
            comeback_ms = await self._work(batch_id, number)
            if not self.context.ledger.worker_lease.holds(begun_as):
                continue  # it has become another worker's
            try:
                await self._finish(job_id(batch_id, number), comeback_ms)
            except (RedisError, OSError):
                await asyncio.sleep(AWAY_S)

    async def _work(self, batch_id: str, number: int) -> int | None:
        context, now_ms = self.context, self.context.signals.now_ms
        try:
            comeback_ms = await work(context.for_slice(number), batch_id, number)
        except Unreadable as error:
            context.signals.unreadable.slice(batch_id, number, error)
            return now_ms() + int(UNREADABLE_S * 1000)
        except (RedisError, OSError) as error:
            context.ledger.worker_lease.away(error)
            return now_ms() + int(AWAY_S * 1000)
        except Exception:
            context.signals.log.exception("slice.crashed", batch=batch_id, slice=number)
            return now_ms() + int(CRASHED_S * 1000)
        if comeback_ms is None:
            with suppress(RedisError, OSError, Unreadable):
                batch = await context.ledger.batches.find(batch_id)
                if batch is not None:
                    await self._queue.release(batch)
        return comeback_ms

    async def _finish(self, name: str, comeback_ms: int | None) -> None:
        now_ms = self.context.signals.now_ms()
        async with self._redis.pipeline(transaction=True) as pipe:
            if comeback_ms is None:
                pipe.zrem(keys.QUEUE, name)
                pipe.delete(*(each + name for each in (job_key_prefix, retry_key_prefix)))
            else:
                due_ms = now_ms + max(comeback_ms - now_ms, 1)
                pipe.zadd(keys.QUEUE, {name: due_ms}, xx=True)
            pipe.delete(in_progress_key_prefix + name)
            await pipe.execute()
