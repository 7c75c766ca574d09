"""Retry: will waiting help, and how long?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    AuthRejected,
    BadAnswer,
    KilledWorker,
    RateLimited,
    Refused,
    Unavailable,
    Unmappable,
    VendorForbidden,
)
from app.rules.letters.retry import (
    ITEM_REFUSED,
    LIMITED_FIRST,
    LIMITED_LONGEST,
    TRANSIENT,
    UNEXPECTED,
    wait_before_retry,
    wait_while_limited,
)


@pytest.mark.parametrize("error", [Refused("x"), Unmappable("x"), KilledWorker("x")])
def test_an_error_that_waiting_cannot_cure_dies_at_once(error: Exception) -> None:
    assert wait_before_retry(error, failures=1, jitter=0.5) is None


@pytest.mark.parametrize("error", [Unavailable("x"), BadAnswer("x"), RateLimited("x"), KeyError("bug")])
def test_an_error_that_waiting_may_cure_is_tried_again(error: Exception) -> None:
    assert wait_before_retry(error, failures=1, jitter=0.5) is not None


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (Unavailable("x"), TRANSIENT.attempts),
        (KeyError("x"), UNEXPECTED.attempts),
        (AuthRejected("x"), ITEM_REFUSED.attempts),
        (VendorForbidden("x"), ITEM_REFUSED.attempts),
    ],
)
def test_patience_ends_with_the_last_attempt(error: Exception, attempts: int) -> None:
    waits = [wait_before_retry(error, failures, jitter=0.0) for failures in range(1, attempts + 1)]
    assert waits[-1] is None
    assert None not in waits[:-1]


def test_a_vendors_wish_is_the_least_we_wait() -> None:
    wait = wait_before_retry(RateLimited("x", retry_after=120.0), failures=1, jitter=0.0)
    assert wait == 120.0


@given(limited_for=st.floats(0, 10**7), jitter=st.floats(0, 1, exclude_max=True))
def test_a_limit_is_waited_for_as_long_again_and_never_given_up(limited_for: float, jitter: float) -> None:
    step = min(LIMITED_LONGEST, max(LIMITED_FIRST, limited_for))
    assert step / 2 <= wait_while_limited(RateLimited("x"), limited_for, jitter) <= step


@given(failures=st.integers(1, TRANSIENT.attempts - 1), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_half_and_the_whole_of_its_step(failures: int, jitter: float) -> None:
    step = min(TRANSIENT.longest, TRANSIENT.first * 2 ** (failures - 1))
    wait = wait_before_retry(Unavailable("x"), failures, jitter)
    assert wait is not None
    assert step / 2 <= wait <= step
