"""
The consumer's end of arq: its `Worker`, held to the rules of this house.

Whatever a slice does, its job is never lost here: it comes back until nothing of the slice is left
in the ledger. Overridden is what in arq 0.28 would end the process, leak a slot, read
what it runs already, take a job from its new owner, or do what our own heartbeat does.
"""

import asyncio
import math
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson
from arq import Retry, func
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.worker import Worker
from redis.exceptions import RedisError

from jobs.ledger import keys
from jobs.ledger.foreign import Unreadable, is_foreign
from jobs.ledger.forms.batch import VERSIONS
from jobs.ledger.queue import JOB, Queue, goes_ahead
from jobs.ledger.workers.leases import LEASE_S
from jobs.quoting import refusal
from worker.slice.context import Context
from worker.slice.work import work

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

POLL_S: Final = 0.05
STALE_MS: Final = 50
"""How long the order of the queue is relied upon after it was read."""

AWAY_S: Final = 0.5
"""Between two polls while Redis is away."""

MAX_SLICES: Final = 128
READ_LIMIT: Final = 2_000
"""More ids than all workers of a fleet have running, for arq reads the lowest ones first."""

SLICE_ROWS: Final = 100
"""What a slice is taken to want of the slots until it has been opened."""

CRASHED_S: Final = 5.0
UNREADABLE_S: Final = 60.0
"""When to look again at a slice that cannot be read: it may have been put right."""

JOB_KEYS: Final = (job_key_prefix, in_progress_key_prefix, retry_key_prefix)
CUT_OFF_S: Final = 5.0
"""How long a slice that is cut off has to write down where it stands."""

NEVER_S: Final = 10 * 24 * 3600.0


class _Begun(NamedTuple):
    """Under which name a job was begun, and what its place in the queue was."""

    name: str
    score: int


class Consumer(Worker):
    """Takes slices from the queue while there is room for their calls."""

    def __init__(self, redis: ArqRedis, context: Context, queue: Queue) -> None:
        job = cast("WorkerCoroutine", self._work_on_slice)
        super().__init__(
            [func(job, name=JOB, timeout=NEVER_S, keep_result=0, max_tries=2**31)],
            redis_pool=redis,
            queue_name=redis.default_queue_name,
            handle_signals=False,
            max_jobs=MAX_SLICES,
            poll_delay=POLL_S,
            queue_read_limit=READ_LIMIT,
            job_serializer=redis.job_serializer,
            job_deserializer=orjson.loads,
            keep_result=0,
            log_results=False,
        )
        self.in_progress_timeout_s = LEASE_S
        self._context = context
        self._ledger = context.ledger
        self._calls = context.calls
        self._signals = context.signals
        self._log = context.signals.log
        self._queue = queue
        self._begun: dict[str, _Begun] = {}

    async def _work_on_slice(
        self, _: dict[Any, Any], version: int, batch_id: str, number: int
    ) -> None:
        if version not in VERSIONS:
            self._log.error("slice.foreign", batch=batch_id, slice=number, version=version)
            raise Retry(defer=60)
        try:
            comeback_ms = await work(self._context.for_slice(number), batch_id, number)
        except Unreadable as error:
            self._signals.unreadable.slice(batch_id, number, error)
            raise Retry(defer=UNREADABLE_S) from error
        except (RedisError, OSError) as error:
            self._ledger.worker_lease.away(error)
            raise Retry(defer=AWAY_S) from error
        except Exception as error:
            self._log.exception("slice.crashed", batch=batch_id, slice=number)
            raise Retry(defer=CRASHED_S) from error
        if comeback_ms is not None:
            raise Retry(defer=max(comeback_ms - self._signals.now_ms(), 1) / 1000)
        with suppress(RedisError, OSError, Unreadable):  # else the rescue releases it
            await self._release_next(batch_id)

    @property
    def busy(self) -> bool:
        """Whether a slice is being worked on."""
        return any(not task.done() for task in self.tasks.values())

    async def _release_next(self, batch_id: str) -> None:
        if (batch := await self._ledger.batches.find(batch_id)) is not None:
            await self._queue.release(batch)

    async def poll_until(self, over: asyncio.Event) -> None:
        """Poll until `over` is set."""
        while not over.is_set():
            await self._poll_iteration()
            await asyncio.sleep(POLL_S)

    async def _poll_iteration(self) -> None:
        """Poll once; a Redis that is away does not end the process (arq: it would)."""
        try:
            await super()._poll_iteration()
        except (RedisError, OSError) as error:
            if is_foreign(error):
                self._signals.unreadable.key(
                    f"{keys.QUEUE} is not as it was stored: {refusal(error)}"
                )
            else:
                self._ledger.worker_lease.away(error)
            await asyncio.sleep(AWAY_S)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """
        Start what runs nowhere yet, in its order, while there is room for its calls.

        Room comes again and again, so it ends soon: what came meanwhile may go ahead of these.
        A worker that is new, or whose clock is wrong, leaves them to others: the ledger might
        forget it, or it would judge deadlines by that clock. So does one in which a response is
        tried alone.
        """
        if not self._ledger.worker_lease.settled_in or self._calls.process_lock.wanted:
            return
        stale_ms = self._signals.now_ms() + STALE_MS
        ours = {name.encode() for name, task in self.tasks.items() if not task.done()}
        waiting = deque(job_id for job_id in job_ids if job_id not in ours)
        while waiting and self.allow_pick_jobs and self._signals.now_ms() <= stale_ms:
            ahead = sum(1 for _ in takewhile(goes_ahead, waiting))
            places = max(self._places(), min(ahead, self._places(ahead=True)))
            some = [waiting.popleft() for _ in range(min(places, len(waiting)))]
            if not some:
                return
            await self._start_some(await self._readable(some))

    def _places(self, *, ahead: bool = False) -> int:
        """Return how many more slices would find calls to make."""
        places = math.ceil(self._calls.slots.room(ahead=ahead) / SLICE_ROWS)
        return min(places, self.max_jobs - self.job_counter)

    async def _readable(self, job_ids: list[bytes]) -> list[str]:
        """Return the names; what is not text is dropped."""
        names = list[str]()
        for job_id in job_ids:
            try:
                names.append(job_id.decode())
            except UnicodeDecodeError:
                await self._drop(job_id)
        return names

    async def _start_some(self, names: list[str]) -> None:
        begun_as = self._ledger.worker_lease.name
        for name, score in await self._claim(names):
            await self._start(name, _Begun(begun_as, score))

    async def _start(self, name: str, begun: _Begun) -> None:
        await self.sem.acquire()
        self.job_counter += 1
        self._begun[name] = begun
        self._calls.slots.want(name, SLICE_ROWS)
        self.tasks[name] = task = asyncio.create_task(self.run_job(name, begun.score))
        task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, _: asyncio.Task[None]) -> None:
        self._calls.slots.unwant(name)
        self._release_sem_dec_counter_on_complete()

    async def _claim(self, names: list[str]) -> list[tuple[str, int]]:
        """Take those jobs that run nowhere and are still due; return them with their scores."""
        async with self.pool.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.set(in_progress_key_prefix + name, b"1", nx=True, px=int(LEASE_S * 1000))
                pipe.zscore(self.queue_name, name)
            answers = await pipe.execute()
        taken = {
            name: score
            for name, took, score in zip(names, answers[::2], answers[1::2], strict=True)
            if took
        }
        for name in [name for name, score in taken.items() if score == -math.inf]:
            del taken[name]
            await self._drop(name.encode())  # for arq it would be no number
        now_ms = self._signals.now_ms()
        # Another worker has finished it, or put it off, since the queue was read.
        over = [name for name, score in taken.items() if score is None or score > now_ms]
        if over:
            await self.pool.delete(*(in_progress_key_prefix + name for name in over))
        return [(name, int(score)) for name, score in taken.items() if name not in over]

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a job; one that cannot be read is dropped, and does not end the process."""
        try:
            await super().run_job(job_id, score)
        except Exception as error:
            if isinstance(error, (RedisError, OSError)) and not is_foreign(error):
                raise
            self._log.exception("job.unreadable", job=job_id)
            await self._drop(job_id.encode())

    async def finish_job(self, job_id: str, *arguments: Any) -> None:
        """
        Note the end of a job, unless it has become another worker's meanwhile.

        arq would take the successor's lease away, and put the job off for both. It would also put
        it off by so much, not until then: two that had it, because Redis has forgotten the first,
        would put the first slices of a batch off by an hour (`jobs/ledger/queue.py`).
        """
        begun = self._begun.pop(job_id, None)
        if begun is None or not self._ledger.worker_lease.holds(begun.name):
            return
        finish, *_, by_ms, _ = arguments
        if finish or not by_ms:
            await super().finish_job(job_id, *arguments)
            return
        async with self.pool.pipeline(transaction=True) as pipe:
            pipe.zadd(self.queue_name, {job_id: begun.score + by_ms}, xx=True)
            pipe.delete(in_progress_key_prefix + job_id)
            await pipe.execute()

    async def _drop(self, job_id: bytes) -> None:
        """Take a job out of the queue; if it stands for a slice, the rescue queues it anew."""
        self._log.error("job.dropped", job=job_id.decode(errors="replace"))
        async with self.pool.pipeline(transaction=True) as pipe:
            pipe.zrem(self.queue_name, job_id)
            pipe.delete(*(prefix.encode() + job_id for prefix in JOB_KEYS))
            await pipe.execute()

    async def heart_beat(self) -> None:
        """Do nothing: our own heartbeat renews what is leased, and there are no cron jobs."""

    async def renew_leases(self) -> None:
        """Renew the in-progress keys of running jobs, which arq sets once and lets run out."""
        ours = self._ledger.worker_lease.name
        running = [
            name for name in self.tasks if (begun := self._begun.get(name)) and begun.name == ours
        ]
        if not running:
            return
        async with self.pool.pipeline(transaction=False) as pipe:
            for name in running:
                pipe.pexpire(in_progress_key_prefix + name, int(LEASE_S * 1000))
            await pipe.execute()

    async def drain(self, hurry: asyncio.Event, limit_s: float) -> int:
        """
        Take nothing more and wait for what is under way.

        Returns how many slices had to be cut off, after `limit_s` or when `hurry` is set.
        """
        self.allow_pick_jobs = False
        hurried = asyncio.create_task(hurry.wait())
        ended = asyncio.create_task(_settled(self.tasks.values()))
        await asyncio.wait({hurried, ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        cut_off = [task for task in self.tasks.values() if not task.done()]
        for task in cut_off:
            task.cancel()
        if cut_off:
            await asyncio.wait(cut_off, timeout=CUT_OFF_S)
        hurried.cancel()
        ended.cancel()
        await asyncio.gather(hurried, ended, return_exceptions=True)
        return len(cut_off)


async def _settled(tasks: Any) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
