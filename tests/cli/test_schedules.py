"""``tallyhook schedule``: jobs are set in words that are checked, and their price is told."""

from app.sources.base import Limit
from app.stores.runs import schedules
from tests.cli.conftest import Terminal
from tests.fakes import SHOP


def kept(terminal: Terminal, job: str = "smart") -> schedules.Schedule:
    """A job's row in the database."""
    with terminal.deps.database.read() as conn:
        return next(row for row in schedules.all_(conn, SHOP) if row.job == job)


def test_set_keeps_the_times_and_shows_the_next_five(terminal: Terminal) -> None:
    typed = terminal.type("schedule", "set", SHOP, "smart", "0 4 * * *", "--timezone", "Europe/Berlin")
    assert typed.code == 0
    assert typed.out.count("T04:00:00+0") == 5
    row = kept(terminal)
    assert (row.cron, row.timezone, bool(row.enabled)) == ("0 4 * * *", "Europe/Berlin", True)


def test_off_keeps_the_times_but_runs_nothing(terminal: Terminal) -> None:
    terminal.type("schedule", "set", SHOP, "smart", "0 4 * * *", "--timezone", "Asia/Kathmandu")
    assert terminal.type("schedule", "set", SHOP, "smart", "--off", "--json").json["next"] == []
    row = kept(terminal)
    assert (row.cron, row.timezone, bool(row.enabled)) == ("0 4 * * *", "Asia/Kathmandu", False)


def test_set_again_switches_it_on_again(terminal: Terminal) -> None:
    terminal.type("schedule", "set", SHOP, "smart", "0 4 * * *", "--off")
    terminal.type("schedule", "set", SHOP, "smart")
    assert kept(terminal).enabled


def test_a_wrong_cron_is_exit_code_2_in_one_line_that_says_what_is_wrong(terminal: Terminal) -> None:
    typed = terminal.type("schedule", "set", SHOP, "smart", "61 * * * *")
    assert typed.code == 2
    assert "61" in typed.err
    assert typed.err.count("\n") == 1


def test_an_unknown_job_is_exit_code_2_and_names_those_there_are(terminal: Terminal) -> None:
    typed = terminal.type("schedule", "set", SHOP, "dance", "0 4 * * *")
    assert typed.code == 2
    assert "critical" in typed.err


def test_a_job_without_times_needs_some(terminal: Terminal) -> None:
    assert terminal.type("schedule", "set", SHOP, "smart").code == 2


def test_show_tells_when_each_job_is_due(terminal: Terminal) -> None:
    terminal.type("schedule", "set", SHOP, "smart", "0 4 * * *")
    (row,) = terminal.type("schedule", "show", SHOP, "--json").json
    assert (row["job"], row["cron"], len(row["next"])) == ("smart", "0 4 * * *", 5)
    assert "0 4 * * *" in terminal.type("schedule", "show", SHOP).out


def test_a_schedule_that_does_not_fit_the_budget_is_kept_with_a_warning(terminal: Terminal) -> None:
    terminal.source.limits = [Limit("calls", 1, 86_400.0)]
    terminal.type("sync", SHOP, "--strategy", "catalog", "--direct")
    typed = terminal.type("schedule", "set", SHOP, "catalog", "* * * * *")
    assert typed.code == 0
    assert "Warning: all enabled jobs need about 1,440 calls a day" in typed.err
    assert kept(terminal, "catalog").cron == "* * * * *"
