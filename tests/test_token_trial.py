"""Whose fault a 401 is: what mailboxes say of a token, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.token_trial import MANY, MEMORY_S, PATIENCE_S, Blame, TokenTrial


class Court:
    """A trial with a clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.trial = TokenTrial(lambda: self.now_s)

    def refused(
        self, mailbox: str, token: str = "new", *, renewed: bool = True, of_token: bool = False
    ) -> Blame:
        """Tell of a 401."""
        return self.trial.judge(mailbox, token, renewed=renewed, of_token=of_token)

    def accepted(self, mailbox: str) -> None:
        """Tell of a call that was begun now, and let in."""
        self.trial.accepted(mailbox, self.now_s)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


@pytest.fixture
def court() -> Court:
    """Give a test a trial of its own."""
    return Court()


def test_a_first_refusal_asks_for_another_token(court: Court) -> None:
    """However many mailboxes refuse a token that is not new, another one is tried."""
    blames = [court.refused(f"m{n}", "old", renewed=False) for n in range(20)]
    assert [Blame.RENEW] * 20 == blames


@pytest.mark.parametrize("of_token", [False, True])
def test_a_mailbox_is_alone_when_another_takes_the_token(court: Court, *, of_token: bool) -> None:
    """When another mailbox was let in since, the 401 is the mailbox's own, whatever it says."""
    court.refused("lone", "old", renewed=False)
    court.later(0.1)
    court.accepted("good")
    assert Blame.MAILBOX is court.refused("lone", of_token=of_token)


def test_what_was_begun_before_proves_nothing(court: Court) -> None:
    """A call that was begun before the refusal may have met a token that was still good."""
    begun_s = court.now_s
    court.later(0.1)
    court.refused("first", "old", renewed=False)
    court.trial.accepted("good", begun_s)
    assert Blame.WAIT is court.refused("first")


def test_its_own_acceptance_clears_a_mailbox(court: Court) -> None:
    """A mailbox that takes a token again has refused nothing."""
    court.refused("back", "old", renewed=False)
    court.later(0.1)
    court.accepted("back")
    assert not court.trial.pending


def test_a_mailbox_with_nobody_beside_it(court: Court) -> None:
    """Nobody else having been called for a while, a mailbox is alone with its 401."""
    assert Blame.WAIT is court.refused("lone")
    court.later(PATIENCE_S - 0.1)
    assert Blame.WAIT is court.refused("lone")
    court.later(0.1)
    assert Blame.MAILBOX is court.refused("lone")


def test_a_reply_that_speaks_of_the_token(court: Court) -> None:
    """With nobody beside it, a mailbox that speaks of the token is believed."""
    court.refused("lone", of_token=True)
    court.later(PATIENCE_S)
    assert Blame.APPLICATION is court.refused("lone", of_token=True)


def test_several_that_refuse_the_same_token(court: Court) -> None:
    """Two that refuse a new token, while nobody takes it, mean the application, after a while."""
    blames = [court.refused("one"), court.refused("two")]
    court.later(PATIENCE_S)
    assert [Blame.WAIT, Blame.WAIT, Blame.APPLICATION] == [*blames, court.refused("one")]


def test_many_that_refuse_the_same_token(court: Court) -> None:
    """Many that refuse a new token at once mean the application without any wait."""
    blames = [court.refused(f"m{n}") for n in range(MANY)]
    assert [Blame.WAIT] * (MANY - 1) + [Blame.APPLICATION] == blames


def test_many_refusals_of_one_mailbox(court: Court) -> None:
    """One mailbox counts once, however often it refuses."""
    assert [Blame.WAIT] * 20 == [court.refused("lone") for _ in range(20)]


def test_lone_mailboxes_beside_one_that_is_good(court: Court) -> None:
    """However many mailboxes refuse it, a token that another takes is good."""
    for n in range(3):
        court.refused(f"m{n}", "old", renewed=False)
    court.later(0.1)
    court.accepted("good")
    assert [Blame.MAILBOX] * 3 == [court.refused(f"m{n}") for n in range(3)]


def test_one_lone_mailbox_after_the_other(court: Court) -> None:
    """Lone mailboxes that were found out count for nothing when the next one is judged."""
    blames = []
    for n in range(2 * MANY):
        blames.append(court.refused(f"m{n}"))
        court.later(0.1)
        court.accepted("good")
        court.later(0.1)
        blames.append(court.refused(f"m{n}"))
    assert [Blame.WAIT, Blame.MAILBOX] * (2 * MANY) == blames


def test_an_old_refusal_is_forgotten(court: Court) -> None:
    """What others have said since an old refusal proves nothing of a token that ends now."""
    court.refused("lone", "old", renewed=False)
    court.later(1)
    court.accepted("good")
    court.later(MEMORY_S)
    assert Blame.WAIT is court.refused("lone", "newer")


def test_a_refused_token_is_not_tried_again(court: Court) -> None:
    """A mailbox is not called again with an old token that it has refused; a new one is tried."""
    court.refused("lone", "old", renewed=False)
    refused = [court.trial.refuses("lone", "old"), court.trial.refuses("good", "old")]
    court.refused("lone", "new")
    court.refused("other", "new")
    refused += [court.trial.refuses(name, "new") for name in ("lone", "other")]
    assert [True, False, False, False] == refused


def test_acceptances_cost_nothing_while_nobody_refuses(court: Court) -> None:
    """Nothing is remembered of those who take tokens until somebody refuses one."""
    court.accepted("good")
    court.refused("lone", "old", renewed=False)
    assert Blame.WAIT is court.refused("lone")


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([0.0, 0.5, 2.0, 70.0])),
        max_size=40,
    )
)
def test_no_mailbox_is_blamed_while_all_refuse(steps: list[tuple[str, bool, float]]) -> None:
    """While several mailboxes refuse every token and none takes one, no response is burnt."""
    court = Court()
    for mailbox in "abc":
        court.refused(mailbox, of_token=True)
    for mailbox, renewed, seconds in steps:
        court.later(seconds)
        blame = court.refused(mailbox, renewed=renewed, of_token=True)
        assert Blame.MAILBOX is not blame
