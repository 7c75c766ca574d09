"""What an empty shelf hides: against a shop whose true demand is known."""

import numpy as np
import pytest

from app.rules.demand.censored import is_exposed_in_part, lost_sales, mean_level, without_sell_outs
from app.rules.demand.history import Demand
from app.rules.demand.levels import completed
from tests.shelves import Shelves, shelves

SKUS = 1_500


def shop(fill: float, dispersion: float) -> Shelves:
    return shelves(seed=3, skus=SKUS, days=182, fill=fill, dispersion=dispersion, mean=1.0, closed_every=7)


def share_out(found: Shelves) -> float:
    """Of all open days, those on which the shelf ran empty."""
    return float(found.ran_empty.sum() / found.demand.opened.sum() / SKUS)


@pytest.mark.parametrize(
    ("fill", "dispersion"), [(0.95, 1.0), (1.1, 1.0), (0.95, 2.0), (1.3, 2.0), (0.95, 4.0), (1.1, 4.0), (1.6, 4.0)]
)
def test_the_velocity_is_true_within_three_percent_where_shelves_run_empty(fill: float, dispersion: float) -> None:
    found = shop(fill, dispersion)
    assert 0.05 < share_out(found) < 0.20
    bias = mean_level(completed(found.demand)).sum() / found.level.sum() - 1
    assert abs(bias) < 0.03


def test_without_the_correction_days_that_sold_out_count_for_too_little() -> None:
    found = shop(0.95, 4.0)
    assert mean_level(found.demand).sum() / found.level.sum() - 1 < -0.05


def test_units_per_day_know_nothing_of_empty_shelves() -> None:
    found = shop(0.95, 4.0)
    per_open_day = found.demand.units.sum() / found.demand.opened.sum()
    assert per_open_day / found.level.sum() - 1 < -0.15


def one_day(units: float, exposure: float) -> Demand:
    return Demand(np.array([[units]]), np.array([[exposure]]), np.ones((1, 1)), np.array([2.0]))


@pytest.mark.parametrize(
    ("units", "exposure", "dispersion", "added"),
    [
        (6.0, 0.5, 1.0, 0.5 * 4),  # days are alike: the rest of the day is as the level
        (6.0, 0.5, 3.0, 0.5 * (4 + 2 * 6) / (1 + 2 * 0.5)),  # they differ: this was a good one
        (6.0, 1.0, 3.0, 0.0),
    ],
)
def test_a_day_in_part_gets_the_rest_by_its_own_rate(
    units: float, exposure: float, dispersion: float, added: float
) -> None:
    full = without_sell_outs(one_day(units, exposure), np.array([4.0]), np.array([dispersion]))
    assert full.units[0, 0] == pytest.approx(units + added)
    assert full.exposure[0, 0] == 1


def test_a_day_without_any_stock_stays_without_weight() -> None:
    full = without_sell_outs(one_day(0.0, 0.0), np.array([4.0]), np.array([2.0]))
    assert (full.units[0, 0], full.exposure[0, 0]) == (0, 0)
    assert not is_exposed_in_part(full).any()


def test_lost_sales_are_what_a_full_shelf_would_have_sold_in_money() -> None:
    exposure = np.array([[0.0, 1.0, 0.25, 0.0, 0.0]])
    opened = np.array([[1.0, 1.0, 1.0, 1.0, 0.0]])
    demand = Demand(np.array([[0.0, 3, 1, 0, 0]]), exposure, opened, np.array([2.0]))
    assert lost_sales(demand, np.array([4.0]), days=90)[0] == pytest.approx((0.75 + 1) * 4 * 2)
    assert lost_sales(demand, np.array([4.0]), days=2)[0] == pytest.approx(1 * 4 * 2)
