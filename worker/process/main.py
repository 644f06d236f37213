"""
The composition root: settings become parts, parts become a worker; it starts, drains and stops.

arq's polling, the heartbeat, the rescue and the watch for an end run side by side. A first
signal drains (no new call, those in flight end and are recorded), a second one means now.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import IO, Any, cast

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from config.logs import configure_logs
from config.settings import Settings
from jobs.ledger.foreign import Unreadable
from jobs.ledger.forms.batch import Batch
from jobs.ledger.queue import Queue
from jobs.redis.connection import connected, reach
from jobs.signals import heeded
from worker.identity.redis_login import log_in
from worker.identity.token_source import TokenUnavailable
from worker.process.assemble import VERSION, assembled
from worker.process.consumer import Consumer
from worker.process.liveness import LivenessFile
from worker.process.log_sink import LogSink
from worker.process.rescue import ROUND_S, STRUCK_OFF_S, Rescue
from worker.process.tuning import collect_seldom, read_little
from worker.slice.context import Context
from worker.slice.lease import BEAT_S

Ended = Callable[[Context], Awaitable[bool]]
"""Returns whether there is nothing left to do; called several times a second."""

ASK_S = 0.2
ALIVE_S = 60.0
"""Between two lines that only show that this worker lives: monitoring misses them."""

END_S = 6.0
"""How long a part may take to come to its end: Redis is given 5 s to answer."""


async def run_worker(settings: Settings, stream: IO[Any], *, ended: Ended | None = None) -> int:
    """
    Run a worker until a signal, or until `ended` returns true; return the exit code.

    It logs to `stream`; when that cannot be written any more it drains and returns 1.
    Raises `LedgerUnreachable` and `SettingsError` before anything is begun.
    """
    read_little()
    sink = LogSink(stream)
    log = configure_logs(settings, cast("IO[bytes]", sink))
    async with connected(settings, lambda each: log_in(each, log)) as redis:
        await reach(redis, settings.redis_url_shown)
        async with assembled(settings, redis, log, sink.lost) as context:
            collect_seldom()
            return await Process(settings, redis, context).run(ended)


class Process:
    """One worker from start to stop."""

    def __init__(self, settings: Settings, redis: ArqRedis, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._ledger = context.ledger
        self._calls = context.calls
        self._signals = context.signals
        self._lease = context.ledger.worker_lease
        self._draining = context.signals.draining
        self._log = context.signals.log
        queue = Queue(redis, context.ledger.batches)
        self._consumer = Consumer(redis, context, queue)
        self._liveness = LivenessFile(settings.liveness_file, self._log)
        self._rescue = Rescue(context, queue)
        self._hurry = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self, ended: Ended | None) -> int:
        """Work until the end; return 0, or 1 if a part of the worker itself broke."""
        self._liveness.make()
        try:
            return await self._work(ended)
        finally:
            self._liveness.remove()

    async def _work(self, ended: Ended | None) -> int:
        self._lease.settles_in_ms = await self._ledger.home.settles_in_ms()
        await self._lease.enlist()
        await self._ledger.crew.take_in_strangers()
        await self._beat()
        self._listen_to_signals()
        self._log_started()
        tasks = [asyncio.create_task(part) for part in self._parts(ended)]
        try:
            broken = await self._until_draining(tasks)
            await self._drain()
        finally:
            await self._end(tasks)
        await self._resign()
        self._log.info("worker.stopped", worker=self._lease.name)
        return int(broken or self._signals.log_lost.is_set())

    def _parts(self, ended: Ended | None) -> list[Coroutine[None, None, None]]:
        parts = [
            self._consumer.poll_until(self._over),
            self._regularly(BEAT_S, self._keep_beating),
            self._regularly(BEAT_S, self._show_life),
            self._regularly(ROUND_S, self._rescue.look_round),
            self._regularly(STRUCK_OFF_S, self._rescue.strike_off),
            self._regularly(ALIVE_S, self._say_alive),
            self._fetch_first_token(),
            self._stop_without_log(),
        ]
        return parts if ended is None else [*parts, self._watch(ended)]

    async def _until_draining(self, tasks: Iterable[asyncio.Task[None]]) -> bool:
        """Wait until it drains, or until a part breaks; return whether one did."""
        draining = asyncio.create_task(self._draining.wait())
        running: set[asyncio.Task[Any]] = {draining, *tasks}
        while not draining.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is not None:
                    self._log.critical("worker.broken", exc_info=error)
                    self._draining.set()
                    draining.cancel()
                    return True
        return False

    async def _drain(self) -> None:
        self._draining.set()
        self._log.info("worker.draining", slices=len(self._consumer.tasks))
        cut_off = await self._consumer.drain(self._hurry, self._settings.drain_s)
        if cut_off:
            self._log.warning("worker.cut_off", slices=cut_off)

    async def _resign(self) -> None:
        with suppress(RedisError, OSError):
            await self._lease.resign()

    async def _beat(self) -> None:
        await self._lease.beat()
        self._ledger.recent_marks.forget(self._lease.noted_s)
        await self._consumer.renew_leases()
        await self._calls.gate.refresh()
        await self._rescue.doubt()

    async def _keep_beating(self) -> None:
        """Beat, and log when Redis is away: a beat both reads and writes, so it notices either."""
        try:
            await self._beat()
        except (RedisError, OSError) as error:
            self._lease.away(error)
        else:
            self._lease.back()

    async def _show_life(self) -> None:
        """Touch the file of probes: apart from the heartbeat, which may wait for Redis."""
        self._liveness.touch()

    async def _say_alive(self) -> None:
        name, slices = self._lease.name, len(self._consumer.tasks)
        self._log.info("worker.alive", worker=name, slices=slices)

    async def _regularly(self, interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
        """Act again and again; a Redis that is away is asked again."""
        while not self._over.is_set():
            try:
                await act()
            except Unreadable as error:
                self._signals.unreadable.key(str(error))
            except (RedisError, OSError):
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._over.wait()

    async def _end(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        # They come to their own end: redis-py may answer a cancellation with an error of its own,
        # and a part that survives errors would then never end.
        self._over.set()
        _, waiting = await asyncio.wait(tasks, timeout=END_S)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_first_token(self) -> None:
        """Let a wrong credential be logged at the start, not at the first batch."""
        with suppress(TokenUnavailable):
            await self._calls.tokens.token()

    async def _stop_without_log(self) -> None:
        """Drain when the log is lost: no call is made that cannot be logged."""
        lost = asyncio.create_task(self._signals.log_lost.wait())
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait({lost, over}, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        over.cancel()
        self._draining.set()

    async def _watch(self, ended: Ended) -> None:
        while not self._draining.is_set():
            with suppress(RedisError, OSError, Unreadable):
                if not self._consumer.busy and await ended(self._context):
                    self._draining.set()
            await asyncio.sleep(ASK_S)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in heeded():
            loop.add_signal_handler(number, self._obey_signal)

    def _obey_signal(self) -> None:
        if self._draining.is_set():
            self._hurry.set()
        self._draining.set()

    def _log_started(self) -> None:
        settings = self._settings
        self._log.info(
            "worker.started",
            worker=self._lease.name,
            version=VERSION,
            max_calls=settings.max_calls,
            mailbox_concurrency=settings.mailbox_concurrency,
            graph=settings.graph_root,
            api_version=settings.api_version,
            redis=settings.redis_url_shown,
        )
        if settings.short_settle:  # accepted only where Graph is on this machine
            self._log.warning(
                "worker.settle_short",
                settle_s=settings.settle_s,
                call_timeout_s=settings.call_timeout_s,
            )


async def nothing_left(context: Context) -> bool:
    """Return whether every batch is finished, paused, or still to come: the end of `--burst`."""
    batches = context.ledger.batches
    for batch in await batches.find_all(await batches.active()):
        if not isinstance(batch, Batch) or batch.paused or batch.announced:
            continue
        if batch.not_before_ms <= context.signals.now_ms():
            return False
    return True
