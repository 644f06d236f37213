"""Plans: what one lists becomes a batch of its own, without anything found since."""

from arq.connections import ArqRedis

from config.errors import InputError
from jobs.draft.draft import Draft, draft
from jobs.ledger.batches.applied import note_applied
from jobs.ledger.batches.store import Batches
from jobs.ledger.forms.entries import Entry, row_order
from jobs.operations.submit import Wishes
from jobs.outcome import Outcome
from jobs.rows.reading import Row


async def read_plan(batches: Batches, plan: str) -> Draft:
    """
    Return the planned responses of a plan, as a draft that the caller closes.

    Raises `InputError` for a batch that is not a plan, is not finished, or was cancelled too early.
    """
    batch = await batches.get(plan)
    if not batch.plan:
        raise InputError(f"batch {plan} is not a plan; make one with: bulkrsvp submit FILE --plan")
    if not batch.finished_at_ms:
        raise InputError(f"plan {plan} is not finished; see: bulkrsvp status {plan} --watch")
    found = [entry async for part in batches.lines(batch) for entry in part if _is_planned(entry)]
    if batch.called_off and not found:
        raise InputError(f"plan {plan} was cancelled before it listed anything; make a new one")
    found.sort(key=lambda entry: row_order(entry.row))
    return draft(
        Row.of(number, number, entry.response) for number, entry in enumerate(found, start=1)
    )


async def claim_plan(redis: ArqRedis, plan: str, planned: Draft, wishes: Wishes) -> None:
    """
    Note which batch a plan is applied as, before it is queued: it can be one only.

    Raises `InputError` if it was applied as another one. A plan that is retried lists more than it
    did; applied again as a whole, what its first batch has sent would be sent twice.
    """
    batch_id = wishes.batch or planned.batch_id
    known = await Batches(redis).find(batch_id)
    if known is not None and known.fingerprint != planned.fingerprint:
        return  # queuing it is going to be refused
    applied = await note_applied(redis, plan, batch_id)
    if applied != batch_id:
        raise InputError(
            f"plan {plan} was applied before, as batch {applied}, and nothing was queued: what that"
            " batch has sent would be sent twice; make a new plan of what is still to be answered"
        )


def _is_planned(entry: Entry) -> bool:
    ending = entry.record.ending
    return ending is not None and ending.outcome is Outcome.PLANNED
