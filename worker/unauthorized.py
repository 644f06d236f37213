"""
What follows a 401: another token, some patience, or a pause of everything.

Whose 401 it is, the application's or one mailbox's, is `worker/token_trial.py`'s to say.
"""

from typing import Final

from worker import codes
from worker.credential import TokenUnavailable
from worker.lane import Lane
from worker.means import Means
from worker.reply import Reply
from worker.shift import Shift
from worker.token_trial import Blame
from worker.verdict import GRAPHS_WORD, Judgement

UNDECIDED_MS: Final = 700
"""When a mailbox is tried again of which others have still to show whether its 401 is its own."""


def find_blame(
    means: Means,
    lane: Lane,
    judgement: Judgement,
    reply: Reply,
    *,
    token: str,
    begun_s: float,
) -> Blame | None:
    """
    Say whose fault a 401 is; None for any other reply.

    Of any other answer of Graph it is noted that the token was taken, by a call that was begun at
    `begun_s` (monotonic).
    """
    if judgement.token:
        return means.trial.judge(
            lane.mailbox,
            token,
            renewed=means.tokens.is_renewed(token),
            of_token=reply.claims is not None or (reply.code or "").casefold() in codes.TOKEN,
        )
    if means.trial.pending and judgement.verdict in GRAPHS_WORD:
        means.trial.accepted(lane.mailbox, begun_s)
        means.tokens.accepted(token)
    return None


async def clear_up(shift: Shift, lane: Lane, reply: Reply, token: str, blame: Blame) -> bool:
    """Do what a 401 wants that settles nothing; return whether its response may go on now."""
    tokens = shift.means.tokens
    match blame:
        case Blame.WAIT:
            shift.end_lane(lane, shift.means.now_ms() + UNDECIDED_MS)
            return False
        case Blame.APPLICATION:
            refused = tokens.refuse(token, reply.code or "401", reply.claims)
            return await_token(shift, lane, refused)
    try:
        await tokens.renew(token, reply.claims)
    except TokenUnavailable as unavailable:
        return await_token(shift, lane, unavailable)
    return True


def await_token(shift: Shift, lane: Lane, unavailable: TokenUnavailable) -> bool:
    """End a lane until there may be a token; return that nothing goes on before."""
    shift.end_lane(lane, int(unavailable.retry_at * 1000) + 1)
    return False
