"""``tallyhook schedule``: when jobs run by themselves, and what that costs."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import AsJson, Connection, done, moment, open_deps, print_json, stderr
from app.cli.here import settings_here
from app.cli.tables import print_table
from app.flows.deps import Deps
from app.flows.upkeep.schedules import save
from app.flows.upkeep.schedules import show as schedules_of
from app.rules.runs.jobs import job_of

app = typer.Typer(help="When jobs run by themselves.", no_args_is_help=True)


@app.command()
def show(connection: Connection, as_json: AsJson = False) -> None:
    """Every job of a connection: its cron, whether it is on, and when it runs next."""
    rows = schedules_of(open_deps(), connection)
    if as_json:
        print_json(rows)
        return
    table = Table("job", "cron", "time zone", "on", "last", "next", "does")
    for row in rows:
        upcoming = row["problem"] or (moment(row["next"][0]) if row["next"] else "-")
        cells = (row["job"], row["cron"], row["timezone"], "yes" if row["enabled"] else "no")
        table.add_row(*map(escape, cells), moment(row["last_slot"]), escape(upcoming), row["does"] or "")
    print_table(table, "No job is scheduled yet; the clock gives a connection its defaults.")


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
    deps = open_deps()
    kept = _kept(deps, connection, job)
    wanted = cron or kept.get("cron")
    if wanted is None:
        raise typer.BadParameter(f"job {job} has no times yet; give a CRON")
    zone = timezone or kept.get("timezone") or settings_here().timezone
    saved = save(deps, connection, job, wanted, zone, not off)
    done(_sentences(saved), saved, as_json=as_json)
    if saved["warning"] and not as_json:
        stderr.lines(f"Warning: {saved['warning']}", style="yellow")


def _kept(deps: Deps, connection: str, job: str) -> Mapping[str, Any]:
    """The job's schedule as it is; empty when it has none."""
    name = job_of(job).name
    return next((row for row in schedules_of(deps, connection) if row["job"] == name), {})


def _sentences(saved: Mapping[str, Any]) -> list[str]:
    cost = saved["cost"]
    is_on = "is on" if saved["enabled"] else "is off"
    said = [f"{saved['job']} {is_on}: {saved['cron']} ({saved['timezone']})"]
    said += [f"  next {slot}" for slot in saved["next"]]
    if not saved["enabled"]:
        said.append("It runs only when a person starts it.")
    elif cost["calls_per_day"] is None:
        said.append(f"It runs {cost['runs_per_day']:g} times a day; no such run has been measured yet.")
    else:
        budget = "" if cost["budget_per_day"] is None else f" of {cost['budget_per_day']:,}"
        said.append(
            f"It costs about {cost['calls_per_day']:,.0f} calls a day; all jobs {cost['all_jobs_per_day']:,.0f}{budget}."
        )
    return said
