"""Which workers of a ledger live, by their leases: a loop that stands still renews none."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from redis.exceptions import RedisError

from config.errors import SettingsError
from config.settings import Settings
from jobs.check import Check, CheckName
from jobs.ledger.workers.facts import Facts
from jobs.ledger.workers.leases import Leases
from jobs.redis.connection import connected
from jobs.redis.requirements import why_unreachable
from jobs.times import write_local
from worker.check.course import judge_settings
from worker.identity.redis_login import log_in

_NOBODY: Final = (
    "start one: bulkrsvp worker, with the same REDIS_URL; if one is running, it stands still or is"
    " cut off from Redis"
)


async def name_workers(settings: Settings, wrong: Sequence[str]) -> AsyncIterator[Check]:
    """Yield each worker that lives; it fails if there is none. Only Redis is asked."""
    judged = judge_settings(settings, wrong) if wrong else []
    for check in judged:
        yield check
    if not any(check.subject == "REDIS_URL" for check in judged):
        for check in await _ask(settings):
            yield check


async def _ask(settings: Settings) -> list[Check]:
    try:
        async with connected(settings, log_in) as redis:
            living = await Leases(redis).living()
    except SettingsError as error:
        return [Check.failed(CheckName.REDIS, "cannot log in", str(error))]
    except (RedisError, OSError) as error:
        return [why_unreachable(error, settings.redis_url_shown)]
    if not living:
        return [Check.failed(CheckName.WORKER, "none lives", _NOBODY)]
    return [_tell(name, facts) for name, facts in living.items()]


def _tell(name: str, facts: Facts | None) -> Check:
    if facts is None:
        return Check.passed(CheckName.WORKER, "lives; what else it says cannot be read", name)
    seen = (
        f"on {ascii(facts.host)[1:-1]}, process {facts.pid}, version {ascii(facts.version)[1:-1]},"
        f" since {write_local(facts.since_ms)}, {facts.calls} calls in flight"
    )
    return Check.passed(CheckName.WORKER, seen, name)
