"""
Draws the front page's pictures of the terminal from a real run against the sandbox.

    uv run python tests/pictures/make.py

A terminal of its own is opened for the console command, and what it shows there is kept as SVG.
"""

import fcntl
import os
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.text import Text

from worker.process.children import child_environment
from worker.process.embedded import EmbeddedRedis

HERE: Final = Path(__file__).parent
COMMAND: Final = Path(sys.executable).parent / "bulkrsvp"
PATIENCE_S: Final = 60.0

REDRAWN: Final = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
"""How rich begins a frame anew: back to the first line of the last one, and all erased."""

FONT: Final = re.compile(r"@font-face\s*{.*?}", re.DOTALL)
"""A picture must not fetch its letters from elsewhere."""

NARROW: Final = 100
WIDE: Final = 156
LINES: Final = 12
"""Of the results, and their header; the rest looks alike."""

RESPONSES: Final = 120
OTHERS: Final = [
    ("grace@contoso.com", "lost-AAMkAGE1Ab4=", "tentative"),
    ("grace@contoso.com", "organizer-AAMkAGE1Ab5=", "decline"),
    ("unlicensed@contoso.com", "AAMkADk2Qw7=", "decline"),
    ("denied@contoso.com", "AAMkADk2Qw8=", "decline"),
]


def rows() -> str:
    """Make rows of many mailboxes, and some that end otherwise."""
    many = [
        (f"person{n % 12}@contoso.com", f"AAMkAGI2TG{n:03}=", "decline") for n in range(RESPONSES)
    ]
    return "user,event,action\n" + "".join(f"{','.join(row)}\n" for row in [*OTHERS, *many])


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """Serve a sandbox; give the environment that it prints."""
    command = [str(COMMAND), "sandbox", "--latency-s", "0.4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            words = (serving.stdout.readline() for _ in range(PRINTED))
            exports = (shlex.split(line)[1] for line in words)
            yield dict(export.split("=", 1) for export in exports)
        finally:
            serving.terminate()


PRINTED: Final = 6
"""Lines that a sandbox prints."""


def shown(arguments: list[str], environment: Mapping[str, str], folder: Path, columns: int) -> str:
    """Run a command in a terminal of its own; return all that it wrote there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**child_environment(environment), "TERM": "xterm-256color", "TZ": "UTC"},
        cwd=folder,
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65_536):
            parts.append(part)
    except OSError:  # so a terminal ends on Linux
        pass
    os.close(ours)
    process.wait(PATIENCE_S)
    return b"".join(parts).decode().replace("\r\n", "\n")


def draw(name: str, command: list[str], text: str, columns: int) -> None:
    """Draw a command and what it printed."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True)
        console.print(Text(f"$ bulkrsvp {' '.join(command)}"), highlight=False)
        console.print(Text.from_ansi(text.strip("\r\n")), highlight=False, soft_wrap=True)
        picture = console.export_svg(title="bulkrsvp", unique_id=name)
    (HERE / f"{name}.svg").write_text(FONT.sub("", picture))


def under_way(text: str) -> str:
    """Return a frame of the bar from the middle of a run."""
    before, *frames = REDRAWN.split(text)
    said = before.partition("\x1b")[0]
    return said + frames[len(frames) // 2]


def main() -> None:
    """Draw all pictures."""
    with ExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory()))
        (folder / "leavers.csv").write_text(rows())
        redis = parts.enter_context(EmbeddedRedis(folder / "redis"))
        environment = {
            **parts.enter_context(sandbox()),
            "REDIS_URL": redis.url,
            "BULKRSVP_SETTLE_S": "1",
            "BULKRSVP_MAX_CALLS": "12",
        }
        worker = subprocess.Popen(
            [COMMAND, "worker"],
            stdout=subprocess.DEVNULL,
            env=child_environment(environment),
            cwd=folder,
        )
        try:
            draw_all(environment, folder)
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)


def draw_all(environment: Mapping[str, str], folder: Path) -> None:
    """Submit and watch, then look at what came of it."""
    time.sleep(1)
    command = ["submit", "leavers.csv", "--batch", "leavers", "--watch"]
    text = shown(command, environment, folder, NARROW)
    draw("watch", command, under_way(text), NARROW)
    command = ["results", "leavers"]
    text = shown(command, environment, folder, WIDE)
    draw("results", command, "\n".join(text.splitlines()[:LINES]), WIDE)


if __name__ == "__main__":
    main()
