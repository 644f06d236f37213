"""
Pausing a mailbox: for as long as a reply asks, or for as long as we choose.

A pause is kept in the ledger, so it holds for all workers, and it ends the lane. What a reply
means is `worker/graph/verdict.py`'s; how long a wait is chosen, `worker/throttle/backoff.py`'s.
"""

from random import Random

from jobs.ledger.forms.entries import Entry
from worker.graph.reply import Reply
from worker.slice import log_lines
from worker.slice.lane import Lane
from worker.slice.shift import Shift
from worker.throttle.backoff import away_s, wait_s


def until_ms_of(random: Random, reply: Reply, *, throttled: int, away: int = 0) -> int:
    """
    Return until when a mailbox is to be paused after a reply (ms since the epoch).

    `throttled` is how often its response was throttled before; `away` is how often in a row the
    mailbox was away, this time included, if the reply means that.
    """
    if away:
        wait = max(away_s(away, random.random), reply.retry_after_s or 0.0)
    else:
        wait = wait_s(reply.retry_after_s, random.random, throttled=throttled + 1)
    # Rounded up, and one more for the moment of arrival: never early.
    return int(reply.arrived_at.timestamp() * 1000 + wait * 1000) + 2


async def pause_mailbox(
    shift: Shift,
    lane: Lane,
    entry: Entry,
    reply: Reply,
    *,
    until_ms: int,
    logged: bool,
    away: int = 0,
) -> None:
    """
    Pause a mailbox for all workers, and end its lane.

    `logged` is whether it is logged: of several calls that were in flight together, one is.
    """
    paused_until_ms = await shift.pause_mailbox(lane.mailbox, until_ms, away=away)
    shift.end_lane(lane, paused_until_ms)
    log, part = shift.log, shift.part
    if not logged:
        return
    if away:
        log_lines.mailbox_away(log, part, entry, reply, times=away, until_ms=paused_until_ms)
        return
    if "concurrency" in (reply.message or "").lower():
        shift.context.calls.widths.narrow(lane.mailbox)
    log_lines.mailbox_paused(log, part, entry, reply.retry_after_s, paused_until_ms)
