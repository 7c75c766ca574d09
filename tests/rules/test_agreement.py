"""The interval of a share of which a sample was looked at."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.drift.agreement import wilson


@pytest.mark.parametrize(
    ("equal", "checked", "low", "high"),
    [(10, 10, 0.722, 1.0), (0, 10, 0.0, 0.278), (9, 10, 0.596, 0.982), (50, 100, 0.404, 0.596), (1, 1, 0.206, 1.0)],
)
def test_the_interval_is_the_one_that_tables_print(equal: int, checked: int, low: float, high: float) -> None:
    assert wilson(equal, checked) == pytest.approx((low, high), abs=6e-4)


def test_of_nothing_checked_nothing_is_known() -> None:
    assert wilson(0, 0) is None


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_the_interval_lies_between_none_and_all_and_holds_what_was_seen(checked: int, part: float) -> None:
    equal = round(part * checked)
    interval = wilson(equal, checked)
    assert interval is not None
    assert 0.0 <= interval.low <= equal / checked <= interval.high <= 1.0


@pytest.mark.parametrize("checked", [20, 60, 200])
def test_over_all_shares_the_true_one_lies_inside_as_often_as_was_said(checked: int) -> None:
    """Counted out by the binomial distribution, not drawn; no single share is far off."""
    held = [_coverage(checked, share / 200) for share in range(1, 200)]
    assert 0.945 < sum(held) / len(held) < 0.965
    assert min(held) > 0.83


def _coverage(checked: int, share: float) -> float:
    inside = 0.0
    for equal in range(checked + 1):
        interval = wilson(equal, checked)
        assert interval is not None
        if interval.low <= share <= interval.high:
            inside += comb(checked, equal) * share**equal * (1 - share) ** (checked - equal)
    return inside
