"""The negative binomial distribution: it agrees with its own terms added up one by one, and never falls."""

from math import exp, lgamma, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.demand.counts import LEAST_DISPERSION, days_until, log_gamma, probability, quantile

MEANS = st.floats(0.0, 3_000.0)
DISPERSIONS = st.floats(1.0, 60.0)
SHARES = st.floats(0.02, 0.995)


def one(number: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([number], dtype=np.float64)


def added_up(count: int, mean: float, dispersion: float) -> float:
    """The probabilities of 0 to ``count``, each by the formula of the textbook."""
    r = mean / (dispersion - 1)
    return sum(
        exp(lgamma(r + n) - lgamma(r) - lgamma(n + 1) - r * log(dispersion) + n * log(1 - 1 / dispersion))
        for n in range(count + 1)
    )


@pytest.mark.parametrize("mean", [0.01, 0.4, 3.0, 40.0, 900.0])
@pytest.mark.parametrize("dispersion", [1.1, 2.0, 15.0, 300.0])
@pytest.mark.parametrize("times", [0.0, 0.5, 1.0, 2.0])
def test_a_probability_is_the_sum_of_its_terms(mean: float, dispersion: float, times: float) -> None:
    count = int(mean * times)
    exact = added_up(count, mean, dispersion)
    assert probability(one(count), one(mean), one(dispersion))[0] == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("x", [1e-3, 0.5, 1.0, 7.3, 250.0, 1e6])
def test_the_logarithm_of_the_gamma_function_is_that_of_the_library(x: float) -> None:
    assert log_gamma(one(x))[0] == pytest.approx(lgamma(x), rel=1e-10, abs=1e-10)


@given(SHARES, MEANS, DISPERSIONS)
def test_a_quantile_is_enough_and_one_less_is_not(share: float, mean: float, dispersion: float) -> None:
    enough = quantile(one(share), one(mean), one(dispersion))
    assert probability(enough, one(mean), one(dispersion))[0] >= share
    assert enough[0] == 0 or probability(enough - 1, one(mean), one(dispersion))[0] < share


@given(SHARES, SHARES, MEANS, DISPERSIONS)
def test_a_quantile_never_falls_where_more_is_promised(a: float, b: float, mean: float, dispersion: float) -> None:
    low, high = (quantile(one(share), one(mean), one(dispersion))[0] for share in sorted((a, b)))
    assert low <= high


@given(SHARES, MEANS, MEANS, DISPERSIONS)
def test_a_quantile_never_falls_where_the_mean_grows(share: float, a: float, b: float, dispersion: float) -> None:
    low, high = (quantile(one(share), one(mean), one(dispersion))[0] for mean in sorted((a, b)))
    assert low <= high


@given(st.floats(0, 500), st.floats(0.001, 20), DISPERSIONS)
def test_stock_lasts_longer_the_luckier_one_is(available: float, per_day: float, dispersion: float) -> None:
    early, middle, late = (
        days_until(share, one(available), one(per_day), one(dispersion), longest=730)[0] for share in (0.9, 0.5, 0.1)
    )
    assert 1 <= early <= middle <= late <= 730


@given(st.floats(0, 200), st.floats(0.1, 5), DISPERSIONS)
def test_the_day_on_which_stock_runs_out_is_the_first_one(
    available: float, per_day: float, dispersion: float
) -> None:
    day = days_until(0.5, one(available), one(per_day), one(dispersion), longest=10_000)
    assert quantile(one(0.5), per_day * day, one(dispersion))[0] > available
    assert quantile(one(0.5), per_day * (day - 1), one(dispersion))[0] <= available


def test_nobody_wants_what_has_no_demand() -> None:
    assert quantile(one(0.99), one(0.0), one(5.0))[0] == 0
    assert days_until(0.5, one(3.0), one(0.0), one(5.0), longest=730)[0] == 730


def test_less_than_nothing_in_stock_has_run_out_already() -> None:
    assert days_until(0.5, one(-1.0), one(2.0), one(5.0), longest=730)[0] == 0


def test_demand_that_is_evener_than_chance_counts_as_chance() -> None:
    by_chance = quantile(one(0.95), one(10.0), one(LEAST_DISPERSION))
    assert quantile(one(0.95), one(10.0), one(0.2)) == by_chance
