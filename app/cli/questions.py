"""``tallyhook validate``, ``drift`` and ``gaps``: is our copy right, and what was wrong?"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer
from rich.table import Table

from app.cli.codes import FAILED, WELL
from app.cli.console import (
    LARGEST_ID,
    AsJson,
    Before,
    Connection,
    Limit,
    console,
    named,
    objects,
    open_deps,
    page_of,
    print_json,
)
from app.cli.outcome import advice_lines, differences, summary_line
from app.cli.progress import span
from app.cli.sync import Last, day
from app.cli.tables import add_row, print_rows, print_table
from app.domain import Kind
from app.flows.catalog.validate import MAX_SAMPLES
from app.flows.catalog.validate import validate as checked
from app.flows.inbox.missing_orders import Day, find_missing_orders
from app.flows.runs.history import DriftWanted, list_differences, show_run
from app.rules.drift.drift_advice import advice_on
from app.rules.spellings import DRIFT_CAUSES, DRIFT_CHANGES


def validate(
    connection: Connection,
    samples: Annotated[
        int, typer.Option(help="at most this many samples of each finding", min=0, max=MAX_SAMPLES)
    ] = 5,
    anew: Annotated[
        bool, typer.Option("--anew", help="compute it now; otherwise the answer may be ten minutes old")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look for duplicates, gaps and contradictions in our copy; exit code 1 when there are any."""
    report = checked(open_deps(), connection, samples=samples, anew=anew)
    table = Table("check", "found", "says", "samples")
    for check in report.checks:
        add_row(
            table, check.check, f"{check.count:,}", check.says, "\n".join(named(one.items()) for one in check.samples)
        )
    found = f"{report.problems:,} found {span(report.age_seconds)} ago; --anew looks again."
    print_rows(table, report, "", as_json=as_json, more=found)
    raise typer.Exit(FAILED if report.problems else WELL)


def drift(
    connection: Connection,
    run_id: Annotated[
        int | None, typer.Option("--run", help="only what this run found", min=1, max=LARGEST_ID)
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="only this kind")] = None,
    cause: Annotated[str | None, typer.Option(help=", ".join(DRIFT_CAUSES.words))] = None,
    change: Annotated[str | None, typer.Option(help=", ".join(DRIFT_CHANGES.words))] = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """The differences that runs found, field by field and with the cause, newest first."""
    cause = None if cause is None else DRIFT_CAUSES.read(cause)
    change = None if change is None else DRIFT_CHANGES.read(change)
    deps = open_deps()
    if run_id is not None:
        show_run(deps, run_id, connection)
    wanted = DriftWanted(run_id=run_id, kind=kind, cause=cause, change=change, limit=limit, before_id=before)
    rows, summary = list_differences(deps, connection, wanted)
    if as_json:
        page = page_of(rows, limit, summary=None if summary is None else objects(summary))
        advised = [{**row, "advice": advice_on(row["cause"])} for row in page["rows"]]
        print_json({**page, "rows": advised})
        return
    if summary:
        console.lines(summary_line(summary))
    filtered = any(value is not None for value in (run_id, kind, cause, change))
    print_table(differences(rows, "differences, newest first"), _no_difference(filtered=filtered))
    console.lines(*advice_lines(rows))


def gaps(
    connection: Connection,
    first: Annotated[date, typer.Option("--from", parser=day, metavar="DAY", help="first business day")],
    last: Last = None,
    as_json: AsJson = False,
) -> None:
    """Count orders per day there and here; exit code 1 when some are missing here."""
    deps = open_deps()
    until = last or deps.now().date()
    if first > until:
        raise typer.BadParameter("--from must not be after --to")
    days = find_missing_orders(deps, connection, first, until)
    lacking = [one for one in days if one.missing]
    if as_json:
        print_json(days)
    else:
        _tell_gaps(connection, days, lacking)
    raise typer.Exit(FAILED if lacking else WELL)


def _no_difference(*, filtered: bool) -> str:
    if filtered:
        return "No such difference was found; without --run, --kind, --cause and --change all are shown."
    return "No run found a difference. Runs compare at night; `tallyhook reconcile <connection>` does it now."


def _tell_gaps(connection: str, days: Sequence[Day], lacking: Sequence[Day]) -> None:
    table = Table("day", "there", "here", "missing", "which")
    for one in lacking:
        which = ", ".join(one.missing[:5]) + (", ..." if len(one.missing) > 5 else "")
        add_row(table, one.day, f"{one.there:,}", f"{one.here:,}", f"{len(one.missing):,}", which)
    if not lacking:
        console.print(f"No order is missing: {sum(one.there for one in days):,} on {len(days)} days.")
        return
    print_table(table, "")
    console.print(
        f"tallyhook backfill orders {connection} --from {lacking[0].day} --to {lacking[-1].day}", soft_wrap=True
    )
