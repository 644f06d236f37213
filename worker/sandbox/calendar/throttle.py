"""
How many calls one mailbox takes: at once, in ten minutes, and while it is closed.

A `Gate` stands before each mailbox of the simulated Graph. It knows neither calendars nor HTTP.
"""

import math
from collections import deque

from worker.sandbox.graph.replies import OVER_CONCURRENCY, OVER_QUOTA, Reply, throttled
from worker.sandbox.options import Options


class Gate:
    """The throttling of one mailbox (Graph: throttling limits of the Outlook service)."""

    __slots__ = ("_recent", "_retry_after", "_since_s", "_until_s", "busy_left", "open")

    def __init__(self, busy_times: int = 0) -> None:
        self.open = 0
        """Calls from their arrival until their reply was sent."""
        self.busy_left = busy_times
        self._recent: deque[float] = deque()
        self._retry_after = ""
        self._since_s = -math.inf
        self._until_s = -math.inf

    def is_early(self, now_s: float, grace_s: float) -> bool:
        """Say whether a call comes in the time that an earlier Retry-After asked to wait."""
        return self._since_s + grace_s <= now_s < self._until_s

    def admit(self, now_s: float, options: Options) -> Reply | None:
        """Count a call that has been added to `open` already, or return its refusal."""
        if now_s < self._until_s:
            return throttled(OVER_CONCURRENCY, self._retry_after)
        if self.busy_left:
            self.busy_left -= 1
            return throttled(OVER_CONCURRENCY, options.retry_after)
        if self.open > options.concurrency:
            return throttled(OVER_CONCURRENCY, options.retry_after)
        return self._count(now_s, options)

    def close(self, retry_after: str, wait_s: float, now_s: float) -> None:
        """Ask for `wait_s` seconds of peace; asked again while closed, it lasts longer."""
        if now_s >= self._until_s:
            self._since_s = now_s
        self._until_s = max(self._until_s, now_s + wait_s)
        self._retry_after = retry_after

    def _count(self, now_s: float, options: Options) -> Reply | None:
        recent, window_s = self._recent, options.quota_window_s
        while recent and recent[0] <= now_s - window_s:
            recent.popleft()
        if len(recent) >= options.quota:
            return throttled(OVER_QUOTA, str(math.ceil(recent[0] + window_s - now_s)))
        recent.append(now_s)
        return None
