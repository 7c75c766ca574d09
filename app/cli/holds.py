"""``tallyhook holds``: implausible batches that wait for a person."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import LARGEST_ID, AsJson, console, done, moment, named, open_deps, print_json
from app.cli.tables import add_row, print_rows, print_table
from app.flows.holds import holds

app = typer.Typer(help="Held batches: reads so implausible that a person must decide.", no_args_is_help=True)

HoldId = Annotated[int, typer.Argument(help="number of the hold", min=1, max=LARGEST_ID)]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Batches that wait."""
    waiting = holds.list_(open_deps())
    table = Table("id", "held", "connection", "kind", "rows", "reason", "what was read")
    for hold in waiting:
        batch = (hold.connection, hold.kind, hold.rows, hold.reason, _figures_text(hold.summary.items()))
        add_row(table, hold.id, hold.held_at, *batch)
    more = "Its rows, and how to decide: tallyhook holds show <id>" if waiting else None
    print_rows(table, waiting, "Nothing is held.", as_json=as_json, more=more)


@app.command()
def show(hold_id: HoldId, as_json: AsJson = False) -> None:
    """The rules that held it, their figures, and some of the held rows, before and after."""
    hold = holds.show(open_deps(), hold_id)
    if as_json:
        print_json(hold)
        return
    by = f" by run {hold.run_id}" if hold.run_id else ""
    headline = f"Hold {hold_id}: {hold.connection} {hold.kind}, {hold.rows} rows, {hold.state}; found"
    console.print(f"{headline} {moment(hold.held_at)} UTC{by}", soft_wrap=True)
    for finding in hold.findings:
        figures = f"({_figures_text(finding.figures.items())})" if finding.figures else ""
        console.lines(f"  {finding.rule}: {finding.reason} {figures}")
    table = Table("row", "field", "before", "after")
    for row in hold.sample:
        if row.ends or row.new:
            add_row(table, row.key, "", *(("there", "gone") if row.ends else ("", "new")))
        for name, (before, after) in row.fields.items():
            add_row(table, row.key, name, before, after)
    print_table(table, "")
    console.print(f"{len(hold.sample)} of {hold.rows} rows are shown.")
    if hold.state == "held":
        console.print(
            f"Write them: tallyhook holds release {hold_id}. Keep ours: tallyhook holds dismiss {hold_id}.",
            soft_wrap=True,
        )


@app.command()
def release(hold_id: HoldId, as_json: AsJson = False) -> None:
    """Approve it: write exactly these rows, except those for which something newer was written since."""
    hold = holds.release(open_deps(), hold_id)
    done(f"Hold {hold_id} is released: its rows are written.", hold, as_json=as_json)


@app.command()
def meant(
    hold_id: HoldId,
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="believe similar batches until this day (UTC)")
    ],
    as_json: AsJson = False,
) -> None:
    """This was intended: release it, and until a given day do not hold this kind by the same rules."""
    hold = holds.release(open_deps(), hold_id, believed_until=until.replace(tzinfo=UTC))
    done(f"Hold {hold_id} is released; similar batches are believed until {until:%Y-%m-%d}.", hold, as_json=as_json)


@app.command()
def dismiss(hold_id: HoldId, as_json: AsJson = False) -> None:
    """Reject it: keep our rows; a later implausible read is held again."""
    hold = holds.dismiss(open_deps(), hold_id)
    done(f"Hold {hold_id} is dismissed.", hold, as_json=as_json)


def _figures_text(figures: Iterable[tuple[str, object]]) -> str:
    return named((name.replace("_", " "), figure) for name, figure in figures)
