"""
A client of Redis that sends the commands of all parts of a process together.

While one round trip is under way, whatever else is asked gathers and goes out as the next. The
busier the process, the more commands share a round trip; a single one goes out at once. Marks and
records are coalesced by `jobs/ledger/slices/writes.py`, which says why that is not the same.
"""

import asyncio
from typing import Any, Final

from redis.asyncio import Redis

PAUSE_LIMIT_S: Final = 0.005
"""How long a command waits for others at most, beside the round trip that is under way."""

_Question = tuple[tuple[Any, ...], dict[str, Any], asyncio.Future[Any]]


class CoalescingRedis(Redis):
    """
    A client on the connections of another one, with all of redis-py's commands.

    Each command returns what it returns in redis-py, or raises the same error. Commands are carried
    out in the order in which they were given, even if their caller is cancelled meanwhile. Use it
    only for commands that do not block. Pipelines are not coalesced.
    """

    def __init__(self, redis: Redis) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self._gathered: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """Send a command together with others; return an awaitable of its answer."""
        answer = asyncio.get_running_loop().create_future()
        self._gathered.append((command, options, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return answer

    async def _ask_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._gathered:
            gathered, self._gathered = self._gathered, []
            begun_s = clock()
            answers = await self._ask(gathered)
            for (_, _, future), answer in zip(gathered, answers, strict=True):
                _tell(future, answer)
            # As long again: whoever was answered gives its next command meanwhile.
            await asyncio.sleep(min(clock() - begun_s, PAUSE_LIMIT_S))

    async def _ask(self, questions: list[_Question]) -> list[Any]:
        try:
            async with self.pipeline(transaction=False) as pipe:
                for command, options, _ in questions:
                    pipe.execute_command(*command, **options)
                answers: list[Any] = await pipe.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001  # passed to whoever waits for an answer
            return [error] * len(questions)
        return answers


def _tell(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
