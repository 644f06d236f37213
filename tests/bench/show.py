"""What was measured, as a table, as JSON, and as plots."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure

COMPARED: Final = ("bulkrsvp", "aiohttp", "arq", "celery", "msgraph-sdk", "redis", "requests")
LARGE: Final = 100
SPREAD: Final = 100
"""Where the longest bar is so many times the shortest, a linear scale would not show that one."""

VERDICTS: Final = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}


@dataclass(frozen=True, slots=True)
class Measured:
    """
    One case: its figures, the load of the machine before it, and how long it took.

    `failure` says why there are no figures.
    """

    case: str
    figures: Sequence[Figure]
    load: float
    took_s: float
    failure: str = ""


def machine() -> str:
    """Say what it ran on."""
    return (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; "
        + ", ".join(f"{name} {version(name)}" for name in COMPARED)
    )


def print_case(console: Console, measured: Measured) -> None:
    """Print the figures of a case."""
    title = (
        f"{measured.case}: {os.cpu_count()} cores, load {measured.load:.1f} before, "
        f"{measured.took_s:.0f} s"
    )
    table = Table(title=title, title_justify="left")
    for name in ("figure", "value", "goal", "", "note"):
        table.add_column(name, justify="right" if name in {"value", "goal"} else "left")
    for figure in measured.figures:
        table.add_row(*_cells(figure))
    console.print(measured.failure or table, markup=not measured.failure)


def _cells(figure: Figure) -> Iterable[str]:
    goal = "" if figure.goal is None else f"{figure.sense} {number(figure.goal)}"
    value = f"{number(figure.value)} {figure.unit}"
    return figure.what, value, goal, VERDICTS[figure.reached], figure.note


def number(value: float) -> str:
    """Write a number with three digits that count, or whole if it is large."""
    return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.3g}"


def write_json(folder: Path, measured: Measured, *, small: bool) -> None:
    """Write a case, in a file of its own."""
    told = {
        "case": measured.case,
        "small": small,
        "machine": machine(),
        "load_before": round(measured.load, 2),
        "took_s": round(measured.took_s, 1),
        "failure": measured.failure,
        "figures": [asdict(each) | {"reached": each.reached} for each in measured.figures],
    }
    (folder / f"{measured.case}.json").write_text(json.dumps(told, indent=2) + "\n")


def write_table(folder: Path) -> None:
    """Write all cases that lie in the folder as one table of Markdown, for this folder's page."""
    lines = ["| case | figure | value | goal | |", "|---|---|---|---|---|"]
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text())
        part = ", a twentieth of the rows" if told["small"] else ""
        for figure in told["figures"]:
            goal = "" if figure["goal"] is None else f"{figure['sense']} {number(figure['goal'])}"
            value = f"{number(figure['value'])} {figure['unit']}".strip()
            verdict = {True: "reached", False: "missed", None: ""}[figure["reached"]]
            note = "; ".join(filter(None, [verdict, figure["note"]]))
            lines.append(f"| {told['case']}{part} | {figure['what']} | {value} | {goal} | {note} |")
    (folder / "table.md").write_text("\n".join(lines) + "\n")


def draw(folder: Path, measured: Measured) -> None:
    """Draw each series of a case, in a file of its own."""
    drawn = [figure for figure in measured.figures if figure.series]
    series = groupby(drawn, key=lambda figure: figure.series)
    for count, (title, figures) in enumerate(series, start=1):
        _draw_bars(folder / f"{measured.case}-{count}.png", title, list(figures))


def _draw_bars(path: Path, title: str, figures: Sequence[Figure]) -> None:
    # Loaded here: the processes of a benchmark inherit how much memory their parent has had.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8, 0.6 + 0.45 * len(figures)), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    bars = axes.barh([each.name for each in figures], [each.value for each in figures])
    axes.bar_label(bars, labels=[number(each.value) for each in figures], padding=3)
    axes.invert_yaxis()
    least, most = min(each.value for each in figures), max(each.value for each in figures)
    if 0 < least < most / SPREAD:
        axes.set_xscale("log")
        title = f"{title}, logarithmic"
    axes.set_title(f"{title} ({os.cpu_count()} cores)", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    canvas.savefig(path, dpi=120)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
