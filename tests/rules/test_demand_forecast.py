"""The forecast: what never falls, what never is negative, and what a merchant is told."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.rules.demand.classes import DemandClass, demand_classes
from app.rules.demand.forecast import Confidence, Forecast, Policy, forecast, forecasts, typical_levels
from app.rules.demand.history import Demand, Floats, closed_days
from app.rules.demand.learning import NOTHING_LEARNED, SIZES, Learned, learn, past_origins
from tests.shelves import shelves

UNITS = st.integers(1, 50).flatmap(
    lambda days: arrays.arrays(np.float64, (3, days), elements=st.integers(0, 40).map(float))
)
SERVICE = st.floats(0.5, 0.999)
NUMBERS = st.floats(0, 60)
LEARNED = Learned(1.1, 0.95, np.linspace(2, 1, SIZES), np.linspace(40, 4, SIZES), 0.02)
NOBODY = np.zeros(1)


def history(units: Floats) -> Demand:
    return Demand(units, np.ones_like(units), np.ones((1, units.shape[1])), np.full(units.shape[0], 3.0))


def policy(
    skus: int, service: float = 0.95, lead: float = 10, variance: float = 4, review: float = 7, available: float = 20
) -> Policy:
    return Policy(
        service=np.full(skus, service),
        lead_days=np.full(skus, float(lead)),
        lead_variance=np.full(skus, float(variance)),
        review_days=np.full(skus, float(review)),
        available=np.full(skus, float(available)),
        category=np.zeros(skus, dtype=np.int64),
    )


def of(units: Floats, asked: Policy, learned: Learned = LEARNED) -> Forecast:
    return forecast(history(units), asked, learned, NOBODY)


@given(UNITS, SERVICE, NUMBERS, NUMBERS, NUMBERS, st.floats(-20, 500))
@settings(max_examples=40)
def test_nothing_is_ever_negative(
    units: Floats, service: float, lead: float, variance: float, review: float, available: float
) -> None:
    found = of(units, policy(3, service, lead, variance, review, available))
    assert all((getattr(found, field.name) >= 0).all() for field in fields(found))


@given(UNITS, SERVICE, SERVICE, NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_a_higher_service_level_never_takes_less_stock(
    units: Floats, one: float, other: float, lead: float, variance: float
) -> None:
    low, high = (of(units, policy(3, service, lead, variance)) for service in sorted((one, other)))
    assert (low.reorder_point <= high.reorder_point).all()
    assert (low.order_up_to <= high.order_up_to).all()


@given(UNITS, SERVICE, NUMBERS, NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_a_longer_lead_time_never_takes_less_stock(
    units: Floats, service: float, one: float, other: float, variance: float
) -> None:
    low, high = (of(units, policy(3, service, lead, variance)) for lead in sorted((one, other)))
    assert (low.reorder_point <= high.reorder_point).all()
    assert (low.order_up_to <= high.order_up_to).all()


@given(UNITS, SERVICE, NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_a_less_certain_lead_time_never_takes_less_stock(
    units: Floats, service: float, one: float, other: float
) -> None:
    low, high = (of(units, policy(3, service, variance=variance)) for variance in sorted((one, other)))
    assert (low.reorder_point <= high.reorder_point).all()


@given(UNITS, SERVICE, NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_one_orders_up_to_no_less_than_the_reorder_point(
    units: Floats, service: float, lead: float, review: float
) -> None:
    found = of(units, policy(3, service, lead, review=review))
    assert (found.order_up_to >= found.reorder_point).all()


@given(UNITS)
@settings(max_examples=25)
def test_equal_inputs_give_equal_bytes(units: Floats) -> None:
    one, other = (of(units.copy(), policy(3)) for _ in range(2))
    for field in fields(one):
        assert getattr(one, field.name).tobytes() == getattr(other, field.name).tobytes()


def test_more_in_stock_lasts_longer_and_is_ordered_later() -> None:
    units = np.tile([2.0, 0, 1, 4], (3, 20))
    little, much = (of(units, policy(3, available=available)) for available in (15, 150))
    assert (little.days_left < much.days_left).all()
    assert (little.reorder_in <= much.reorder_in).all()
    assert (little.days_left_low <= little.days_left).all()
    assert (little.days_left <= little.days_left_high).all()


def test_what_is_at_its_reorder_point_is_ordered_now() -> None:
    units = np.tile([2.0, 0, 1, 4], (1, 20))
    point = of(units, policy(1)).reorder_point[0]
    assert of(units, policy(1, available=point)).reorder_in[0] == 0
    assert of(units, policy(1, available=point + 30)).reorder_in[0] > 0


def test_safety_stock_is_the_reorder_point_less_what_is_expected_until_the_delivery() -> None:
    found = of(np.tile([2.0, 0, 1, 4], (1, 20)), policy(1, lead=10, review=0))
    assert found.safety_stock[0] == pytest.approx(found.reorder_point[0] - found.expected[0])


def test_a_newcomer_is_expected_to_sell_what_a_quarter_of_its_category_sells_less_than() -> None:
    demand = history(np.array([[0.0] * 30, [1.0] * 30, [2.0] * 30, [9.0] * 30, [8.0] * 30]))
    typical = typical_levels(demand, np.zeros(5, dtype=np.int64), 1)
    assert typical[0] == 1
    fresh = history(np.zeros((1, 1)))
    found = forecast(fresh, policy(1), NOTHING_LEARNED, typical)
    assert found.level[0] == pytest.approx(12 / 13)
    assert found.confidence[0] == Confidence.LOW


@pytest.mark.parametrize(
    ("days", "every", "confidence"),
    [
        (59, 1, Confidence.LOW),
        (70, 10, Confidence.LOW),
        (70, 2, Confidence.MEDIUM),
        (200, 10, Confidence.MEDIUM),
        (200, 2, Confidence.HIGH),
    ],
)
def test_confidence_needs_days_and_sales(days: int, every: int, confidence: Confidence) -> None:
    units = np.zeros((1, days))
    units[0, ::every] = 2
    assert of(units, policy(1)).confidence[0] == confidence


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([3, 2, 3, 2, 3, 2], DemandClass.SMOOTH),
        ([1, 1, 9, 1, 1, 1], DemandClass.ERRATIC),
        ([3, 0, 0, 2, 0, 3], DemandClass.INTERMITTENT),
        ([1, 0, 0, 9, 0, 1], DemandClass.LUMPY),
        ([0, 0, 0, 0, 0, 0], DemandClass.INTERMITTENT),
    ],
)
def test_a_sku_is_of_the_class_it_sells_like(units: list[float], expected: DemandClass) -> None:
    assert demand_classes(history(np.array([units], dtype=np.float64)))[0] == expected


def test_no_stock_is_kept_of_what_never_sold() -> None:
    found = of(np.zeros((1, 90)), policy(1, available=0))
    assert (found.reorder_point[0], found.order_up_to[0], found.days_left[0]) == (0, 0, 730)


def test_what_hardly_sells_shares_one_mean() -> None:
    units = np.zeros((2, 400))
    units[0, 0], units[1, 10] = 1, 2
    found = of(units, policy(2))
    assert found.size_class.tolist() == [0, 0]
    assert found.days_left[0] == found.days_left[1]


def test_the_same_comes_out_in_blocks_of_any_size() -> None:
    demand = shelves(seed=5, skus=2_100, days=90, fill=1.0, dispersion=2.0).demand
    learned = learn(demand, np.full(2_100, 14.0))
    asked = policy(2_100)
    whole = forecast(demand, asked, learned, NOBODY)
    for chosen, block in forecasts(demand, asked, learned, NOBODY):
        np.testing.assert_allclose(block.level, whole.level[chosen], rtol=1e-12)
        assert (block.reorder_point == whole.reorder_point[chosen]).all()


def test_a_shop_that_grows_teaches_to_expect_more() -> None:
    growing = np.tile(np.linspace(1, 10, 200), (50, 1))
    steady = np.tile(np.full(200, 5.0), (50, 1))
    more, same = (learn(history(units), np.full(50, 28.0)) for units in (growing, steady))
    assert more.drift > same.drift
    assert past_origins(200, 28)[-1] == 172


def test_a_shop_without_a_past_teaches_nothing() -> None:
    assert learn(history(np.ones((3, 20))), np.full(3, 28.0)) is NOTHING_LEARNED


def test_a_day_on_which_a_lively_shop_sold_nothing_was_closed() -> None:
    units = np.ones((30, 6))
    units[:, 3] = 0
    assert closed_days(units).tolist() == [False, False, False, True, False, False]
    assert not closed_days(units[:5]).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": np.full((1, 2), -1.0)},
        {"units": np.full((1, 2), np.nan)},
        {"exposure": np.full((1, 2), 1.5)},
        {"exposure": np.zeros((1, 2))},
        {"opened": np.full((1, 3), 1.0)},
        {"prices": np.ones(2)},
    ],
)
def test_a_history_that_cannot_be_is_refused(wrong: dict[str, Floats]) -> None:
    good = history(np.ones((1, 2)))
    good.check()
    with pytest.raises(ValueError, match=r"are|is"):
        replace(good, **wrong).check()


@pytest.mark.parametrize("wrong", [{"service": 1.0}, {"service": 0.2}, {"lead": -1}, {"available": np.inf}])
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    policy(1).check()
    with pytest.raises(ValueError, match=r"is|are"):
        policy(1, **wrong).check()


def test_the_example_of_the_document_is_reckoned_right() -> None:
    """``docs/forecast.md``, step by step."""
    units = np.array([[2.0, 0, 1, 3, 0, 2, 1, 0, 4, 2]])
    exposure = np.array([[1.0, 1, 1, 0.6, 1, 1, 1, 1, 1, 1]])
    demand = Demand(units, exposure, np.ones((1, 10)), np.array([5.0]))
    learned = Learned(1.10, 1.05, np.full(SIZES, 1.20), np.full(SIZES, 6.0), 0.01)
    asked = policy(1, service=0.95, lead=7, variance=4, review=7, available=20)
    found = forecast(demand, asked, learned, NOBODY)
    assert found.level[0] == pytest.approx(0.996, abs=5e-4)
    assert found.expected[0] == pytest.approx(14.6, abs=0.05)
    assert found.dispersion[0] == pytest.approx(3.70, abs=5e-3)
    assert (found.reorder_point[0], found.order_up_to[0]) == (20, 32)
    assert found.safety_stock[0] == pytest.approx(12.7, abs=0.05)
    assert (found.days_left[0], found.days_left_low[0], found.days_left_high[0]) == (19, 10, 29)
    assert found.lost_sales[0] == pytest.approx(1.99, abs=5e-3)
