"""``tallyhook schedule``: when jobs run by themselves, and what that costs."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import AsJson, Connection, done, moment, open_deps, stderr
from app.cli.here import settings_here
from app.cli.tables import add_row, print_rows
from app.flows.upkeep.schedules import SavedSchedule, save
from app.flows.upkeep.schedules import show as schedules_of

app = typer.Typer(help="When jobs run by themselves.", no_args_is_help=True)


@app.command()
def show(connection: Connection, as_json: AsJson = False) -> None:
    """Every job of a connection: its cron, whether it is on, and when it runs next."""
    rows = schedules_of(open_deps(), connection)
    table = Table("job", "cron", "time zone", "on", "last", "next", "does")
    for row in rows:
        upcoming = row.problem or (moment(row.next[0]) if row.next else "-")
        times = (row.cron, row.timezone, "yes" if row.enabled else "no", moment(row.last_slot), upcoming)
        add_row(table, row.job, *times, row.does or "")
    empty = "No job is scheduled yet; the clock gives a connection its defaults."
    print_rows(table, rows, empty, as_json=as_json)


@app.command("set")
def set_(
    connection: Connection,
    job: Annotated[str, typer.Argument(help="which job; `tallyhook schedule show` lists them")],
    cron: Annotated[str | None, typer.Argument(help='five fields, like "*/15 * * * *"; default: unchanged')] = None,
    timezone: Annotated[str | None, typer.Option(help="like Europe/Berlin; default: unchanged")] = None,
    off: Annotated[bool, typer.Option("--off", help="keep the times, but do not run the job")] = False,
    as_json: AsJson = False,
) -> None:
    """Set a job's times (and switch it on, unless --off); shows the next five and what they cost in API calls."""
    zone = settings_here().timezone
    saved = save(open_deps(), connection, job, cron, timezone, not off, default_zone=zone)
    done(_sentences(saved), saved, as_json=as_json)
    if saved.warning and not as_json:
        stderr.lines(f"Warning: {saved.warning}", style="yellow")


def _sentences(saved: SavedSchedule) -> Iterator[str]:
    cost = saved.cost
    yield f"{saved.job} is {'on' if saved.enabled else 'off'}: {saved.cron} ({saved.timezone})"
    yield from (f"  next {slot}" for slot in saved.next)
    if not saved.enabled:
        yield "It runs only when a person starts it."
    elif cost.calls_per_day is None:
        yield f"It runs {cost.runs_per_day:g} times a day; no such run has been measured yet."
    else:
        budget = "" if cost.budget_per_day is None else f" of {cost.budget_per_day:,}"
        yield f"It costs about {cost.calls_per_day:,.0f} calls a day; all jobs {cost.all_jobs_per_day:,.0f}{budget}."
