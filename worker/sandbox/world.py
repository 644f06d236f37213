"""
What the parts of a sandbox share: its options, its clock, and everything it remembers.

It opens no port and answers nobody.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random

from worker.sandbox.calendar.calendars import Calendars
from worker.sandbox.calendar.company import Company
from worker.sandbox.entra.tokens import Tokens
from worker.sandbox.graph.faults import Faults
from worker.sandbox.journal import Journal, Stats
from worker.sandbox.options import Clock, Options


@dataclass(slots=True)
class World:
    """
    The state of one sandbox; `options` is replaced as a whole.

    `graph_url` is empty until the Graph port is known.
    """

    options: Options
    clock: Clock
    tokens: Tokens
    chance: Random
    graph_url: str = ""
    calendars: Calendars = field(default_factory=Calendars)
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def latency_s(self) -> float:
        """Draw how long the next call takes."""
        options = self.options
        if options.latency_sigma:
            return options.latency_s * self.chance.lognormvariate(0, options.latency_sigma)
        return options.latency_s

    def populate(self, company: Company) -> None:
        """Plant the calendars of a company, beside what is there."""
        for address, plantings in company.calendars.items():
            self.calendars.mailbox(address, self.options).plant(plantings)

    def stats(self) -> Stats:
        """Add up what was received."""
        return self.journal.stats(len(self.tokens.requests))


def new_world(options: Options, clock: Clock) -> World:
    """Return the state of a sandbox that has seen nothing yet."""
    chance = Random(options.seed)  # noqa: S311  # repeatable chance, no secret
    return World(options, clock, Tokens(clock), chance)
