"""
Measures bulkrsvp against what would be used in its place, and against its goals.

    uv run --group bench python tests/bench/run.py [CASE...] [--small]

All runs on this machine, against one simulated Graph. Figures and ratios are printed, written as
JSON, and drawn; nothing is asserted.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from rich.console import Console

from tests.bench import (
    cases_cpu,
    cases_faults,
    cases_size,
    cases_steps,
    cases_throttle,
    cases_time,
    show,
)
from tests.bench.apparatus import Apparatus
from tests.bench.child import Failed
from tests.bench.figures import Figure

Case = Callable[[Apparatus], list[Figure]]

CASES: Final[dict[str, Case]] = {
    "cpu": cases_cpu.cpu,
    "thin": cases_cpu.thin,
    "submit": cases_size.submit,
    "redis": cases_size.redis,
    "memory": cases_size.memory,
    "steps": cases_steps.steps,
    "time": cases_time.time_to_finish,
    "urgent": cases_time.urgent,
    "firstcall": cases_time.first_call,
    "headofline": cases_time.head_of_line,
    "scaling": cases_time.scaling,
    "throttled": cases_throttle.throttled,
    "takeover": cases_faults.takeover,
    "faults": cases_faults.faults,
}
RESULTS: Final = Path(__file__).parent / "results"


@click.command(epilog=f"Cases: {', '.join(CASES)}.")
@click.argument("names", metavar="[CASE]...", nargs=-1, type=click.Choice([*CASES]))
@click.option("--small", is_flag=True, help="A twentieth of the rows: to try it, not to quote it.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="Where the JSON and the plots go.",
)
def main(names: tuple[str, ...], *, small: bool, output: Path) -> None:
    """Run all cases, or those that are named; the rows and Redis are kept under TMPDIR."""
    # What was started is ended, whoever ends this.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console = Console()
    console.print(show.machine())
    output.mkdir(parents=True, exist_ok=True)
    measured = []
    for name in names or CASES:
        measured.append(_run(name, small=small))
        show.print_case(console, measured[-1])
        show.write_json(output, measured[-1], small=small)
    for each in measured:
        show.draw(output, each)
    show.write_table(output)
    console.print(f"written to {output}")
    sys.exit(any(each.failure for each in measured))


def _run(name: str, *, small: bool) -> show.Measured:
    """Run one case on an apparatus of its own."""
    load, began_s = os.getloadavg()[0], time.monotonic()
    figures, failure = list[Figure](), ""
    with TemporaryDirectory(prefix="bench-") as folder:
        try:
            with Apparatus(Path(folder), small=small) as apparatus:
                figures = CASES[name](apparatus)
        except Failed as failed:
            failure = f"{name} could not be measured: {failed}"
    return show.Measured(name, figures, load, time.monotonic() - began_s, failure)


if __name__ == "__main__":
    main()
