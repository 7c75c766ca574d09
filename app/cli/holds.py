"""``tallyhook holds``: implausible batches that wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import console, open_deps
from app.cli.tables import print_table
from app.errors import Refused
from app.flows import audit
from app.stores import holds

app = typer.Typer(help="Held batches: reads so implausible that a person must look.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Batches that wait."""
    deps = open_deps()
    with deps.database.read() as conn:
        found = holds.open_(conn)
    table = Table("id", "held", "connection", "kind", "reason", "what it would do")
    for hold in found:
        held_at = f"{hold['held_at']:%F %T}"
        table.add_row(
            str(hold["id"]), held_at, hold["connection"], hold["kind"], hold["reason"], _told(hold["summary"])
        )
    print_table(table, "Nothing is held.")


@app.command()
def release(hold_id: Annotated[int, typer.Argument(help="number of the hold")]) -> None:
    """Believe it: the next such read of that connection and kind is applied."""
    _close(hold_id, "released")


@app.command()
def dismiss(hold_id: Annotated[int, typer.Argument(help="number of the hold")]) -> None:
    """Do not believe it: keep our rows; a later implausible read is held again."""
    _close(hold_id, "dismissed")


def _told(summary: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in summary.items())


def _close(hold_id: int, state: str) -> None:
    deps = open_deps()
    with deps.database.begin() as conn:
        if not holds.close(conn, hold_id, state):
            raise Refused(f"there is no open hold {hold_id}")
        audit.note(deps, conn, f"holds.{state}", f"hold {hold_id}", before={"state": "held"}, after={"state": state})
    console.print(f"Hold {hold_id} is {state}.")
