"""Tables on a terminal of any width: if a table does not fit, each row becomes lines that can be copied whole."""

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from app.cli.console import console, moment, print_json


def add_row(table: Table, *cells: object) -> None:
    """Add a row: texts as they are, moments to the second, "-" for what is not known."""
    table.add_row(*map(_shown, cells))


def _shown(value: object) -> str:
    if value is None or isinstance(value, datetime):
        return moment(value)
    return value.markup if isinstance(value, Text) else escape(str(value))


def print_rows(table: Table, facts: Any, empty: str, *, as_json: bool, more: str | None = None) -> None:
    """Print the ``facts`` as one JSON document for programs, or the table for people."""
    if as_json:
        print_json(facts)
    else:
        print_table(table, empty, more=more)


def print_table(table: Table, empty: str, *, more: str | None = None) -> None:
    """Print a table, in a pager if it is longer than the screen, or the text ``empty`` if it has no rows.

    ``more`` says how to see the rows after it."""
    if table.row_count == 0:
        console.lines(empty)
    elif not _fits(table):
        for line in _lines(table):
            console.print(line, soft_wrap=True)
    elif console.is_terminal and table.row_count > console.height:
        with console.pager():
            console.print(table)
    else:
        console.print(table)
    if more is not None:
        console.lines(more)


def _fits(table: Table) -> bool:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum <= console.width


def _lines(table: Table) -> list[Text]:
    """The first cell; below it every other cell that is not empty, beside its heading."""
    headings = [Text.from_markup(str(column.header)) for column in table.columns]
    widest = max(len(heading) for heading in headings)
    lines = [Text.from_markup(str(table.title), style="bold")] if table.title else []
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = (Text.from_markup(str(cell)) for cell in row)
        lines.append(Text.assemble((f"{headings[0].plain} {first.plain}", "bold")))
        for heading, cell in zip(headings[1:], others, strict=True):
            if cell.plain not in ("", "-"):
                lines += _labelled(f"  {heading.plain:<{widest}}  ", cell)
    return lines


def _labelled(label: str, cell: Text) -> list[Text]:
    """A cell of several lines, each on a line of its own below the heading."""
    labels = (label, *[" " * len(label)] * cell.plain.count("\n"))
    return [Text.assemble((begin, "dim"), line) for begin, line in zip(labels, cell.split(), strict=True)]
