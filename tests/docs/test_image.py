"""
The image without Docker: the steps of the Dockerfile are run one by one, and then what it starts.

The paths of the image lie in a folder of the test's; packages are really fetched and installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.chaos.scenario import rows_of
from tests.support.docs.dockerfile import Step, is_sent, stages
from tests.support.program import Program
from tests.support.redis.redis_servers import RedisServer, redis_server
from tests.support.sandbox_client import SandboxClient
from tests.support.waiting import PATIENCE_S, running
from worker.process.children import child_environment

pytestmark = pytest.mark.chaos

NOBODY = 65532
BUILD_S = 600


def as_nobody() -> dict[str, Any]:
    """Drop all rights, where there are any to drop."""
    if os.getuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def python() -> str:
    """Find a Python that a user without rights may start."""
    for each in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        try:
            subprocess.run([each, "-c", "import venv, ensurepip"], check=True, **as_nobody())
        except (OSError, subprocess.CalledProcessError):
            continue
        return each
    pytest.skip("there is no Python here that a user without rights may start")


@dataclass(frozen=True, slots=True)
class Machine:
    """A folder that stands for the root of a container."""

    root: Path

    def inside(self, text: str) -> str:
        """Put the image's own paths into the folder."""
        return text.replace("/opt/", f"{self.root}/opt/")

    def run(self, line: str) -> None:
        """Run a RUN step."""
        line = self.inside(line).replace("python -m venv", f"{python()} -m venv")
        ran = subprocess.run(
            ["sh", "-ec", line],
            cwd=self.root / "build",
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]

    def copy(self, step: Step) -> None:
        """Run a COPY step; only what .dockerignore lets in is there."""
        *names, target = step.words
        for name in names:
            into = self.root / "build" / target
            into = into / Path(name).name if len(names) > 1 or target.endswith("/") else into
            into.parent.mkdir(parents=True, exist_ok=True)
            assert is_sent(name)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, into)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Build the image: every step of the first stage, and what the second takes from it."""
    with tempfile.TemporaryDirectory(prefix="bulkrsvp-image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        made = Machine(root)
        (root / "build").mkdir()
        build, image = stages()
        for step in build:
            match step.word:
                case "RUN":
                    made.run(step.argument)
                case "COPY":
                    made.copy(step)
        assert ["--from=build /opt/bulkrsvp /opt/bulkrsvp"] == [
            step.argument for step in image if step.word == "COPY"
        ]
        shutil.rmtree(root / "build")
        shutil.rmtree(root / "opt" / "hatchling")
        subprocess.run(["chmod", "-R", "a-w,a+rX", root / "opt"], check=True)
        yield made


def entry(machine: Machine) -> list[str]:
    """Return what the container starts."""
    last = {step.word: step.words for step in stages()[1]}
    (name,) = last["ENTRYPOINT"]
    return [f"{machine.root}/opt/bulkrsvp/bin/{name}", *last["CMD"]]


def test_the_image_says_its_version_to_an_unprivileged_user(machine: Machine) -> None:
    """The command of the image says its version, to a user without rights."""
    command = [entry(machine)[0], "--version"]
    clean = {"PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        command, capture_output=True, text=True, env=clean, check=True, cwd="/", **as_nobody()
    )
    assert said.stdout.startswith("bulkrsvp, version ")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis that any user may reach."""
    with redis_server(tmp_path / "redis") as server:
        yield server


def test_a_worker_of_the_image_does_a_batch_and_drains(
    machine: Machine, program: Program, sandbox: SandboxClient, server: RedisServer
) -> None:
    """A worker of the image does a batch, writes nothing into it, drains on SIGTERM, ends."""
    program.environment["REDIS_URL"] = server.url
    trusted = machine.root / "trusted.pem"
    shutil.copy(sandbox.environment["SSL_CERT_FILE"], trusted)
    trusted.chmod(0o644)
    alive = Path(tempfile.gettempdir()) / f"alive-{os.getpid()}"
    before = sorted(machine.root.rglob("*"))
    batch = program.submit(rows_of(40, 8))
    settings = {"SSL_CERT_FILE": str(trusted), "BULKRSVP_LIVENESS_FILE": str(alive)}
    environment = child_environment({**program.environment, **settings})
    with running(
        entry(machine),
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        cwd="/",
        **as_nobody(),
    ) as worker:
        program.wait_until_finished(batch)
        touched = alive.exists()
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(PATIENCE_S)
    assert {"sent": 40} == program("status", batch, "--json").json["outcomes"]
    assert (True, False) == (touched, alive.exists())
    assert before == sorted(machine.root.rglob("*"))
