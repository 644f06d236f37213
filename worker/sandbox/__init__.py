"""
A simulated Entra ID and Graph on loopback: a real server to try and test things against.

It is used by `bulkrsvp sandbox`, by `bulkrsvp demo` and by the tests. It judges nothing of the
worker's and imports nothing of it: what it says Graph received is the truth to compare with.
"""

from worker.sandbox.calendar.company import Company
from worker.sandbox.calendar.planting import Change, Planting, Recurrence
from worker.sandbox.calendar.traits import Answer, EventState
from worker.sandbox.entra.authority import App
from worker.sandbox.entra.tokens import TokenRequest
from worker.sandbox.graph.faults import Effect, Rule
from worker.sandbox.journal import Duplicate, Entry, Stats
from worker.sandbox.options import Clock, Options
from worker.sandbox.server import Sandbox, serve

__all__ = [
    "Answer",
    "App",
    "Change",
    "Clock",
    "Company",
    "Duplicate",
    "Effect",
    "Entry",
    "EventState",
    "Options",
    "Planting",
    "Recurrence",
    "Rule",
    "Sandbox",
    "Stats",
    "TokenRequest",
    "serve",
]
