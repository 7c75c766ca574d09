"""Our smoothing and TSB against those of a library that others wrote and many use."""

import warnings
from importlib import import_module
from itertools import product
from types import ModuleType

import numpy as np
import pytest

from app.rules.backtest.rivals import BETAS, tsb
from app.rules.demand.history import Demand, Floats
from app.rules.demand.levels import ALPHAS, discounted_means

DAYS = 120


@pytest.fixture(scope="module")
def models() -> ModuleType:
    """The library's models; its import takes seconds, and warns of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("statsforecast.models")


@pytest.fixture(scope="module")
def units() -> Floats:
    """Histories [sku, day] of every kind: from lively to hardly ever selling."""
    dice = np.random.default_rng(11)
    selling = dice.random((20, DAYS)) < np.linspace(0.03, 1.0, 20)[:, np.newaxis]
    found = np.where(selling, dice.geometric(0.15, (20, DAYS)), 0).astype(np.float64)
    found[:, 0] = 5  # both begin with the first sale
    return found


def history(units: Floats) -> Demand:
    return Demand(units, np.ones_like(units), np.ones((1, DAYS)), np.ones(units.shape[0]))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_smoothing_is_that_of_the_library(models: ModuleType, units: Floats, alpha: float) -> None:
    model = models.SimpleExponentialSmoothing(alpha)
    theirs = [model.forecast(y=row.astype(np.float32), h=1)["mean"][0] for row in units]
    (ours,), _ = discounted_means(history(units), (alpha,), from_first=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("alpha", "beta"), list(product(BETAS, BETAS)))
def test_tsb_is_that_of_the_library(models: ModuleType, units: Floats, alpha: float, beta: float) -> None:
    """Named the other way round there: ``alpha_d`` is for the size, ``alpha_p`` for how often."""
    model = models.TSB(alpha_d=beta, alpha_p=alpha)
    theirs = [model.forecast(y=row.astype(np.float32), h=1)["mean"][0] for row in units]
    ours, _ = tsb(history(units), alpha, beta)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
