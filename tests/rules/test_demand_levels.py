"""The level of demand: by hand, and what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.rules.demand.history import Demand, Floats
from app.rules.demand.levels import (
    ALPHAS,
    CUT_FROM,
    EMPTY_DAYS,
    discounted_means,
    dispersion_of_days,
    largest_days_cut,
    levels,
    recent_mean,
)

DAYS = st.integers(1, 60)
UNITS = DAYS.flatmap(lambda days: arrays.arrays(np.float64, (3, days), elements=st.integers(0, 30).map(float)))


def history(units: Floats, exposure: Floats | None = None) -> Demand:
    exposed = np.ones_like(units) if exposure is None else exposure
    return Demand(units, exposed, np.maximum(exposed.max(axis=0, keepdims=True), 0.0), np.ones(units.shape[0]))


def days(*units: float) -> Demand:
    return history(np.array([units], dtype=np.float64))


def test_a_discounted_mean_by_hand() -> None:
    """Weights of 4, 0 and 6 units are 0.25 x 0.75^2, 0.25 x 0.75 and 0.25."""
    weights = 0.25 * np.array([0.75**2, 0.75, 1.0])
    (mean,), _ = discounted_means(days(4, 0, 6), (0.25,))
    assert mean[0] == pytest.approx((weights * [4, 0, 6]).sum() / weights.sum())


def test_with_the_first_day_as_first_mean_it_is_the_textbooks_smoothing() -> None:
    (mean,), _ = discounted_means(days(4, 0, 6), (0.25,), from_first=True)
    assert mean[0] == pytest.approx(0.75 * (0.75 * 4 + 0.25 * 0) + 0.25 * 6)


def test_a_short_history_counts_as_if_it_had_empty_days_before() -> None:
    assert levels(days(*[3.0] * 12)).discounted[0] == pytest.approx(3 * 12 / (12 + EMPTY_DAYS))


def test_no_day_counts_for_more_than_nearly_all_selling_days() -> None:
    """Of 8 selling days the quantile is between the seventh (2) and the eighth (100), at 0.65 of the way."""
    cut = largest_days_cut(days(1, 1, 1, 1, 1, 1, 0, 2, 100))
    assert cut.units[0].tolist() == pytest.approx([1, 1, 1, 1, 1, 1, 0, 2, 2 + 0.65 * 98])


def test_few_selling_days_are_left_as_they_are() -> None:
    few = [1.0] * (CUT_FROM - 2) + [100.0]
    assert largest_days_cut(days(*few)).units[0].tolist() == few


def test_the_recent_mean_counts_days_before_the_first_delivery_as_empty() -> None:
    units, exposure = np.zeros((1, 40)), np.zeros((1, 40))
    units[0, 30:], exposure[0, 30:] = 6.0, 1.0
    demand = Demand(units, exposure, np.ones((1, 40)), np.ones(1))
    assert recent_mean(demand)[0] == pytest.approx(10 * 6 / 30)


@given(UNITS)
def test_a_level_is_never_negative_and_never_above_the_best_day(units: Floats) -> None:
    found = levels(history(units))
    assert (found.level(1.0) >= 0).all()
    assert (found.level(1.0) <= units.max(axis=1) + 1e-9).all()


@given(UNITS, st.integers(0, 60))
def test_a_closed_day_moves_nothing_but_the_recent_mean(units: Floats, at: int) -> None:
    closed = np.insert(units, min(at, units.shape[1]), 0.0, axis=1)
    exposure = np.insert(np.ones_like(units), min(at, units.shape[1]), 0.0, axis=1)
    plain, with_closed = levels(history(units)), levels(history(closed, exposure))
    np.testing.assert_allclose(with_closed.discounted, plain.discounted, rtol=1e-12)
    np.testing.assert_allclose(with_closed.dispersion, plain.dispersion, rtol=1e-9)


@given(UNITS, st.floats(0.01, 0.99), st.data())
def test_a_day_that_is_split_in_two_counts_as_the_one_day(units: Floats, share: float, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, units.shape[1] - 1))
    parts = np.insert(units, at, units[:, at] * share, axis=1)
    parts[:, at + 1] = units[:, at] * (1 - share)
    exposure = np.insert(np.ones_like(units), at, share, axis=1)
    exposure[:, at + 1] = 1 - share
    (whole, _), (split, _) = (discounted_means(one, ALPHAS) for one in (history(units), history(parts, exposure)))
    np.testing.assert_allclose(split, whole, rtol=1e-9, atol=1e-12)


@given(UNITS)
@settings(max_examples=30)
def test_equal_histories_give_equal_bytes(units: Floats) -> None:
    one, other = (levels(history(units.copy())) for _ in range(2))
    assert all(mine.tobytes() == its.tobytes() for mine, its in zip(one, other, strict=True))


@given(UNITS)
def test_a_sku_has_the_same_level_whatever_else_is_in_its_block(units: Floats) -> None:
    together, alone = levels(history(units)), levels(history(units[:1]))
    assert together.discounted[0] == alone.discounted[0]
    assert together.dispersion[0] == alone.dispersion[0]


def test_days_that_are_alike_have_the_least_dispersion() -> None:
    assert dispersion_of_days(days(3, 3, 3, 3), np.array([3.0]))[0] == 1


def test_what_never_sold_has_no_level() -> None:
    found = levels(days(0, 0, 0))
    assert (found.discounted[0], found.recent[0], found.dispersion[0]) == (0, 0, 1)
