"""
Pure arithmetic of waiting: what Graph asked for, or what we choose when it asked for nothing.

A wait that Graph chose is never shortened: calling early is counted and makes it longer.
Randomness is an argument; the module does not know what a wait is for, or who waits.
"""

from collections.abc import Callable

FLOOR_S = 0.1
MAX_JITTER_S = 1.0
JITTER_SHARE = 0.1

AWAY_S = 5.0
MAX_AWAY_S = 600.0
"""The first and the longest wait for a mailbox that is away."""


def backoff_s(
    attempt: int, random: Callable[[], float], *, base_s: float = 1.0, cap_s: float = 60.0
) -> float:
    """
    Return the seconds to wait after the `attempt`-th attempt (counted from 1): full jitter.

    `random` gives numbers from 0 to 1. The bound doubles from `base_s` up to `cap_s`; the wait
    lies anywhere below it, but not below `FLOOR_S`.
    """
    doublings = min(max(attempt, 1) - 1, 60)  # beyond lies only overflow
    return max(FLOOR_S, random() * min(cap_s, base_s * 2.0**doublings))


def wait_s(asked_s: float | None, random: Callable[[], float], *, throttled: int = 1) -> float:
    """
    Return the seconds to wait after a reply that throttles us.

    That is the Retry-After that it asked for and a little jitter on top, so that calls with the
    same Retry-After do not come back together; or the backoff of the `throttled`-th such reply in a
    row, when it asked for none. `random` gives numbers from 0 to 1.
    """
    if asked_s is None:
        return backoff_s(throttled, random)
    return asked_s + random() * min(asked_s * JITTER_SHARE, MAX_JITTER_S)


def away_s(times: int, random: Callable[[], float]) -> float:
    """
    Return the seconds to pause a mailbox that has answered `times` in a row that it is away.

    The wait doubles from `AWAY_S` up to `MAX_AWAY_S`: a mailbox that is being moved is away for
    minutes or hours, and asking often does not bring it back. Up to half of it is left to chance.
    """
    doublings = min(max(times, 1) - 1, 60)  # beyond lies only overflow
    return (1 - random() / 2) * min(MAX_AWAY_S, AWAY_S * 2.0**doublings)


class RetryBudget:
    """
    A share of the recent calls that may be repetitions: one in `calls_per_retry`.

    A saved-up `burst` may be spent at once; it is also what is there at the start. Without such
    a bound, repetitions would double the load of a Graph that is already failing.
    """

    def __init__(self, *, calls_per_retry: int = 10, burst: int = 10) -> None:
        self._price = calls_per_retry
        self._most = calls_per_retry * burst
        self._saved = self._most  # in calls: whole numbers do not drift

    def earn(self) -> None:
        """Count one call that was made."""
        self._saved = min(self._saved + 1, self._most)

    def spend(self) -> bool:
        """Take one repetition out of the budget; false when there is none left."""
        if self._saved < self._price:
            return False
        self._saved -= self._price
        return True
