"""
What follows a 401: another token, some patience, or a pause of everything.

`worker/identity/token_trial.py` decides whose 401 it is, the application's or one mailbox's.
"""

from http.client import UNAUTHORIZED
from typing import Final

from worker.graph import codes
from worker.graph.reply import Reply
from worker.graph.verdict import Judgement, Verdict
from worker.identity.token_source import TokenUnavailable
from worker.identity.token_trial import Blame
from worker.slice.context import CallSide
from worker.slice.lane import Lane
from worker.slice.shift import Shift

RECHECK_MS: Final = 2_000
"""How often lanes ask for a token that Graph seems to refuse: another mailbox may accept it."""


def find_blame(
    calls: CallSide,
    lane: Lane,
    judgement: Judgement,
    reply: Reply,
    *,
    token: str,
    begun_s: float,
) -> Blame | None:
    """
    Return whose fault a 401 is; None for any other reply.

    A reply that only comes behind the check of the token shows that the token was accepted, by a
    call that began at `begun_s` (monotonic): that is noted.
    """
    if judgement.token:
        return calls.trial.judge(
            lane.mailbox,
            token,
            renewed=calls.tokens.is_renewed(token),
            of_token=reply.claims is not None or (reply.code or "").casefold() in codes.TOKEN,
            rests_s=reply.retry_after_s or 0.0,
        )
    if _was_let_in(reply, judgement):
        calls.trial.accepted(lane.mailbox, begun_s)
        calls.tokens.accepted(token)
    return None


def _was_let_in(reply: Reply, judgement: Judgement) -> bool:
    """Whether a call got as far as the mailbox: throttling and unknown refusals may not."""
    if judgement.verdict in {Verdict.SENT, Verdict.SEEN}:
        return True
    return (reply.code or "").casefold() in codes.REASONS and reply.status != UNAUTHORIZED


async def clear_up(shift: Shift, lane: Lane, reply: Reply, token: str, blame: Blame) -> bool:
    """Act on a 401 that settles nothing; return whether its response may go on now."""
    tokens = shift.context.calls.tokens
    match blame:
        case Blame.WAIT:
            pause_s = shift.context.calls.trial.pause_s(lane.mailbox)
            shift.end_lane(lane, shift.now_ms() + int(pause_s * 1000))
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
    until_ms = int(unavailable.retry_at * 1000) + 1
    if unavailable.refusal.revocable:
        until_ms = min(until_ms, shift.now_ms() + RECHECK_MS)
    shift.end_lane(lane, until_ms)
    return False
