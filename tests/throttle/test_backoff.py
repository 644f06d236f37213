"""Waiting: never shorter than asked, and within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from worker.throttle.backoff import FLOOR_S, RetryBudget, away_s, backoff_s, wait_s

chances = st.floats(0, 1, exclude_max=True)


def test_without_a_header_the_wait_is_the_backoff() -> None:
    """A throttled reply that names no time gets our own, growing with each one in a row."""
    expected = [0.5, 1.0, 2.0]
    assert expected == [wait_s(None, lambda: 0.5, throttled=throttled) for throttled in (1, 2, 3)]


def test_a_mailbox_that_is_away_is_asked_less_and_less() -> None:
    """The wait doubles from 5 seconds up to 10 minutes, and half of it is left to chance."""
    assert [5, 10, 20, 40, 600, 600] == [away_s(n, lambda: 0.0) for n in (1, 2, 3, 4, 8, 10**9)]
    assert [2.5, 300] == [away_s(n, lambda: 1.0) for n in (1, 8)]


@given(attempt=st.integers(), chance=chances)
def test_backoff_stays_between_floor_and_cap(attempt: int, chance: float) -> None:
    """No attempt number and no chance take the wait out of its bounds."""
    assert FLOOR_S <= backoff_s(attempt, lambda: chance) <= 60.0


def test_backoff_doubles_up_to_its_cap() -> None:
    """With the same chance each wait is twice the one before it, until the cap."""
    expected = [1, 2, 4, 8, 10, 10]
    assert expected == [
        backoff_s(attempt, lambda: 0.5, base_s=2, cap_s=20) for attempt in range(1, 7)
    ]


@given(attempt=st.integers(1, 10_000), chance=chances)
def test_the_bound_of_the_backoff_never_shrinks(attempt: int, chance: float) -> None:
    """A later attempt with the same chance never waits less."""
    assert backoff_s(attempt, lambda: chance) <= backoff_s(attempt + 1, lambda: chance)


@given(st.lists(st.booleans(), max_size=400))
def test_the_budget_is_a_burst_and_a_tenth(steps: list[bool]) -> None:
    """Whatever the order, repetitions stay within the burst and a tenth of the calls."""
    budget, calls, repeated = RetryBudget(), 0, 0
    for asked in steps:
        if asked:
            repeated += budget.spend()
        else:
            budget.earn()
            calls += 1
    assert repeated <= 10 + calls // 10


def test_old_calls_give_no_credit() -> None:
    """However many calls went well, no more than the burst may be repeated at once."""
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    expected = [True] * 10 + [False] * 2
    assert expected == [budget.spend() for _ in range(12)]


def test_the_budget_comes_back_with_calls() -> None:
    """When nothing is left, the tenth call pays for one repetition."""
    budget = RetryBudget(burst=1)
    left = [budget.spend()]
    for _ in range(10):
        left.append(budget.spend())
        budget.earn()
    expected = [True, *[False] * 10, True]
    assert expected == [*left, budget.spend()]
