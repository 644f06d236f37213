"""A client of Redis whose every command waits until the explorer has it carried out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from jobs.ledger import keys

Command = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """Commands that go to Redis as one step: one of them, or a transaction."""

    commands: tuple[Command, ...]


Park = Callable[[str, Any], Awaitable[Any]]
"""Has the actor stand until what it asks has an answer; `channel` keeps its questions in order."""

_POOL: Final = ConnectionPool()  # never connects


class SteppedRedis(ArqRedis):
    """A client with all of redis-py's commands; those of one `channel` go in order."""

    def __init__(self, park: Park, channel: str) -> None:
        super().__init__(
            _POOL,
            job_serializer=orjson.dumps,
            job_deserializer=orjson.loads,
            default_queue_name=keys.QUEUE,
        )
        self._park = park
        self._channel = channel

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Stand until the command has been carried out."""
        (answer,) = await self.carry_out([(command, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002, ARG002  # as redis-py has it
        """Return a pipeline: without a transaction, others come between its commands."""
        return SteppedPipeline(self, transaction=transaction)

    async def carry_out(self, stack: Sequence[tuple[Any, dict[str, Any]]]) -> list[Any]:
        """Carry out commands in one step; return their answers as redis-py reads them."""
        encode = self.get_encoder().encode  # type: ignore[no-untyped-call]
        commands = tuple(
            tuple(map(encode, (*str(command[0]).split(), *command[1:]))) for command, _ in stack
        )
        answers = await self._park(self._channel, Asked(commands))
        return [
            self._read(command[0], options, answer)
            for (command, options), answer in zip(stack, answers, strict=True)
        ]

    def _read(self, name: str, options: dict[str, Any], answer: Any) -> Any:
        if isinstance(answer, Exception):
            return type(answer)(*answer.args)  # one that is raised again grows a traceback
        options = {key: value for key, value in options.items() if key != "keys"}
        if name not in self.response_callbacks:
            return answer
        try:
            return self.response_callbacks[name](answer, **options)
        except ResponseError as error:
            return error


class SteppedPipeline(Pipeline):
    """Commands that gather, and go as one step if they are a transaction, else as one each."""

    def __init__(self, redis: SteppedRedis, *, transaction: bool) -> None:
        super().__init__(redis.connection_pool, redis.response_callbacks, transaction, None)
        self._redis = redis

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # as redis-py has it
        """Carry out what has gathered."""
        stack: list[Any] = self.command_stack
        self.command_stack = []
        steps = [stack] if self.is_transaction else [[each] for each in stack]
        answers = [answer for step in steps if step for answer in await self._redis.carry_out(step)]
        for answer in answers:
            if raise_on_error and isinstance(answer, RedisError):
                raise answer
        return answers

    async def reset(self) -> None:
        """Forget what has gathered."""
        self.command_stack = []
