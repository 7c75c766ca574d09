"""Backtests the forecast on a file of sales, and says where it loses."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from app.errors import InvalidRequest
from app.flows.demand.demand_file import read_demand
from app.rules.backtest.backtest import backtest
from app.rules.backtest.origins import is_reported
from app.rules.backtest.report import Findings, findings

FEWEST_SKUS = 40
"""Of fewer SKUs a half says nothing: then all are reported on."""


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """What was backtested, and the findings; ``reported`` of the ``skus`` are in them. ``horizon`` is in days."""

    skus: int
    reported: int
    first_day: date
    last_day: date
    closed_days: int
    horizon: int
    origins: tuple[date, ...]
    forecasts: int
    findings: Findings


def backtest_file(path: Path, horizon: int, *, every_sku: bool = False) -> BacktestReport:
    """Backtest the sales in a file, ``horizon`` days ahead, on the half of its SKUs that nothing was chosen on.

    Raises ``InvalidRequest`` with the line of the file that cannot be read, or with what the history lacks.
    """
    file = read_demand(path)
    skus, days = file.demand.units.shape
    reported = is_reported(file.skus)
    if every_sku or skus < FEWEST_SKUS:
        reported[:] = True
    try:
        judged = backtest(file.demand, np.full(skus, float(horizon)), reported)
    except ValueError as error:
        raise InvalidRequest(f"{path} has {error}") from None
    return BacktestReport(
        skus,
        int(reported.sum()),
        file.first_day,
        file.first_day + timedelta(days=days - 1),
        int((file.demand.opened == 0).sum()),
        horizon,
        tuple(file.first_day + timedelta(days=int(origin)) for origin in np.unique(judged.origin)),
        judged.actual.size,
        findings(judged, has_money=file.has_money),
    )
