"""
Who may work: living workers, the mailboxes they hold, and what is paused: mailboxes, or Graph.

A worker holds one lease of its own and renews it; the mailboxes it holds stay its own as long as
that lease lasts. A lost lease is never taken up again: the worker continues under a new name, and
no mark is granted under the old one.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from jobs.ledger import keys
from jobs.ledger.foreign import FOR_EVER, Unreadable, is_foreign, told_apart
from jobs.ledger.script import Script
from jobs.ledger.workers.facts import NO_FACTS, Facts
from jobs.storable import stored_moment

LEASE_S = 2.5
"""How long a worker's lease lasts without renewal: after its death others wait that long."""

MAILBOX_LEASE_MS = 7_200_000
"""Longer than any call may last. It only clears up: a mailbox's lease ends with its worker's."""

SETTLE_MS: Final = 60_000
"""How long a dead worker's call may be under way, by default."""

THROTTLED_S = 2 * 86_400
"""Longer than any pause; after that nothing asks for it any more."""

SCANNED_AT_ONCE = 1_000
"""Keys per round trip when living workers are listed, which is rare, and for people only."""

BUSY: Final = -1
"""The answer of `lua/lease.lua` for a mailbox that another slice holds."""

PROBE_LEASE_MS = 90_000
"""How long one worker may take over the call that tries whether Graph is open again."""


SCRIPTS = ("lease", "unlease", "pause", "beat")


@dataclass(frozen=True, slots=True)
class Unended:
    """Calls that may be under way unawaited; the first must have ended by `ends_ms`."""

    calls: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Taken:
    """
    What came of asking for mailboxes; `lost` if the worker's own lease is gone.

    `held` says of each mailbox how many times in a row it was away when last called; `unended` says
    of some what dead workers may still have under way there.
    """

    held: Mapping[str, int] = field(default_factory=dict)
    unended: Mapping[str, Unended] = field(default_factory=dict)
    paused_until_ms: Mapping[str, int] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """
    What came of a beat: whether the lease was renewed, and which moment was noted.

    `noted_ms` is by the clock of Redis, and 0 where none was noted. `forgetful` is whether this
    Redis has forgotten something, or may have, and so has to be judged.
    """

    renewed: bool
    noted_ms: int = 0
    forgetful: bool = False


class Leases:
    """The leases of one ledger."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._scripts = {name: Script(redis, name) for name in SCRIPTS}

    async def enlist(
        self, worker: str, facts: Facts = NO_FACTS, *, process: str | None = None
    ) -> bool:
        """
        Take a worker's lease under a name never used before, and put its process on the crew.

        A process keeps its id when it loses a lease. Returns whether it was not on the crew.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.worker(worker), facts.to_json(), px=int(LEASE_S * 1000))
            pipe.hset(keys.CREW, process or worker, worker)
            taken, added = await pipe.execute(raise_on_error=False)
        if isinstance(taken, Exception):
            raise taken
        if isinstance(added, Exception) and not is_foreign(added):
            raise added
        return bool(added)  # a key of another type means an empty crew

    async def renew(
        self, worker: str, facts: Facts = NO_FACTS, *, noted_ms: int = 0, new: bool = False
    ) -> Beat:
        """
        Renew a worker's lease, and note the moment by the clock of Redis.

        `noted_ms` is the moment that this process noted last; a `new` process notes one only where
        there is none yet.
        """
        renewed, noted, forgetful = await self._scripts["beat"](
            [keys.worker(worker), keys.HOME, keys.BEATEN],
            [facts.to_json(), int(LEASE_S * 1000), noted_ms, int(new)],
        )
        return Beat(bool(renewed), noted, bool(forgetful))

    async def time_s(self) -> float | None:
        """Return the time by the clock of Redis, in seconds; None if its user may not ask."""
        try:
            seconds, microseconds = await self._redis.time()
        except NoPermissionError:
            return None
        return float(seconds + microseconds / 1_000_000)

    async def living(self) -> dict[str, Facts | None]:
        """Return the living workers by name, with None where what one says cannot be read."""
        found: dict[str, Facts | None] = {}
        async for lease in self._redis.scan_iter(keys.WORKER + "*", count=SCANNED_AT_ONCE):
            name = lease.decode(errors="backslashreplace").removeprefix(keys.WORKER)
            try:
                with told_apart(name):
                    told = await self._redis.get(lease)
            except Unreadable:
                told = b""
            if told is not None:  # else it has just ended
                found[name] = Facts.from_json(told)
        return dict(sorted(found.items()))

    async def resign(self, worker: str, *, process: str | None = None) -> None:
        """Give a worker's lease back, with all it holds; its process leaves the crew."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.worker(worker))
            pipe.hdel(keys.CREW, process or worker)
            for answer in await pipe.execute(raise_on_error=False):
                if isinstance(answer, Exception) and not is_foreign(answer):
                    raise answer

    async def take(
        self,
        worker: str,
        holder: str,
        mailboxes: Sequence[str],
        now_ms: int,
        settle_ms: int = SETTLE_MS,
    ) -> Taken:
        """
        Take the leases of mailboxes for one slice, as far as they are free and not paused.

        What a dead worker held is free for the same slice, which has counted the dead worker's
        calls by then, and for others after `settle_ms`, when these calls must have ended.
        """
        answers: list[int] = await self._scripts["lease"](
            [
                keys.worker(worker),
                keys.THROTTLED,
                keys.AWAY,
                keys.ANY_UNENDED,
                *map(keys.mailbox, mailboxes),
            ],
            [
                holder,
                now_ms,
                MAILBOX_LEASE_MS,
                keys.WORKER,
                max(settle_ms, 1),
                keys.UNENDED,
                *mailboxes,
            ],
        )
        if len(answers) < len(mailboxes):
            return Taken(lost=True)
        return _read_taken(mailboxes, answers)

    async def give_back(self, holder: str, mailboxes: Sequence[str]) -> None:
        """Give mailboxes back, as far as this slice still holds them."""
        if mailboxes:
            await self._scripts["unlease"]([*map(keys.mailbox, mailboxes)], [holder])

    async def count_unended(
        self, calls: Iterable[tuple[str, str]], now_ms: int, settle_ms: int
    ) -> None:
        """
        Note calls, by mailbox and id, that nobody waits for any more but that may be under way.

        They count against their mailboxes for `settle_ms`. It may be called again.
        """
        ends_ms, kept_ms = now_ms + settle_ms, max(settle_ms, 1)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(keys.ANY_UNENDED, 1, px=MAILBOX_LEASE_MS)
            for mailbox, call in calls:
                pipe.zadd(keys.unended(mailbox), {call: ends_ms})
                pipe.pexpire(keys.unended(mailbox), kept_ms)
            await pipe.execute()

    async def pause_mailbox(
        self, batch_id: str, mailbox: str, until_ms: int, now_ms: int, *, away: int = 0
    ) -> int:
        """
        Pause a mailbox for all workers; return until when, which may be later than asked.

        `away` is how many times in a row it has reported by now that it cannot be used.
        """
        answer: int = await self._scripts["pause"](
            [keys.THROTTLED, keys.throttled(batch_id), keys.AWAY],
            [mailbox, until_ms, now_ms, THROTTLED_S, away],
        )
        return answer

    async def come_back(self, mailbox: str) -> None:
        """Note that a mailbox which was away can be used again."""
        await self._redis.hdel(keys.AWAY, mailbox)

    async def pause_graph(self, until_ms: int) -> None:
        """Pause every call of every worker until a moment, and let one probe after it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.GRAPH, until_ms)
            pipe.delete(keys.PROBE, keys.LIFTED)
            await pipe.execute()

    async def shorten_graph_pause(self, until_ms: int) -> None:
        """Let a probe go earlier than the pause says; where nothing is paused, nothing changes."""
        await self._redis.set(keys.GRAPH, until_ms, xx=True)

    async def graph_paused_until_ms(self) -> int | None:
        """
        Return until when everything is paused, or None; a moment in the past calls for a probe.

        So does nonsense, which the probe then clears away.
        """
        try:
            with told_apart(keys.GRAPH):
                answer = await self._redis.get(keys.GRAPH)
            return None if answer is None else stored_moment(answer)
        except ValueError:
            return 0

    async def claim_probe(self, worker: str) -> bool:
        """Ask to make the one call that tries whether Graph is open again; true if it may."""
        if await self._redis.set(keys.PROBE, worker, nx=True, px=PROBE_LEASE_MS):
            return True
        if await self._redis.pttl(keys.PROBE) == FOR_EVER:  # which no claim of bulkrsvp's does
            await self._redis.delete(keys.PROBE)
            return False
        with told_apart(keys.PROBE):
            holder: bytes | None = await self._redis.get(keys.PROBE)
        return holder == worker.encode()

    async def open_graph(self) -> None:
        """End the pause of everything: the probe went through."""
        await self._redis.delete(keys.GRAPH, keys.PROBE, keys.LIFTED)

    async def claim_lifted(self) -> str | None:
        """Return who has ended the pause of everything by hand; only one worker learns it."""
        by: bytes | None = None
        with suppress(Unreadable), told_apart(keys.LIFTED):
            by = await self._redis.get(keys.LIFTED)
        if by is None or not await self._redis.delete(keys.LIFTED):
            return None
        return by.decode(errors="replace")


def _read_taken(mailboxes: Sequence[str], answers: Sequence[int]) -> Taken:
    """Read what `lua/lease.lua` answers: a number for each mailbox, then three for each unended."""
    found = dict(zip(mailboxes, answers, strict=False))
    more = answers[len(mailboxes) :]
    return Taken(
        held={
            name: -answer - 1 if answer else 0
            for name, answer in found.items()
            if answer == 0 or answer < BUSY
        },
        unended={
            mailboxes[place]: Unended(calls, ends_ms)
            for place, calls, ends_ms in zip(more[::3], more[1::3], more[2::3], strict=True)
        },
        paused_until_ms={name: answer for name, answer in found.items() if answer > 0},
        busy=frozenset(name for name, answer in found.items() if answer == BUSY),
    )
