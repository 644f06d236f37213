"""The closed vocabulary of ends."""

import pytest

from jobs.outcome import REASONS, UNSUCCESSFUL, Ending, Outcome, Reason


def test_only_known_pairs_end_a_response() -> None:
    """An outcome takes its own reasons and no others, and none only where it has none."""
    made = set[tuple[Outcome, Reason | None]]()
    for outcome in Outcome:
        for reason in (None, *Reason):
            try:
                Ending(outcome, reason)
            except ValueError:
                continue
            made.add((outcome, reason))
    expected = {(outcome, reason) for outcome in Outcome for reason in REASONS[outcome] or {None}}
    assert expected == made


def test_every_reason_belongs_somewhere() -> None:
    """No outcome is left out of the table, and no reason is there for nothing."""
    assert set(Outcome) == set(REASONS)
    assert set(Reason) == {reason for reasons in REASONS.values() for reason in reasons}


def test_what_makes_a_batch_fail() -> None:
    """Only what a person must look into makes a command end with 1."""
    assert {Outcome.FAILED, Outcome.UNCERTAIN, Outcome.EXPIRED} == UNSUCCESSFUL


def test_a_wrong_pair_is_named() -> None:
    """A pair that the vocabulary does not know is named in the error."""
    with pytest.raises(ValueError, match="sent does not end with reason not_found"):
        Ending(Outcome.SENT, Reason.NOT_FOUND)
