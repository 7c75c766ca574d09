"""The backtest: it knows nothing of the future, learns from the past only, and measures as the books say."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.backtest.backtest import OURS, SHARES, TEXTBOOK, Judged, backtest
from app.rules.backtest.origins import LEAST, SHORTEST_PAST, is_reported, origins
from app.rules.backtest.report import Findings, findings
from app.rules.backtest.scores import pinball, reached, score
from app.rules.backtest.textbook import last_days_again, mean_of_30_days, normal_level
from app.rules.demand.history import Demand, Floats
from tests.shelves import shelves

SKUS, DAYS = 60, 170


@pytest.fixture(scope="module")
def shop() -> Demand:
    return shelves(seed=7, skus=SKUS, days=DAYS, fill=9.0, dispersion=3.0, mean=0.7).demand


def judge(demand: Demand, horizon: float = 28) -> Judged:
    return backtest(demand, np.full(demand.skus, horizon), np.ones(demand.skus, dtype=np.bool_))


@pytest.fixture(scope="module")
def judged(shop: Demand) -> Judged:
    return judge(shop)


def until_then_nothing(demand: Demand, day: int) -> Demand:
    units = demand.units.copy()
    units[:, day:] = 0
    return Demand(units, demand.exposure, demand.opened, demand.prices)


def test_what_comes_after_an_origin_changes_nothing_of_its_forecasts(shop: Demand, judged: Judged) -> None:
    origin = int(np.unique(judged.origin)[4])
    blind = judge(until_then_nothing(shop, origin))
    for method, forecast in judged.forecasts.items():
        seen = judged.origin <= origin
        assert forecast[seen].tobytes() == blind.forecasts[method][blind.origin <= origin].tobytes()
    assert (blind.actual[blind.origin == origin] == 0).all()


def test_equal_histories_give_equal_bytes(shop: Demand, judged: Judged) -> None:
    again = judge(shop)
    assert again.forecasts[OURS].tobytes() == judged.forecasts[OURS].tobytes()
    assert all(again.levels[OURS][share].tobytes() == judged.levels[OURS][share].tobytes() for share in SHARES)


def test_every_sku_has_its_own_horizon(shop: Demand) -> None:
    days = np.where(np.arange(SKUS) % 2 == 0, 7.0, 21.0)
    found = backtest(shop, days, np.ones(SKUS, dtype=np.bool_))
    first = int(found.origin[0])
    assert found.actual[0] == shop.units[0, first : first + 7].sum()
    assert found.actual[1] == shop.units[1, first : first + 21].sum()


def test_only_the_reported_half_is_judged(shop: Demand) -> None:
    half = is_reported([f"S{number}" for number in range(SKUS)])
    found = backtest(shop, np.full(SKUS, 28.0), half)
    assert found.actual.size == half.sum() * np.unique(found.origin).size


def with_exposure(demand: Demand, exposure: Floats) -> Demand:
    return Demand(demand.units * (exposure > 0), exposure, demand.opened, demand.prices)


def test_what_an_empty_shelf_did_not_sell_is_not_judged(shop: Demand, judged: Judged) -> None:
    exposure = shop.exposure.copy()
    exposure[:10, -7:] = 0
    found = judge(with_exposure(shop, exposure))
    last = judged.origin.max()
    assert (found.origin == last).sum() == (judged.origin == last).sum() - 10


@pytest.mark.parametrize("sold", [0.0, 1.0])
def test_where_there_is_nothing_to_judge_that_is_said(shop: Demand, sold: float) -> None:
    exposure = shop.exposure.copy()
    exposure[:, 60:] *= sold == 0
    units = np.where(exposure > 0, sold, 0.0)
    with pytest.raises(ValueError, match="no SKU that had sold"):
        judge(Demand(units, exposure, shop.opened, shop.prices))


@given(st.integers(1, 900), st.integers(1, 60))
def test_origins_leave_a_past_and_the_whole_horizon(days: int, horizon: int) -> None:
    if days < SHORTEST_PAST + LEAST - 1 + horizon:
        with pytest.raises(ValueError, match="needs"):
            origins(days, horizon)
        return
    found = origins(days, horizon)
    assert len(found) >= LEAST
    assert found[0] >= SHORTEST_PAST
    assert found[-1] + horizon == days
    assert list(found) == sorted(set(found))


def test_a_sku_is_in_the_same_half_on_every_machine_and_beside_any_others() -> None:
    assert is_reported(["A1", "A2", "A3", "A4", "A5"]).tolist() == [False, False, True, False, False]
    assert is_reported(["A3"]).tolist() == [True]


def column(*numbers: float) -> Floats:
    return np.array(numbers, dtype=np.float64)


def test_errors_by_hand() -> None:
    found = score(column(4, 1), column(1, 5), column(1, 1))
    assert (found.mae, found.rmse, found.bias) == pytest.approx((3.5, np.sqrt(12.5), -1 / 6))


def test_errors_in_money_weigh_by_price() -> None:
    assert score(column(4, 1), column(1, 5), column(10, 1)).mae == pytest.approx((30 + 4) / 2)


def test_a_unit_short_costs_the_promise_and_one_too_many_the_rest() -> None:
    assert pinball(column(8), column(10), 0.95) == pytest.approx(2 * 0.95)
    assert pinball(column(12), column(10), 0.95) == pytest.approx(2 * 0.05)


def test_a_level_that_is_just_enough_was_enough() -> None:
    assert reached(column(3, 3, 3, 3), column(2, 3, 4, 5)) == 0.5


def test_the_rules_of_thumb_by_hand() -> None:
    units = np.zeros((1, 60))
    units[0, -40:] = 2
    units[0, -1] = 5
    past, days = Demand(units, np.ones_like(units), np.ones((1, 60)), np.ones(1)), column(14)
    assert mean_of_30_days(past, days)[0] == pytest.approx(14 * (29 * 2 + 5) / 30)
    assert last_days_again(past, days)[0] == 13 * 2 + 5
    deviation = np.std(units[0], ddof=1)
    z = NormalDist().inv_cdf(0.95)
    expected = mean_of_30_days(past, days)[0] + z * deviation * np.sqrt(14)
    assert normal_level(past, days, 0.95)[0] == pytest.approx(expected)


def report_of(judged: Judged) -> Findings:
    return findings(judged, has_money=True)


def test_a_lost_comparison_is_told() -> None:
    """Ours is twice what came, everybody else is right, and our stock is never enough."""
    actual = column(*[4.0] * 8)
    names = ("30-day mean", "naive", OURS)
    forecasts = {name: actual * (2.0 if name == OURS else 1.1) for name in names}
    levels = {name: dict.fromkeys(SHARES, actual * (0.5 if name == OURS else 2)) for name in (OURS, TEXTBOOK)}
    kinds = np.full(8, 3)
    found = report_of(Judged(np.zeros(8, dtype=np.int64), actual, np.ones(8), kinds, forecasts, levels))
    assert "naive has the lower MAE in units: 1.000, ours 10.000" in found.losses
    assert any(loss.startswith("lumpy: 95% are promised, 0.0% reached") for loss in found.losses)
    assert not any(target.is_met for target in found.targets)


def test_a_steady_shop_meets_what_a_level_promises(judged: Judged) -> None:
    found = {level.promised: level for level in report_of(judged).levels}
    assert 0.93 <= found[0.95].reached <= 0.99
    assert found[0.95].pinball < 1


def test_no_comparison_in_money_is_made_without_prices(judged: Judged) -> None:
    assert findings(judged, has_money=False).methods[0].money is None
