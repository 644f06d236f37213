"""A figure that a case has found, and the goal that it is held to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median


class Sense(StrEnum):
    """On which side of its goal a figure is good."""

    AT_MOST = "<="
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One figure: what it is, its value and unit, and with a goal, whether that is reached.

    `series` and `name` put it into a plot: one for each series, with a bar for each name.
    """

    case: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    sense: Sense = Sense.AT_MOST
    note: str = ""
    series: str = ""
    name: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.sense is Sense.AT_MOST else self.value >= self.goal


def medians(rounds: Iterable[Sequence[float]]) -> list[float]:
    """Return the median over all rounds of each value that a round has."""
    return [median(values) for values in zip(*rounds, strict=True)]
