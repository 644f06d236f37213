"""Whose fault a 401 is: what mailboxes say of a token, and when."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.identity.token_trial import (
    CROWD,
    LATE_S,
    LOYAL_S,
    MANY,
    MEMORY_S,
    PATIENCE_S,
    SLOW_S,
    SOON_S,
    Blame,
    TokenTrial,
)


class Court:
    """A trial with a clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.trial = TokenTrial(lambda: self.now_s)

    def refused(self, mailbox: str, token: str = "new", **said: bool | float) -> Blame:
        """Tell of a 401."""
        facts: dict[str, Any] = {"renewed": True, "of_token": False} | said
        return self.trial.judge(mailbox, token, **facts)

    def accepted(self, mailbox: str) -> None:
        """Tell of a call that was begun now, and let in."""
        self.trial.accepted(mailbox, self.now_s)

    def good(self) -> None:
        """Have another mailbox called after a moment, and let in."""
        self.later(0.1)
        self.accepted("good")

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
    """While another mailbox is let in, a 401 that lasts is the mailbox's own, whatever it says."""
    court.refused("lone", "old", renewed=False)
    court.good()
    early = court.refused("lone", of_token=of_token)
    court.later(PATIENCE_S)
    assert [Blame.WAIT, Blame.MAILBOX] == [early, court.refused("lone", of_token=of_token)]


def test_a_mailbox_that_took_tokens_before_is_given_minutes(court: Court) -> None:
    """A mailbox that has been let in before is given minutes: more likely something passes."""
    court.accepted("loyal")
    court.refused("loyal", "old", renewed=False)
    blames = []
    for _ in range(int(LOYAL_S / 30)):  # it is asked again and again meanwhile
        court.good()
        court.later(30 - 0.1)
        blames.append(court.refused("loyal"))
    assert [*[Blame.WAIT] * (len(blames) - 1), Blame.MAILBOX] == blames


def test_a_mailbox_that_took_tokens_before_and_is_alone(court: Court) -> None:
    """With nobody beside it, it is not the mailbox that is blamed."""
    court.accepted("loyal")
    court.refused("loyal")
    court.later(PATIENCE_S)
    assert Blame.APPLICATION is court.refused("loyal")


def test_what_was_begun_before_proves_nothing(court: Court) -> None:
    """A call that was begun before the refusal may have met a token that was still good."""
    begun_s = court.now_s
    court.later(0.1)
    court.refused("first", "old", renewed=False)
    court.trial.accepted("good", begun_s)
    court.refused("second")
    court.refused("first")
    court.later(PATIENCE_S)
    assert Blame.APPLICATION is court.refused("first")


def test_its_own_acceptance_clears_a_mailbox(court: Court) -> None:
    """A mailbox that takes a token again has refused nothing."""
    court.refused("back", "old", renewed=False)
    court.later(0.1)
    court.accepted("back")
    assert not court.trial.refuses("back", "old")


def test_a_mailbox_with_nobody_beside_it_is_alone_after_a_while(court: Court) -> None:
    """Nobody else being called, a mailbox is alone with its 401 after a while."""
    assert Blame.WAIT is court.refused("lone")
    court.later(PATIENCE_S - 0.1)
    assert Blame.WAIT is court.refused("lone")
    court.later(0.1)
    assert Blame.MAILBOX is court.refused("lone")


def test_those_who_have_not_replied_are_waited_for(court: Court) -> None:
    """While others are being called, their replies are waited for, though not for ever."""
    court.trial.begun("slow")
    blames = [court.refused(name, of_token=True) for name in ("one", "two")]
    for seconds in (PATIENCE_S, SLOW_S - PATIENCE_S - 1, 1):
        court.later(seconds)
        blames.append(court.refused("one", of_token=True))
    court.trial.ended("slow")
    assert [Blame.WAIT] * 4 + [Blame.APPLICATION] == blames


def test_a_reply_that_speaks_of_the_token_is_believed(court: Court) -> None:
    """With nobody beside it, a mailbox that speaks of the token is believed."""
    court.refused("lone", of_token=True)
    court.later(PATIENCE_S)
    assert Blame.APPLICATION is court.refused("lone", of_token=True)


def test_two_that_refuse_a_token_mean_the_application_after_a_while(court: Court) -> None:
    """Two that refuse a new token, while nobody takes it, mean the application, after a while."""
    blames = [court.refused("one"), court.refused("two")]
    court.later(PATIENCE_S)
    assert [Blame.WAIT, Blame.WAIT, Blame.APPLICATION] == [*blames, court.refused("one")]


def test_many_that_refuse_a_token_mean_the_application_at_once(court: Court) -> None:
    """Many that refuse a new token mean the application at once, if nobody else is called."""
    blames = [court.refused(f"m{n}") for n in range(MANY)]
    assert [Blame.WAIT] * (MANY - 1) + [Blame.APPLICATION] == blames


def test_a_crowd_that_refuses_a_token_means_the_application(court: Court) -> None:
    """A crowd that refuses a new token means the application, whoever else is called."""
    court.trial.begun("slow")
    blames = [court.refused(f"m{n}") for n in range(CROWD)]
    assert [Blame.WAIT] * (CROWD - 1) + [Blame.APPLICATION] == blames


def test_many_refusals_of_one_mailbox_count_once(court: Court) -> None:
    """One mailbox counts once, however often it refuses."""
    assert [Blame.WAIT] * 30 == [court.refused("lone") for _ in range(30)]


def test_lone_mailboxes_found_out_count_no_more(court: Court) -> None:
    """Lone mailboxes that were found out count for nothing when the next one is judged."""
    blames = []
    for n in range(2 * MANY):
        blames.append(court.refused(f"m{n}"))
        court.good()
        court.later(PATIENCE_S)
        blames.append(court.refused(f"m{n}"))
    assert [Blame.WAIT, Blame.MAILBOX] * (2 * MANY) == blames


def test_a_long_wait_between_refusals(court: Court) -> None:
    """However long a mailbox wants to be left alone, its refusals belong together."""
    court.refused("lone", rests_s=600.0)
    court.later(600)
    court.good()
    assert Blame.MAILBOX is court.refused("lone", rests_s=600.0)


def test_an_old_refusal_is_forgotten(court: Court) -> None:
    """What others have said since an old refusal proves nothing of a token that ends now."""
    court.refused("lone", "old", renewed=False)
    court.good()
    court.later(MEMORY_S + 1)
    assert Blame.WAIT is court.refused("lone", "newer")


def test_a_refused_token_is_not_tried_again(court: Court) -> None:
    """A mailbox is not called again with an old token that it has refused; a new one is tried."""
    court.refused("lone", "old", renewed=False)
    refused = [court.trial.refuses("lone", "old"), court.trial.refuses("good", "old")]
    court.refused("lone", "new")
    court.refused("other", "new")
    refused += [court.trial.refuses(name, "new") for name in ("lone", "other")]
    assert [True, False, False, False] == refused


def test_a_mailbox_is_tried_less_and_less(court: Court) -> None:
    """The longer nothing is decided, the longer is the wait before the next try."""
    court.refused("lone")
    waits = []
    for seconds in (0, 4, 6, 100):
        court.later(seconds)
        waits.append(court.trial.pause_s("lone"))
    assert [SOON_S, 2.0, 5.0, LATE_S] == waits


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([0.0, 0.5, 3.0, 70.0])),
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


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 4), st.sampled_from([0.0, 0.7, 3.0])),
        max_size=200,
    )
)
def test_a_fifth_of_401s_blames_no_mailbox(steps: list[tuple[str, int, float]]) -> None:
    """Mailboxes that have been let in before are not blamed while they are let in now and then."""
    court = Court()
    for mailbox in "abcdef":
        court.accepted(mailbox)
    for mailbox, chance, seconds in steps:
        court.later(seconds)
        if chance:
            court.accepted(mailbox)
        elif court.now_s < 1_000 + LOYAL_S:
            assert Blame.MAILBOX is not court.refused(mailbox)
