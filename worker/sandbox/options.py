"""
What can be set on a running sandbox: limits, latency, how tokens behave.

One frozen value, replaced as a whole; it knows neither HTTP nor calendars.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from worker.sandbox.graph.retry_after import HeaderText


@dataclass(frozen=True, slots=True)
class Clock:
    """The two times the sandbox reads, in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time


class Options(BaseModel):
    """
    How the simulated Graph and Entra ID behave.

    `retry_after` is the text of the header that throttling answers with; `date+2` becomes the
    HTTP date two seconds ahead (so it does in the headers of a fault), and an empty text leaves
    the header out. `early_grace_s` spares calls that were on their way when the mailbox was
    closed. Latency is constant at `latency_s`, or log-normal around it when `latency_sigma` is
    set. A page of a calendar view holds `page_size` events at most and repeats the last
    `page_overlap` of the page before it, as users report of Graph; with an overlap that is no
    smaller than the page, it leads to itself for ever. `singles_first` shows all single events
    before the first occurrence of a series, which is reported as well, unless an order is asked
    for. The links to further pages lead to `next_link_origin`, by default to this sandbox.
    Tokens hold `token_roles`; one without a role is accepted by Graph, as where RBAC for
    Applications grants the access. A `token_audience` makes them tokens for something else than
    was asked for, which Graph refuses.
    `token_refusal` is an AADSTS number and `token_status` the status that goes with it (or
    stands alone, for a 503); the next `token_times` token requests get them, -1 means all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    concurrency: int = Field(4, ge=1)
    quota: int = Field(10_000, ge=1)
    quota_window_s: float = Field(600, gt=0)
    retry_after: HeaderText = "1"
    early_grace_s: float = Field(0.05, ge=0)
    busy_times: int = Field(3, ge=0)
    latency_s: float = Field(0, ge=0)
    latency_sigma: float = Field(0, ge=0, le=4)
    seed: int = 0
    keep_declined: bool = False
    page_size: int = Field(1000, ge=1, le=1000)
    page_overlap: int = Field(0, ge=0)
    singles_first: bool = False
    next_link_origin: str = ""
    token_roles: tuple[str, ...] = ("Calendars.ReadWrite",)
    token_audience: str = ""
    token_lifetime_s: int = Field(3599, ge=1)
    token_delay_s: float = Field(0, ge=0)
    token_refusal: int | None = Field(None, ge=1)
    token_status: int | None = Field(None, ge=400, le=599)
    token_times: int = Field(-1, ge=-1)
