"""The plausibility guard: which batches are not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.guard import FIRST_LOAD, POLL, Impact, Limits, implausible

LIMITS = Limits(share=0.20, rows=25)


@pytest.mark.parametrize(
    ("impact", "reason"),
    [
        (Impact(total=1000, deleted=201), "would delete 201 of 1000 rows (20%)"),
        (Impact(total=1000, zeroed=500), "would zero 500 of 1000 rows (50%)"),
        (Impact(total=100, changed=100), "would change 100 of 100 rows (100%)"),
        (Impact(total=100, created=101), "would add 101 of 100 rows (101%)"),
    ],
)
def test_a_batch_that_touches_too_much_is_implausible(impact: Impact, reason: str) -> None:
    assert implausible(impact, LIMITS) == reason


@pytest.mark.parametrize(
    "impact",
    [
        Impact(total=0, created=280_000),
        Impact(total=1000, deleted=200),
        Impact(total=30, deleted=24),
        Impact(total=1000, changed=199, zeroed=100, deleted=100),
    ],
    ids=["first load", "exactly the share", "few rows", "each below its share"],
)
def test_a_batch_within_the_limits_is_plausible(impact: Impact) -> None:
    assert implausible(impact, LIMITS) is None


def test_mere_changes_are_not_judged_between_polls() -> None:
    assert implausible(Impact(total=100, changed=90), LIMITS, POLL) is None


def test_adding_many_rows_is_plausible_in_a_first_load() -> None:
    assert implausible(Impact(total=10, created=290), LIMITS, FIRST_LOAD) is None


@given(total=st.integers(1, 10_000), deleted=st.integers(0, 10_000))
def test_fewer_rows_than_the_minimum_are_never_held(total: int, deleted: int) -> None:
    reason = implausible(Impact(total=total, deleted=deleted), LIMITS)
    assert (reason is None) or deleted >= LIMITS.rows
