"""The plausibility guard: which batches are not believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.guard.guard import FIRST_LOAD, POLL, RUN, Impact, Limits, implausible

LIMITS = Limits(share=0.20, rows=25)


@pytest.mark.parametrize(
    ("impact", "reason"),
    [
        (Impact(total=1000, deleted=201), "would delete 201 of 1000 rows (20%)"),
        (Impact(total=100, changed=100), "would change 100 of 100 rows (100%)"),
        (Impact(total=100, created=101), "would add 101 of 100 rows (101%)"),
        (Impact(total=24, read=0, deleted=24), "would delete 24 of 24 rows (100%)"),
        (Impact(total=1, read=0, deleted=1), "would delete 1 of 1 rows (100%)"),
        (Impact(total=5, read=2, deleted=3), "would delete 3 of 5 rows (60%)"),
        (Impact(total=24, read=15, deleted=9), "would delete 9 of 24 rows (38%)"),
    ],
)
def test_a_batch_that_touches_too_much_is_implausible(impact: Impact, reason: str) -> None:
    assert implausible(impact, LIMITS) == reason


@pytest.mark.parametrize(
    "impact",
    [
        Impact(total=0, created=280_000),
        Impact(total=1000, deleted=200),
        Impact(total=3, read=2, deleted=1),
        Impact(total=3, read=1, deleted=2),
        Impact(total=15, read=12, deleted=3),
        Impact(total=24, read=24, changed=24),
        Impact(total=9, read=0),
        Impact(total=0, read=0),
        Impact(total=1000, changed=199, deleted=100),
    ],
    ids=[
        "first load",
        "exactly the share",
        "one of three deleted",
        "two of three deleted",
        "a fifth of fifteen deleted",
        "all prices of a small shop",
        "nothing read where all is zero already",
        "nothing read where nothing is held",
        "each below its share",
    ],
)
def test_a_batch_within_the_limits_is_plausible(impact: Impact) -> None:
    assert implausible(impact, LIMITS) is None


def test_mere_changes_are_not_judged_between_polls() -> None:
    assert implausible(Impact(total=100, changed=90), LIMITS, POLL) is None


def test_adding_many_rows_is_plausible_in_a_first_load() -> None:
    assert implausible(Impact(total=10, created=290), LIMITS, FIRST_LOAD) is None


@given(total=st.integers(1, 10_000), read=st.integers(1, 10_000), deleted=st.integers(0, 2))
def test_one_or_two_rows_are_never_held_when_anything_was_read(total: int, read: int, deleted: int) -> None:
    assert implausible(Impact(total=total, read=read, deleted=deleted), LIMITS) is None


@given(total=st.integers(1, 10_000), gone=st.integers(1, 10_000), deeds=st.sampled_from([FIRST_LOAD, POLL, RUN]))
def test_a_read_of_nothing_that_would_take_anything_is_always_held(
    total: int, gone: int, deeds: frozenset[str]
) -> None:
    assert implausible(Impact(total=total, read=0, deleted=gone), LIMITS, deeds) is not None


@given(total=st.integers(1, 10_000), gone=st.integers(0, 10_000))
def test_where_nothing_is_judged_nothing_is_held(total: int, gone: int) -> None:
    assert implausible(Impact(total=total, read=0, deleted=gone), LIMITS, frozenset()) is None
