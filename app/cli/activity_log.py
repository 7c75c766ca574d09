"""Prints what happens, one line per event."""

from collections.abc import Iterator
from datetime import datetime

from rich.markup import escape

from app.domain import Verdict
from app.flows.reports.activity import Activity, Delivered, Died, Drifted, Held, Settled

COLOURS = {"applied": "green", "gone": "magenta", "dead": "red"}


def lines_of(happened: Iterator[Activity]) -> Iterator[str]:
    """A line with rich markup for each event."""
    for one in happened:
        yield f"{_clock(one.at)} [blue]{one.connection or '-':<8}[/] {_words(one)}"


def _words(one: Activity) -> str:
    match one:
        case Delivered():
            note = "" if one.verdict == Verdict.ACCEPTED else f" [dim]({one.verdict})[/]"
            return f"heard    {escape(one.type)}{note}"
        case Settled():
            changes = f", {one.changes} changes in one" if one.changes > 1 else ""
            outcome = f"[{COLOURS.get(one.outcome, 'white')}]{one.outcome:<8}[/]"
            return f"{outcome} {escape(one.item)} [dim]{one.seconds * 1000:.0f} ms{changes}[/]"
        case Drifted():
            return f"[yellow]drift[/]    {one.kind} {escape(one.item)} {one.change}, cause: {one.cause}"
        case Died():
            error = escape(one.error[:100])
            return f"[red]dead[/]     letter {one.letter_id}: {error} (tallyhook dead show {one.letter_id})"
        case Held():
            return f"[red]held[/]     {one.kind}: {escape(one.reason)} (tallyhook holds list)"


def _clock(moment: datetime) -> str:
    return f"[dim]{moment.astimezone():%H:%M:%S}[/]"
