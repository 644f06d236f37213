"""
Failover: whether the Redis under the ledger is still the same, and what it may have lost.

A replica that becomes the primary lacks what had not reached it, and a restarted server lacks what
was not on the disk. Then what the ledger calls unsent may have been sent.

What is lost is always the latest writes, so only slices that were worked on lately can have lost a
mark. In an inquiry each process of the crew names these slices, and only they are put in doubt.
Where that is not enough, everything open is put in doubt: a process does not answer, or none that
reached the ledger shortly before can say how much is lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.ledger import keys
from jobs.ledger.fields import InquiryField
from jobs.ledger.foreign import told_apart
from jobs.ledger.script import Argument, Script
from jobs.ledger.workers.crew import Crew
from jobs.storable import stored_number

LOST_MS: Final = 2_000
"""How much of the latest writes may be lost: as much as `appendfsync everysec` loses."""

SETTLED_IN_MS: Final = 5_000
"""
After this time a new member of the crew is on the disk too, so that it cannot be forgotten either.

More than `LOST_MS`, and more than the time between two beats.
"""

ANSWERS_MS: Final = 5_000
"""How long an inquiry waits for answers; a living process answers at its next beat."""

SYNCED_ANSWERS_MS: Final = 1_500
"""The same where every write is on the disk before it is answered."""

AT_ONCE: Final = 1_000
"""Slices or batches in one step of an inquiry: some milliseconds of Redis."""

Worked = tuple[str, int, int]
"""A batch, the number of a slice, and the latest epoch under which a process worked on it."""


class Change(StrEnum):
    """What has become of the ledger; all but the first may have lost the latest writes."""

    SAME = "same"
    WENT_BACK = "went_back"
    FAILED_OVER = "failed_over"
    RESTARTED = "restarted"


class Synced(StrEnum):
    """When a write reaches the disk, as far as Redis says."""

    ALWAYS = "always"
    EVERY_SECOND = "everysec"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recollection:
    """
    What one process remembers: what it has worked on lately, and when it wrote last.

    `written_ms` is the latest moment it has written at, by its own clock. `reached_ms` is the
    latest moment it has noted in the ledger, by the clock of Redis; 0 if it has noted none, or too
    long ago to say what came since. `unsure` is whether it may have been granted marks that it no
    longer remembers; it is false if it was never granted any.
    """

    process: str
    slices: Sequence[Worked]
    written_ms: int
    reached_ms: int
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What has happened, and what was put in doubt: a number of slices of some batches.

    `slices` is None where everything open in the batches is in doubt.
    """

    change: Change
    batches: list[str]
    slices: int | None = None


SAME: Final = Judgement(Change.SAME, [], 0)


class Failover:
    """Failovers of the Redis under one ledger, as one process sees them."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._scripts = {n: Script(redis, n) for n in ("home", "recall", "doubt", "settle")}
        self._crew = Crew(redis)
        self._told: bytes | None = None
        self._heard_ms = 0
        self._judged: Judgement | None = None

    async def judge(
        self, recall: Callable[[], Recollection], now_ms: Callable[[], int]
    ) -> Judgement | None:
        """
        Judge the data of a Redis that may have forgotten something; until then it grants no mark.

        Returns None while others have still to answer: ask again with the next beat. Returns `SAME`
        also where another process has concluded the inquiry. `recall` is called once in an inquiry;
        `now_ms` returns ms since the epoch. Raises redis-py's errors.
        """
        known = recall()
        found, inquiry, beaten_ms, written_ms = await self._scripts["home"](
            [keys.HOME, keys.WRITTEN, keys.INQUIRY, keys.ASKED, keys.CREW, keys.BEATEN],
            [now_ms(), known.written_ms, known.reached_ms],
        )
        with told_apart(keys.INQUIRY):
            change = Change(found.decode())
        if change is Change.SAME:
            judged, self._judged = self._judged, None
            return judged or SAME
        synced = await self._synced()
        trusted = _is_trusted(change, synced)
        if self._told != inquiry:
            kept = beaten_ms >= known.reached_ms and written_ms >= known.written_ms
            slices = [] if trusted and kept else list(known.slices)
            await self._answer(inquiry, known, slices, now_ms())
            self._told, self._heard_ms = inquiry, now_ms()
        with told_apart(keys.INQUIRY):
            return await self._conclude(inquiry, change, synced, now_ms)

    async def settles_in_ms(self) -> int:
        """
        Return how long a new member of the crew has to wait before it opens a slice, in ms.

        0 where Redis never loses what it has answered, or always loses everything.
        """
        try:
            told: dict[str, str] = await self._redis.config_get("append*")
            saved: dict[str, str] = await self._redis.config_get("save")
            replication: dict[str, Any] = await self._redis.info("replication")
        except ResponseError:  # not permitted or not available, as in many services
            return SETTLED_IN_MS
        alone = (replication.get("role"), replication.get("connected_slaves")) == ("master", 0)
        nothing_lasts = told.get("appendonly") == "no" and not saved.get("save")
        return 0 if alone and (nothing_lasts or _read(told) is Synced.ALWAYS) else SETTLED_IN_MS

    async def _answer(
        self, inquiry: bytes, known: Recollection, slices: list[Worked], now_ms: int
    ) -> None:
        for first in range(0, max(len(slices), 1), AT_ONCE):
            some = slices[first : first + AT_ONCE]
            over = int(first + AT_ONCE >= len(slices))
            flat: list[Argument] = [part for worked in some for part in worked]
            await self._scripts["recall"](
                [keys.INQUIRY, keys.ASKED],
                [
                    inquiry,
                    known.process,
                    now_ms,
                    known.written_ms,
                    known.reached_ms,
                    over,
                    keys.BATCH,
                    int(known.unsure),
                    *flat,
                ],
            )

    async def _conclude(
        self, inquiry: bytes, change: Change, synced: Synced, now_ms: Callable[[], int]
    ) -> Judgement | None:
        facts: dict[bytes, bytes] = await self._redis.hgetall(keys.INQUIRY)
        silent = await self._redis.scard(keys.ASKED) > 0
        trusted = _is_trusted(change, synced)
        patience_ms = SYNCED_ANSWERS_MS if trusted else ANSWERS_MS
        if (
            facts.get(InquiryField.ID) == inquiry
            and silent
            and now_ms() - self._heard_ms < patience_ms
        ):
            return None
        if trusted and not facts.get(InquiryField.SLICES) and not facts.get(InquiryField.WHOLE):
            judgement = SAME  # nothing that was answered is missing
        elif trusted or (
            not silent
            and _is_enough(facts, change, synced)
            and not await self._crew.has_strangers_beside()
        ):
            judgement = _judgement(facts, change)
        else:
            judgement = Judgement(change, await self._doubt_all(inquiry, now_ms()))
        self._judged = judgement  # if the answer is lost, no other process reports it
        settled = await self._scripts["settle"](
            [keys.HOME, keys.WRITTEN, keys.INQUIRY, keys.ASKED, keys.BEATEN], [inquiry, now_ms()]
        )
        self._judged = None
        return judgement if settled else SAME

    async def _doubt_all(self, inquiry: bytes, now_ms: int) -> list[str]:
        """Put all batches in doubt, as a retry of any may be lost; return the active ones."""
        active: set[bytes] = await self._redis.smembers(keys.ACTIVE)
        every: list[bytes] = await self._redis.zrangebyscore(keys.BATCHES, "-inf", "+inf")
        names = sorted(name.decode(errors="replace") for name in active)
        others = {name.decode(errors="replace") for name in every}.difference(names)
        for some in _parts([*names, *others]):
            batches = [keys.batch(name) for name in some]
            if await self._scripts["doubt"]([keys.INQUIRY, *batches], [inquiry, now_ms]) < 0:
                break
        return names

    async def _synced(self) -> Synced:
        try:
            return _read(await self._redis.config_get("append*"))
        except ResponseError:  # not permitted or not available, as in many services
            return Synced.UNKNOWN


def _is_trusted(change: Change, synced: Synced) -> bool:
    """Whether nothing can be lost, unless a process knows better."""
    return synced is Synced.ALWAYS and change is Change.RESTARTED


def _is_enough(facts: Mapping[bytes, bytes], change: Change, synced: Synced) -> bool:
    """Whether the answers cover everything that may be lost, now that all have come."""
    if InquiryField.UNSURE in facts:
        return False
    if reached_ms := stored_number(facts.get(InquiryField.REACHED_MS, b"0")):
        return stored_number(facts.get(InquiryField.BEATEN_MS, b"0")) >= reached_ms - LOST_MS
    # No member has ever been granted a mark, and those that were have resigned. What may be lost is
    # shorter than the time that a new member waits.
    return change is Change.RESTARTED and synced is not Synced.UNKNOWN


def _judgement(facts: Mapping[bytes, bytes], change: Change) -> Judgement:
    prefix = InquiryField.BATCH
    names = [name.removeprefix(prefix).decode() for name in facts if name.startswith(prefix)]
    slices = stored_number(facts.get(InquiryField.SLICES, b"0"))
    return Judgement(change, sorted(names), None if InquiryField.WHOLE in facts else slices)


def _read(told: Mapping[str, str]) -> Synced:
    if told.get("appendonly") != "yes":
        return Synced.UNKNOWN
    known = {each.value: each for each in (Synced.ALWAYS, Synced.EVERY_SECOND)}
    return known.get(told.get("appendfsync", ""), Synced.UNKNOWN)


def _parts(names: list[str]) -> Iterable[list[str]]:
    return (names[first : first + AT_ONCE] for first in range(0, len(names), AT_ONCE))
