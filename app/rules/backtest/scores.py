"""The measures of a backtest: how far forecasts were off, to which side, and how often a promised level was enough."""

from dataclasses import dataclass

import numpy as np

from app.rules.demand.history import Floats


@dataclass(frozen=True, slots=True)
class Score:
    """Of forecasts [row] of sums, against the sums that came: the mean absolute error, the root of the mean of error²,
    and by which share the forecasts together were too high (or too low, below 0)."""

    mae: float
    rmse: float
    bias: float


def score(forecast: Floats, actual: Floats, weight: Floats) -> Score:
    """``weight`` [row] is 1 for a score in units, the price for one in money. NaN where there is nothing to divide by."""
    error = (forecast - actual) * weight
    return Score(
        mae=_mean(np.abs(error)),
        rmse=float(np.sqrt(_mean(np.square(error)))),
        bias=ratio(float(error.sum()), float((actual * weight).sum())),
    )


def pinball(level: Floats, actual: Floats, share: float) -> float:
    """The mean loss of a quantile: each unit short costs ``share``, each unit too many 1 - ``share``.

    R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46, 1978, pages 33 to 50: no other level costs less in the
    long run than the true quantile.
    """
    short = actual - level
    return _mean(np.maximum(share * short, (share - 1) * short))


def reached(level: Floats, actual: Floats) -> float:
    """The share of rows in which the level was enough."""
    return _mean(np.asarray(actual <= level, dtype=np.float64))


def ratio(part: float, whole: float) -> float:
    """NaN where there is nothing to divide by."""
    return part / whole if whole else float("nan")


def _mean(numbers: Floats) -> float:
    return float(numbers.mean()) if numbers.size else float("nan")
