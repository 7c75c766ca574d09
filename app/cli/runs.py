"""``tallyhook runs``, ``history`` and ``failed``: what bulk runs did, and what to do about one."""

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import (
    LARGEST_ID,
    AsJson,
    Before,
    Connection,
    Limit,
    RunId,
    open_deps,
    page_of,
)
from app.cli.follow import Direct, NoWait, follow_run, open_for
from app.cli.outcome import print_run, run_table
from app.cli.tables import add_row, print_rows
from app.domain import Options, Status, Strategy, status_of
from app.errors import Conflict
from app.flows.runs.history import (
    FailedItemsWanted,
    RunsWanted,
    count_failed_items,
    list_failed_items,
    list_runs,
    show_run,
)
from app.flows.runs.request_run import cancel_run, request_run, resume_run

app = typer.Typer(help="Bulk runs: look at one, cancel it, resume it.", no_args_is_help=True)

NO_RUN = "No such run: there was none yet, or none matches."


def status(text: str) -> Status:
    """A run's status, also in an older spelling."""
    try:
        return status_of(text)
    except ValueError:
        raise typer.BadParameter(f"no status {text!r}; use one of: {', '.join(Status)}") from None


@app.command()
def show(
    run_id: RunId,
    watch: Annotated[bool, typer.Option("--watch", help="show its progress until it is over")] = False,
    as_json: AsJson = False,
) -> None:
    """One run: its progress or how it ended, and why it did what it did."""
    deps = open_deps()
    view = show_run(deps, run_id)
    if watch:
        follow_run(deps, run_id, direct=False, no_wait=False, as_json=as_json)
    print_run(deps, view, as_json=as_json)


@app.command()
def cancel(run_id: RunId, as_json: AsJson = False) -> None:
    """Stop a run within a page; its writes stay, and it can be resumed."""
    deps = open_deps()
    before = show_run(deps, run_id)
    if not cancel_run(deps, before.connection, run_id):
        raise Conflict(f"run {run_id} is over already: it is {show_run(deps, run_id).status}")
    print_run(deps, show_run(deps, run_id), as_json=as_json)


@app.command()
def resume(run_id: RunId, direct: Direct = False, no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Resume a failed or cancelled run where it stopped."""
    deps = open_for(direct=direct, no_wait=no_wait)
    resume_run(deps, show_run(deps, run_id).connection, run_id)
    follow_run(deps, run_id, direct=direct, no_wait=no_wait, as_json=as_json)


def history(
    connection: Connection,
    status: Annotated[
        Status | None, typer.Option(parser=status, metavar="STATUS", help=f"one of {', '.join(Status)}")
    ] = None,
    strategy: Annotated[Strategy | None, typer.Option(help="runs of this strategy only")] = None,
    limit: Limit = 20,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """A connection's runs, newest first."""
    wanted = RunsWanted(status=status, strategy=strategy, limit=limit, before_id=before)
    views = list_runs(open_deps(), connection, wanted)
    print_rows(run_table(views), page_of(views, limit), NO_RUN, as_json=as_json)


def failed(
    connection: Connection,
    retry: Annotated[bool, typer.Option("--retry", help="read these items again, and only these")] = False,
    run_id: Annotated[int | None, typer.Option("--run", help="only those of this run", min=1, max=LARGEST_ID)] = None,
    category: Annotated[str | None, typer.Option(help="network, rate_limit, auth, validation, mapping, ...")] = None,
    limit: Limit = 50,
    before: Before = None,
    direct: Direct = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Items that runs could not sync and no later run could; with --retry they are read again."""
    deps = open_for(direct=direct, no_wait=no_wait)
    counts = count_failed_items(deps, connection)
    wanted = FailedItemsWanted(run_id=run_id, category=category, limit=limit, before_id=before)
    rows = list_failed_items(deps, connection, wanted)
    if retry and counts:
        run_id = request_run(deps, connection, Strategy.RETRY, Options(), cause="person")
        follow_run(deps, run_id, direct=direct, no_wait=no_wait, as_json=as_json)
    table = Table("id", "failed", "item", "category", "tries", "run", "error", title=_counted(counts))
    for row in rows:
        item, error = f"{row.kind} {row.external_id}", f"{row.error_type}: {row.error}"[:100]
        add_row(table, row.id, row.failed_at, item, row.category, row.attempts, row.run_id, error)
    empty = "No item fails: every record that runs read was written."
    print_rows(table, page_of(rows, limit, counts=counts), empty, as_json=as_json)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {category}" for category, count in sorted(counts.items()))
