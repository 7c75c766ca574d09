"""``tallyhook forecast``: what customers will want, and how right such forecasts were."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import AsJson, console, print_json
from app.cli.tables import print_table
from app.flows.demand.backtest import BacktestReport, backtest_file
from app.rules.backtest.report import Findings, LevelRow, MethodRow, Relative

app = typer.Typer(help="The forecast of demand.", no_args_is_help=True)

LONGEST_HORIZON = 180


@app.callback()
def forecast() -> None:
    """The forecast of demand: what it is made of is in docs/forecast.md."""


@app.command()
def backtest(
    demand: Annotated[
        Path,
        typer.Option(help="sales to forecast, .csv or .csv.gz: sku,day,sold and, if there are, returned, exposure"),
    ],
    horizon: Annotated[int, typer.Option(help="days ahead", min=1, max=LONGEST_HORIZON)] = 28,
    every_sku: Annotated[
        bool, typer.Option("--every-sku", help="report on all SKUs, not on the half that nothing was chosen on")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forecast the past from what was known then, beside rules of thumb; exit code 1 when a target is missed."""
    report = backtest_file(demand, horizon, every_sku=every_sku)
    if as_json:
        print_json(report)
    else:
        _print(report)
    raise typer.Exit(0 if all(target.is_met for target in report.findings.targets) else 1)


def _print(report: BacktestReport) -> None:
    console.lines(*_opening(report))
    found = report.findings
    console.print("\nErrors, those of the 30-day mean being 1, and bias")
    print_table(_methods("method", found.methods), "")
    console.print("\nTallyhook's by class")
    print_table(_methods("class", found.classes), "")
    console.print("\nStock that is promised to be enough; pinball and stock, the textbook's being 1")
    print_table(_levels("promised", found.levels), "")
    console.print("\nThe same at 95 %, by class")
    print_table(_levels("class", found.class_levels), "")
    console.print()
    print_table(_targets(found), "")
    console.lines("", *_losses(found))


def _opening(report: BacktestReport) -> Iterable[str]:
    first, last = report.origins[0], report.origins[-1]
    yield (
        f"{report.skus:,} SKUs, {report.first_day} to {report.last_day}, of which {report.closed_days} days closed.\n"
        f"Sales of {report.horizon} days were forecast on {len(report.origins)} mornings, {first} to {last}:"
    )
    if report.reported < report.skus:
        yield f"{report.forecasts:,} forecasts of the {report.reported:,} SKUs that nothing was chosen on."
    else:
        yield f"{report.forecasts:,} forecasts of all SKUs."


def _methods(what: str, rows: Iterable[MethodRow]) -> Table:
    figures = ("MAE", "RMSE", "bias")
    table = Table(what, *(f"{figure}\nunits" for figure in figures), *(f"{figure}\nmoney" for figure in figures))
    for row in rows:
        table.add_row(row.name, *_relative(row.units), *_relative(row.money))
    return _to_the_right(table)


def _relative(found: Relative | None) -> tuple[str, str, str]:
    if found is None:
        return "-", "-", "-"
    return f"{found.mae:.3f}", f"{found.rmse:.3f}", f"{found.bias:+.1%}"


def _levels(what: str, rows: Iterable[LevelRow]) -> Table:
    table = Table(what, "rows", "reached", "textbook reached", "pinball", "stock")
    for row in rows:
        shares = (f"{row.reached:.1%}", f"{row.textbook_reached:.1%}")
        table.add_row(row.name, f"{row.rows:,}", *shares, f"{row.pinball:.3f}", f"{row.stock:.2f}")
    return _to_the_right(table)


def _targets(found: Findings) -> Table:
    table = Table("target", "wanted", "here", "")
    for target in found.targets:
        is_share = "%" in target.wanted
        here = f"{target.found:.1%}" if is_share else f"{target.found:.3f}"
        table.add_row(target.what, target.wanted, here, "met" if target.is_met else "MISSED")
    return table


def _to_the_right(table: Table) -> Table:
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _losses(found: Findings) -> Iterable[str]:
    if not found.losses:
        return ("It lost no comparison.",)
    return ("Where Tallyhook loses:", *(f"- {loss}." for loss in found.losses))
