"""
The Redis that the ledger is on: whether it is the one that it was, and what its data are worth.

A replica that becomes the primary lacks what it had not heard of, and a server that is started
what was not on the disk. Then what the ledger calls unsent may have been sent.

What is lost is always the end of what was written, so only slices that somebody worked on
lately can have lost a mark. In an inquiry each process of the crew says which these are, and only
they are put in doubt. All that is open is put in doubt where that does not suffice: somebody does
not answer, or nobody who has reached the ledger shortly before can say how much is lost.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.ledger import keys
from jobs.ledger.crew import Crew
from jobs.ledger.script import Argument, Script

LOST_MS: Final = 2_000
"""How much of what was written last may be lost: `appendfsync everysec` loses as much."""

SETTLED_IN_MS: Final = 5_000
"""
After so long a new member of the crew is on the disk too, so that it is not forgotten either.

More than `LOST_MS`, and how far two beats may be apart.
"""

ANSWERS_MS: Final = 5_000
"""How long an inquiry waits for an answer; who lives answers at the next beat."""

AT_ONCE: Final = 1_000
"""Slices, or batches, in one step of an inquiry: some milliseconds of Redis."""

Worked = tuple[str, int, int]
"""A batch, the number of a slice, and the latest epoch under which a process has worked on it."""


class Change(StrEnum):
    """What has become of the ledger; all but the first may have cost what was written last."""

    SAME = "same"
    WENT_BACK = "went_back"
    FAILED_OVER = "failed_over"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class Recollection:
    """
    What one process remembers: what it has worked on lately, and how much it has written.

    `written_ms` is the latest moment it has written at, by its own clock. `reached_ms` is the
    latest moment it has noted in the ledger, by the clock of Redis; 0 if it has noted none.
    """

    process: str
    slices: Sequence[Worked]
    written_ms: int
    reached_ms: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What was found, and what was put in doubt: so many slices of some batches, or these wholly.

    `slices` is None where all that is open in the batches is in doubt.
    """

    change: Change
    batches: list[str]
    slices: int | None = None


SAME: Final = Judgement(Change.SAME, [], 0)


class Home:
    """The Redis of one ledger, as one process sees it."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py types each command as both sync and async
        self._scripts = {n: Script(redis, n) for n in ("home", "recall", "doubt", "settle")}
        self._crew = Crew(redis)
        self._told = ""

    async def judge(
        self, recall: Callable[[], Recollection], now_ms: Callable[[], int]
    ) -> Judgement | None:
        """
        Judge the data of a Redis that may have forgotten something; no mark is granted before.

        Returns None as long as others have still to answer: ask again with the next beat. Returns
        `SAME` too where another process has come to the end of it. `recall` is asked once in an
        inquiry; `now_ms` returns ms since the epoch. Raises redis-py's errors.
        """
        recollection = recall()
        found, inquiry = await self._scripts["home"](
            [keys.HOME, keys.WRITTEN, keys.INQUIRY, keys.ASKED, keys.CREW, keys.BEATEN],
            [
                now_ms(),
                recollection.written_ms,
                int(await self._syncs_always()),
                recollection.reached_ms,
            ],
        )
        change = Change(found.decode())
        if change is Change.SAME:
            return SAME
        if self._told != inquiry:
            await self._answer(inquiry, recollection, now_ms())
            self._told = inquiry
        return await self._conclude(inquiry, change, now_ms)

    async def settles_in_ms(self) -> int:
        """Return how long a new member of the crew has to wait before it opens a slice, in ms."""
        try:
            told: dict[str, str] = await self._redis.config_get("append*")
            saved: dict[str, str] = await self._redis.config_get("save")
        except ResponseError:  # not allowed, or not there, as in many services
            return SETTLED_IN_MS
        nothing_lasts = told.get("appendonly") == "no" and not saved.get("save")
        return 0 if nothing_lasts or _syncs_always(told) else SETTLED_IN_MS

    async def _answer(self, inquiry: bytes, recollection: Recollection, now_ms: int) -> None:
        slices = list(recollection.slices)
        for first in range(0, max(len(slices), 1), AT_ONCE):
            some = slices[first : first + AT_ONCE]
            over = int(first + AT_ONCE >= len(slices))
            who: list[Argument] = [
                recollection.process,
                now_ms,
                recollection.written_ms,
                recollection.reached_ms,
            ]
            flat: list[Argument] = [part for worked in some for part in worked]
            await self._scripts["recall"](
                [keys.INQUIRY, keys.ASKED], [inquiry, *who, over, keys.BATCH, *flat]
            )

    async def _conclude(
        self, inquiry: bytes, change: Change, now_ms: Callable[[], int]
    ) -> Judgement | None:
        told = await self._redis.hmget(keys.INQUIRY, "id", "begun_ms", "beaten_ms", "reached_ms")
        begun_ms, beaten_ms, reached_ms = (int(each or 0) for each in told[1:])
        missing = await self._redis.scard(keys.ASKED)
        if told[0] == inquiry and missing and now_ms() - begun_ms < ANSWERS_MS:
            return None
        all_said = not missing and reached_ms and beaten_ms >= reached_ms - LOST_MS
        if all_said and not await self._crew.strangers():
            judgement = await self._told_of(change)
        else:
            judgement = Judgement(change, await self._doubt_all(inquiry, now_ms()))
        settled = await self._scripts["settle"](
            [keys.HOME, keys.WRITTEN, keys.INQUIRY, keys.ASKED, keys.BEATEN], [inquiry, now_ms()]
        )
        return judgement if settled else SAME

    async def _told_of(self, change: Change) -> Judgement:
        facts: dict[bytes, bytes] = await self._redis.hgetall(keys.INQUIRY)
        names = [n.decode().removeprefix("batch:") for n in facts if n.startswith(b"batch:")]
        return Judgement(change, sorted(names), int(facts.get(b"slices", 0)))

    async def _doubt_all(self, inquiry: bytes, now_ms: int) -> list[str]:
        active: set[bytes] = await self._redis.smembers(keys.ACTIVE)
        names = sorted(name.decode(errors="replace") for name in active)
        for some in _parts(names):
            batches = [keys.batch(name) for name in some]
            if await self._scripts["doubt"]([keys.INQUIRY, *batches], [inquiry, now_ms]) < 0:
                break
        return names

    async def _syncs_always(self) -> bool:
        """Ask whether every write is on the disk before it is answered; unknown counts as no."""
        try:
            return _syncs_always(await self._redis.config_get("append*"))
        except ResponseError:  # not allowed, or not there, as in many services
            return False


def _syncs_always(told: dict[str, str]) -> bool:
    return (told.get("appendonly"), told.get("appendfsync")) == ("yes", "always")


def _parts(names: list[str]) -> Iterable[list[str]]:
    return (names[first : first + AT_ONCE] for first in range(0, len(names), AT_ONCE))
