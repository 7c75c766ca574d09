"""``tallyhook connections``: the state of each connection, and what a person can do about it."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from app.cli.codes import FAILED, WELL
from app.cli.console import AsJson, Connection, console, done, moment, open_deps
from app.cli.tables import add_row, print_rows
from app.flows.connections import connections
from app.flows.connections.connections import ConnectionView

app = typer.Typer(help="The state of each connection; pause, resume and check it.", no_args_is_help=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every connection: its state, since when and why, how much it owes, and which kinds may not be read."""
    views = connections.list_connections(open_deps())
    table = Table("connection", "state", "since (UTC)", "owed")
    for view in views:
        add_row(table, view.connection, view.state, moment(view.since), f"{view.owed:,}")
    print_rows(table, views, "No connection is configured.", as_json=as_json)
    for view in () if as_json else views:
        console.lines(*_lines(view))


@app.command()
def pause(
    connection: Connection,
    reason: Annotated[str | None, typer.Option(help="why, for colleagues and the audit log")] = None,
    as_json: AsJson = False,
) -> None:
    """Stop calling the vendor until `resume`; webhooks are still accepted, and nothing owed is lost."""
    view = connections.pause(open_deps(), connection, reason)
    done(f"{connection} is paused; `tallyhook connections resume {connection}` ends it.", view, as_json=as_json)


@app.command()
def resume(connection: Connection, as_json: AsJson = False) -> None:
    """End a pause; the workers fetch what is owed at once."""
    done(f"{connection} is no longer paused.", connections.resume(open_deps(), connection), as_json=as_json)


@app.command()
def check(connection: Connection, as_json: AsJson = False) -> None:
    """Call the vendor now and report its answer; exit code 1 when it does not answer us."""
    checked = connections.check(open_deps(), connection)
    done([f"{connection}: {checked.said}", *_lines(checked.now)], checked, as_json=as_json)
    raise typer.Exit(WELL if checked.answers else FAILED)


def _lines(view: ConnectionView) -> Iterator[str]:
    if view.reason is not None:
        whose = f" (by {view.paused_by})" if view.paused_by is not None else ""
        again = f"; called again at {moment(view.next_probe_at)}" if view.next_probe_at is not None else ""
        yield f"{view.connection} {view.state}{whose}: {view.reason}{again}"
    for kind in view.forbidden:
        again = f"; tried again at {moment(kind.next_try_at)}"
        yield f"{view.connection} {kind.state} {kind.kind}, since {moment(kind.since)}: {kind.reason}{again}"
