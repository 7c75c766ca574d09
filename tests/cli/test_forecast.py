"""``tallyhook forecast backtest``: its tables, its JSON, and what it refuses."""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import app
from app.cli.console import console
from tests.shelves import shelves

FIRST = date(2026, 1, 1)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of a small shop."""
    units = shelves(seed=2, skus=80, days=180, fill=3.0, dispersion=3.0, mean=0.8, closed_every=7).demand.units
    lines = [
        f"SKU-{sku:02},{FIRST + timedelta(days=day)},{sold:g},{sold * 250:g}"
        for sku, row in enumerate(units.tolist())
        for day, sold in enumerate(row)
        if sold
    ]
    path = tmp_path_factory.mktemp("demand") / "sales.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["sku,day,sold,revenue_minor", *lines]).encode()))
    return path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["forecast", "backtest", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_the_tables_fit_into_eighty_columns(sales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)
    code, out = run("--demand", str(sales))
    assert code in (0, 1)
    assert "─" in out, "a table became lines"
    assert max(map(len, out.splitlines())) <= 80
    assert "80 SKUs, 2026-01-01 to 2026-06-29, of which 25 days closed." in out
    for words in ("30-day mean", "SES, best of 5", "lumpy", "textbook", "MAE of the 30-day mean's"):
        assert words in out


def test_it_says_where_it_loses_or_that_it_lost_nothing(sales: Path) -> None:
    _, out = run("--demand", str(sales))
    assert "Where Tallyhook loses:" in out or "It lost no comparison." in out


def test_the_exit_code_says_whether_every_target_was_met(sales: Path) -> None:
    code, out = run("--demand", str(sales), "--json")
    targets = json.loads(out)["findings"]["targets"]
    assert code == (0 if all(target["is_met"] for target in targets) else 1)


def test_equal_files_give_equal_bytes(sales: Path) -> None:
    assert run("--demand", str(sales), "--json") == run("--demand", str(sales), "--json")


def test_about_half_of_the_skus_are_reported_unless_all_are_wanted(sales: Path) -> None:
    half, every = (json.loads(run("--demand", str(sales), "--json", *more)[1]) for more in ([], ["--every-sku"]))
    assert 20 < half["reported"] < 60
    assert every["reported"] == every["skus"] == 80


def test_the_horizon_is_the_one_that_was_asked_for(sales: Path) -> None:
    told = json.loads(run("--demand", str(sales), "--json", "--horizon", "14")[1])
    assert told["horizon"] == 14
    assert told["origins"][-1] == str(date.fromisoformat(told["last_day"]) - timedelta(days=13))


def test_a_short_history_is_refused_with_what_it_would_need(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("sku,day,sold\nA,2026-01-01,1\nA,2026-02-01,1\n")
    with pytest.raises(Exception, match=r"32 days of history; a backtest of 28 days needs 125"):
        run("--demand", str(path))
