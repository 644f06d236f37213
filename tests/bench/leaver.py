"""
How long one leaver with a full calendar takes, against the time that the mailbox limit allows.

    uv run python tests/bench/leaver.py [EVENTS]

2,000 events over three years are found and answered by the real command, on the sandbox and a
real Redis. Graph allows four calls in flight for one mailbox, so no client can take less than
calls x latency / 4. Prints that bound, the time from the first call to the last reply, and
their ratio.
"""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.program import Program
from tests.support.sandbox_client import SandboxClient, running_sandbox
from worker.process.embedded import EmbeddedRedis

EVENTS = 2_000
DAYS = 3 * 365
LATENCY_S = 0.15
IN_FLIGHT = 4
ADA = "ada@contoso.com"
SELECTION = {
    "user": ADA,
    "events": {"from": "2026-01-01T00:00:00Z", "to": "2028-12-31T00:00:00Z"},
    "action": "decline",
    "comment": "Ada has left Contoso.",
}


def calendar(count: int) -> list[dict[str, Any]]:
    """Make invitations, evenly over three years."""
    first = datetime(2026, 1, 1, 9, tzinfo=UTC)
    return [
        {
            "id": f"e{number}",
            "start": (first + timedelta(days=DAYS * number / count)).isoformat(),
            "organizer": "olga@fabrikam.com",
            "attendees": [ADA, "olga@fabrikam.com"],
        }
        for number in range(count)
    ]


def answer(sandbox: SandboxClient, redis_url: str, folder: Path, count: int) -> dict[str, Any]:
    """Let a worker find and answer all; return the figures."""
    sandbox.plant(ADA, calendar(count))
    sandbox.options(latency_s=LATENCY_S)
    program = Program({**sandbox.environment, "REDIS_URL": redis_url}, folder)
    program.submit([SELECTION])
    with program.worker("--burst") as worker:
        worker.process.wait()
    journal, stats = sandbox.journal(), sandbox.stats()
    bound_s = len(journal) * LATENCY_S / IN_FLIGHT
    took_s = max(call.ended_s or 0 for call in journal) - min(call.arrived_s for call in journal)
    return {
        "cores": os.cpu_count(),
        "events": count,
        "taken": stats.taken,
        "twice": len(stats.duplicates),
        "calls": len(journal),
        "most in flight": stats.max_in_flight[ADA],
        "429": stats.throttled,
        "bound, s": round(bound_s, 2),
        "took, s": round(took_s, 2),
        "ratio": round(took_s / bound_s, 3),
    }


def main() -> None:
    """Print the figures as JSON."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory(prefix="bulkrsvp-") as folder:
        path = Path(folder)
        with EmbeddedRedis(path / "redis") as redis, running_sandbox() as sandbox:
            print(json.dumps(answer(sandbox, redis.url, path, count), indent=2))  # noqa: T201  # what it is for


if __name__ == "__main__":
    main()
