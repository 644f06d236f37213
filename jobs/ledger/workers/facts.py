"""What a worker says of itself in its lease, for people who ask which workers are alive."""

from dataclasses import asdict, dataclass
from typing import Final, Self

import orjson

from jobs.storable import moment, number


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of itself; `calls` are those in flight."""

    host: str = ""
    pid: int = 0
    version: str = ""
    since_ms: int = 0
    calls: int = 0

    def to_json(self) -> bytes:
        """Return what `from_json` reads."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, told: bytes) -> Self | None:
        """Read what `to_json` wrote; None for anything else, which anybody may have put there."""
        try:
            facts = cls(**orjson.loads(told))
            moment(facts.since_ms)
            number(facts.pid)
            number(facts.calls)
        except (ValueError, TypeError):
            return None
        right = all(
            type(getattr(facts, name)) is kind for name, kind in cls.__annotations__.items()
        )
        return facts if right else None


NO_FACTS: Final = Facts()
