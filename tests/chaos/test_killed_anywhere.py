"""
Killed before or after any send, recv or log line: nothing is sent twice, nothing is lost.

`tests/support/chaos/killed_at.py` kills a worker at an exact place, and takes no tool of the system
to do it. This is a part of the sweep in `tests/chaos/test_chaos.py` that every run of the tests can
afford: some places of each kind, from the first to nearly the last, several side by side.
"""

import asyncio
import itertools
import json
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from config.settings import Settings
from jobs.operations.ledger import open_ledger
from jobs.operations.submit import Wishes, queue_batch, read_file
from tests.support import SUPPORT
from tests.support.chaos.killed_at import MOMENTS, SIDES
from tests.support.chaos.scenario import Ordeal, rows_of, seeded
from tests.support.program import Program, Worker
from tests.support.rarely import first_always, rarely
from tests.support.sandbox_client import SandboxClient, running_sandbox
from tests.support.waiting import PATIENCE_S
from worker.process.embedded import EmbeddedRedis
from worker.sandbox import Entry

KILLED_AT: Final = SUPPORT / "chaos" / "killed_at.py"
KINDS: Final = ("send", "recv", "write")
PLACES: Final = 2
"""Of each kind, from the first that a worker comes to."""

LAST: Final = 0.9
"""So far on its way; how often it asks for more work before it ends is not the same every time."""

SEED: Final = 20_261_121
TRIES: Final = 4
STEP_BACK: Final = 5
"""So much sooner each next time, when a worker came to its end before the place."""

ALLOWED_MS: Final = 3_600_000
DOMAIN: Final = "contoso.com"

NewOrdeal = Callable[[], Ordeal]


class Witness(SandboxClient):
    """A sandbox that several ordeals share, as one of them sees it: without the others' calls."""

    def __init__(self, environment: Mapping[str, str], domain: str) -> None:
        super().__init__(environment)
        self.domain = domain

    def journal(self, since: int = 0) -> list[Entry]:
        """Return what Graph received, but for the mailboxes of other ordeals."""
        return [entry for entry in super().journal(since) if not self._is_of_others(entry)]

    def _is_of_others(self, entry: Entry) -> bool:
        domain = entry.mailbox.rpartition("@")[2]
        return domain != self.domain and domain.endswith(f".{DOMAIN}")


def killed_at(moment: str, number: int) -> list[str | Path]:
    """Run a worker that is killed as a moment comes for the Nth time; never with 0."""
    return [sys.executable, "-u", KILLED_AT, moment, str(number)]


class Quick(Program):
    """The console command, but for the submit: made here, it spares a start of Python."""

    def submit(self, rows: list[dict[str, Any]], *_: str) -> str:
        """Submit rows; return the batch's id."""
        wishes = Wishes(format=None, batch=None, at_ms=0, allowed_ms=ALLOWED_MS, check_first=False)
        file = str(self.folder / self.write("rows.jsonl", rows))

        async def submit() -> str:
            settings = Settings.load({"REDIS_URL": self.environment["REDIS_URL"]})
            with read_file(file, wishes, proposals_allowed=False) as checked:
                async with open_ledger(settings) as (redis, _):
                    return (await queue_batch(redis, checked, wishes)).batch

        return asyncio.run(submit())


def submitted(program: Program, environment: Mapping[str, str], name: str) -> Ordeal:
    """Submit a batch of six responses of two mailboxes in a domain of its own."""
    domain = f"{name}.{DOMAIN}"
    ordeal = Ordeal(program, Witness(environment, domain))
    rows = rows_of(6, 2)
    ordeal.submit([row | {"user": row["user"].replace(DOMAIN, domain)} for row in rows])
    return ordeal


@pytest.fixture(scope="module")
def new_ordeal(
    redis_server: EmbeddedRedis, databases: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewOrdeal]:
    """Submit batches that do not meet: each in a database of its own, all at one sandbox."""
    numbers = itertools.count(1)
    with running_sandbox() as sandbox:

        def new() -> Ordeal:
            name = f"ordeal{next(numbers)}"
            environment = {
                **sandbox.environment,
                "REDIS_URL": redis_server.url.replace("db=0", f"db={next(databases)}"),
                "BULKRSVP_SETTLE_S": "0.2",
                "BULKRSVP_LOG_FORMAT": "json",
            }
            folder = tmp_path_factory.mktemp(name, numbered=False)
            return submitted(Quick(environment, folder), sandbox.environment, name)

        yield new


@pytest.fixture(scope="module")
def times(new_ordeal: NewOrdeal) -> Counter[str]:
    """Count how often each moment comes on a worker's way from start to end."""
    return counted(new_ordeal().burst(command=killed_at(MOMENTS[0], 0)).errors)


def counted(errors: str) -> Counter[str]:
    """Read how often each moment came, as a worker tells that came to its end."""
    return Counter(json.loads(errors.splitlines()[-1]))


def places(kind: str, chance: random.Random) -> list[tuple[str, float]]:
    """Choose moments, before and after in turn, and how far on the way each is to come."""
    parts = [n + chance.uniform(-0.5, 0.5) for n in range(1, PLACES - 1)]
    sides = itertools.cycle(chance.sample(list(SIDES.values()), 2))
    ways = [LAST * part / (PLACES - 1) for part in (0, *parts, PLACES - 1)]
    return [(f"{side}-{kind}", way) for side, way in zip(sides, ways, strict=False)]


def die_at(new_ordeal: NewOrdeal, place: tuple[str, float], times: Counter[str]) -> int:
    """Let a worker die at a place and another one go on; return which occurrence it was."""
    moment, way = place
    for tries in range(TRIES):
        number = max(1, 1 + round(way * (times[moment] - 1)) - tries * STEP_BACK)
        ordeal = new_ordeal()
        worker = ordeal.outlive(killed_at(moment, number))
        assert [] == ordeal.violations(), f"killed {moment} {number}"
        if worker.process.returncode == -signal.SIGKILL:
            return number
        times = counted(worker.errors)
    pytest.fail(f"{moment} {number} was not reached")


@pytest.mark.parametrize("kind", first_always(KINDS))
def test_wherever_a_worker_is_killed_all_is_sent_once(
    new_ordeal: NewOrdeal, times: Counter[str], kind: str
) -> None:
    """Wherever a worker is killed, another one sends the rest: all once, and accounted for."""
    chosen = places(kind, seeded(SEED + KINDS.index(kind)))
    with ThreadPoolExecutor(PLACES) as pool:
        died = list(pool.map(lambda place: die_at(new_ordeal, place, times), chosen))
    assert sorted(set(died)) == died
    assert died[-1] > 2 * PLACES, "the worker does not send, hear and log by these functions"


@pytest.mark.parametrize(("moment", "lines"), [("before-write", 1), rarely("after-write", 2)])
def test_it_dies_around_a_line(new_ordeal: NewOrdeal, moment: str, lines: int) -> None:
    """The control: the second line of the log is there after its write, and not before."""
    with new_ordeal().worker(command=killed_at(moment, 2)) as worker:
        assert -signal.SIGKILL == worker.process.wait(PATIENCE_S), worker.errors
    assert lines == len(worker.log)


AFTER_SEND: Final = ("after-send", True)


@pytest.mark.parametrize(("moment", "is_sent"), [("before-send", False), rarely(*AFTER_SEND)])
def test_it_dies_around_a_send(new_ordeal: NewOrdeal, moment: str, *, is_sent: bool) -> None:
    """The control: the first bytes to Redis are out after their send, and not before."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with new_ordeal().worker(command=killed_at(moment, 1), REDIS_URL=url) as worker:
            server.settimeout(PATIENCE_S)
            connection, _ = server.accept()
            with connection:
                assert -signal.SIGKILL == worker.process.wait(PATIENCE_S), worker.errors
                assert is_sent is bool(connection.recv(4096))


def wait_until_started(*workers: Worker) -> None:
    """Wait until each worker says that it has started."""
    for worker in workers:
        worker.wait_for("worker.started")


def test_a_worker_that_runs_already_takes_over(program: Program, sandbox: SandboxClient) -> None:
    """What a killed worker leaves is finished by one that has been there all along."""
    ordeal = Ordeal(program, sandbox)
    with ordeal.worker(command=killed_at("before-write", 7)) as dying, ordeal.worker() as other:
        wait_until_started(dying, other)
        other.process.send_signal(signal.SIGSTOP)  # so that the work is the dying one's
        ordeal.submit(rows_of(40, 10))
        assert -signal.SIGKILL == dying.process.wait(PATIENCE_S), dying.errors
        ordeal.observe()
        assert [] != dying.events("call.finished")
        other.process.send_signal(signal.SIGCONT)
        ordeal.wait_for_the_end()
    assert [] == ordeal.violations()
