"""Whether a worker is alive: its lease for a monitor, its file for a probe."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from redis import Redis

from config.errors import SettingsError
from tests.support.docs.pages import Pages
from tests.support.program import Program
from tests.support.redis.own_redis import OwnRedis
from tests.support.sandbox_client import SandboxClient
from tests.support.small_ledger import listening
from tests.support.waiting import wait_until
from worker.process.liveness import LivenessFile

PROBE = next(block for block in Pages.load().blocks("sh") if "-newermt" in block)


def probe(path: Path) -> bool:
    """Run the probe that the pages show."""
    environment = {**os.environ, "BULKRSVP_LIVENESS_FILE": str(path)}
    return 0 == subprocess.run(["sh", "-c", PROBE], env=environment, check=False).returncode


def age(path: Path) -> None:
    """Make the file look as if nobody had touched it for a minute."""
    os.utime(path, (time.time() - 60,) * 2)


def wait_for_probe(path: Path) -> None:
    """Wait until the probe passes."""
    wait_until(lambda: probe(path), "the file was not touched", every_s=0.05)


def test_a_worker_that_stands_still(program: Program, redis: Redis) -> None:
    """A worker is named while its loop turns; one that stands still is neither named nor alive."""
    path = program.folder / "alive"
    with program.worker(BULKRSVP_LIVENESS_FILE=str(path)) as worker:
        worker.wait_for("worker.started")
        assert probe(path)
        named = program("check", "--worker", "--json", AZURE_CLIENT_SECRET="")
        worker.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not redis.keys("bulkrsvp:worker:*"), "it is still named")
        age(path)
        still = (program("check", "--worker"), probe(path))
        worker.process.send_signal(signal.SIGCONT)
        wait_for_probe(path)
        assert 0 == worker.stop()

    (found,) = named.json["checks"]
    assert (0, "worker", "ok") == (named.code, found["name"], found["verdict"])
    assert f"process {worker.process.pid}, version" in found["seen"]
    assert "0 calls in flight" in found["seen"]
    assert (3, False) == (still[0].code, still[1])
    assert "none lives" in still[0].out
    assert not path.exists()


@pytest.mark.chaos
def test_a_worker_that_waits_for_redis(sandbox: SandboxClient, tmp_path: Path) -> None:
    """A worker lives for its probe while Redis stands still; a monitor is told of Redis."""
    redis, path = OwnRedis(tmp_path), tmp_path / "alive"
    redis.start()
    program = Program({**sandbox.environment, "REDIS_URL": redis.url}, tmp_path)
    try:
        with program.worker(BULKRSVP_LIVENESS_FILE=str(path)) as worker:
            worker.wait_for("worker.started")  # before that it would end: it has begun nothing
            assert probe(path)
            redis.stand_still()
            worker.wait_for("redis.away")
            age(path)
            wait_for_probe(path)
            redis.go_on()
    finally:
        redis.go_on()
        redis.close()
    away = program("check", "--worker", "--json", REDIS_URL=redis.url)

    assert (3, ["redis"]) == (away.code, [each["name"] for each in away.json["checks"]])


@pytest.mark.parametrize("name", ["", "missing/alive"])
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    """A folder, or a file in a folder that is not there, is refused before a worker begins."""
    log, _ = listening()
    with pytest.raises(SettingsError, match=r"^BULKRSVP_LIVENESS_FILE: .* cannot be written"):
        LivenessFile(tmp_path / name, log).make()


def test_a_file_that_is_none(program: Program) -> None:
    """A worker follows no link and waits for no pipe: it says what the file is, and ends."""
    pipe, link, target = (program.folder / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    target.write_text("of somebody else")
    age(target)
    link.symlink_to(target)
    before = target.stat().st_mtime_ns
    refused = [program("worker", BULKRSVP_LIVENESS_FILE=str(path)) for path in (pipe, link)]

    assert [(3, ""), (3, "")] == [(each.code, each.out) for each in refused]
    assert f"{pipe} cannot be written (it is a pipe or a device, and no file)" in refused[0].err
    assert f"{link} cannot be written (it is a link, which is not followed)" in refused[1].err
    assert (before, True) == (target.stat().st_mtime_ns, link.is_symlink())


def test_a_pipe_that_is_read(tmp_path: Path) -> None:
    """A pipe that somebody reads, and that could be opened, is refused as well."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log, _ = listening()
    with pytest.raises(SettingsError, match="it is a pipe or a device"):
        LivenessFile(tmp_path / "pipe", log).make()
    os.close(reader)


def test_a_file_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    """That the file cannot be touched is said once, and again after it could be."""
    folder, (log, heard) = tmp_path / "folder", listening()
    file = LivenessFile(folder / "alive", log)

    def lose_and_touch() -> None:
        (folder / "alive").unlink()
        folder.rmdir()
        file.touch()
        file.touch()

    for _ in range(2):
        folder.mkdir()
        file.make()
        file.touch()
        lose_and_touch()
    file.remove()

    assert ["liveness.unwritable"] * 2 == [call.kwargs["event"] for call in heard.calls]


def test_without_the_setting_no_file_is_touched() -> None:
    """Without the setting nothing is touched, and nothing fails."""
    log, heard = listening()
    file = LivenessFile(None, log)
    file.make()
    file.touch()
    file.remove()

    assert [] == heard.calls
