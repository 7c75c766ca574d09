"""``tallyhook dead``: find, understand and replay dead letters."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from app import config, wiring
from app.cli.console import console
from app.errors import Refused
from app.flows.replay import replay
from app.stores import dead_letters

app = typer.Typer(help="Dead letters: messages that will not be retried by themselves.", no_args_is_help=True)


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="dead, replayed or discarded")] = "dead",
    limit: Annotated[int, typer.Option(help="at most so many, newest first")] = 50,
) -> None:
    """Dead letters, newest first."""
    deps = wiring.build(config.load(), "cli")
    with deps.database.read() as conn:
        found = dead_letters.list_(conn, state=state, limit=limit, before_id=None)
        total = dead_letters.count(conn, state=state)
    table = Table("id", "died", "item", "tries", "error", title=f"{total} {state}")
    for letter in found:
        error = f"{letter['error_type']}: {letter['error']}"[:100]
        table.add_row(str(letter["id"]), f"{letter['died_at']:%F %T}", _item(letter), str(letter["tries"]), error)
    console.print(table if found else f"No {state} letters.")


@app.command()
def show(letter_id: Annotated[int, typer.Argument(help="number of the letter")]) -> None:
    """One letter with every attempt's error and traceback."""
    deps = wiring.build(config.load(), "cli")
    with deps.database.read() as conn:
        letter = dead_letters.get(conn, letter_id)
    if letter is None:
        raise Refused(f"there is no dead letter {letter_id}")
    console.print(
        f"[bold]letter {letter_id}[/] {letter['state']}: {letter['actor']} {letter['args']}", highlight=False
    )
    console.print(
        f"item {_item(letter)}, first failed {letter['first_failed_at']:%F %T} UTC, died {letter['died_at']:%F %T}"
    )
    for attempt in letter["attempts"]:
        console.rule(f"attempt {attempt['number']} at {attempt['at']} by {attempt['worker']}", align="left")
        console.print(f"{attempt['error_type']}: {attempt['error']}", markup=False)
        console.print(attempt["traceback"], markup=False, style="dim")


@app.command("replay")
def replay_(letter_id: Annotated[int, typer.Argument(help="number of the letter")]) -> None:
    """Try a dead letter's item again."""
    console.print(replay(wiring.build(config.load(), "cli"), letter_id))


def _item(letter: dict[str, Any]) -> str:
    if letter["connection"] is None:
        return "-"
    return f"{letter['connection']}/{letter['kind']}/{letter['external_id']}"
