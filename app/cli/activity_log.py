"""Prints what happens, one line per event."""

from collections.abc import Iterator

from rich.markup import escape

from app.flows.reports.activity import Happened

COLOURS = {"heard": "default", "applied": "green", "gone": "magenta", "drift": "yellow", "dead": "red", "held": "red"}


def lines_of(happened: Iterator[Happened]) -> Iterator[str]:
    """A line with rich markup for each event."""
    for one in happened:
        what = f"[{COLOURS.get(one.what, 'white')}]{one.what:<8}[/]"
        note = f" [dim]{escape(one.note)}[/]" if one.note else ""
        yield f"[dim]{one.at.astimezone():%H:%M:%S}[/] [blue]{one.connection or '-':<8}[/] {what} {escape(one.text)}{note}"
