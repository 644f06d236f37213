"""Explore one scenario, or show one schedule in words: see `--help`."""

import sys
import tempfile
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path

from tests.interleavings.breaking.broken import ALL_BROKEN
from tests.interleavings.explore.explorer import Explorer, Found
from tests.interleavings.explore.scenarios import SCENARIOS
from worker.process.embedded import EmbeddedRedis


def main() -> int:
    """Do what the arguments say; return 1 if a claim does not hold."""
    parser = ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument("name", choices=[*SCENARIOS, *ALL_BROKEN], metavar="NAME")
    parser.add_argument(
        "schedule", nargs="?", help="Steps with blanks between; else all are tried."
    )
    parser.add_argument("--most", type=int, help="How many faults there may be in one schedule.")
    parser.add_argument("--limit", type=int, default=10_000_000, help="How many states to go to.")
    given = parser.parse_args()
    broken = ALL_BROKEN.get(given.name)
    scenario = SCENARIOS[given.name] if broken is None else broken.scenario
    breaking = nullcontext() if broken is None else broken.applied()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis(Path(folder), durable=False) as redis,
        breaking,
    ):
        explorer = Explorer(redis.url, scenario)
        if given.schedule is None:
            found = explorer.explore(given.most, given.limit)
            _show(found)
            words, wrong = found.words, found.broken
        else:
            words, wrong = explorer.replay(given.schedule.split())
        explorer.close()
    _say(*(f"{number:3}  {each}" for number, each in enumerate(words, start=1)))
    _say(wrong or "all claims hold")
    return bool(wrong)


def _show(found: Found) -> None:
    whole = "" if found.complete else ", not complete"
    _say(
        f"{found.states} states, {found.steps} steps, {found.schedules} ends, "
        f"at most {found.depth} steps deep, {found.took_s:.1f} s{whole}"
    )
    if found.schedule:
        _say(f'schedule: "{" ".join(found.schedule)}"')


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
