"""Prints what happens, one line per event, by reading what the other processes wrote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.markup import escape
from sqlalchemy import Connection

from app.domain import WHOLE, Kind, Verdict
from app.stores.reports import activity
from app.stores.sql.columns import moment_from
from app.stores.sql.engine import Database

COLOURS = {"applied": "green", "gone": "magenta", "dead": "red", "unchanged": "dim"}


class Narrator:
    """Keeps track of what it has printed; begins with what happens after its creation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as conn:
            self._since = {table: activity.newest(conn, table) for table in activity.TABLES}

    def news(self) -> Iterator[str]:
        """What happened since the last call, as lines with rich markup."""
        with self._database.read() as conn:
            for table in activity.TABLES:
                for row in activity.since(conn, table, self._since[table]):
                    self._since[table] = row["id"]
                    yield from getattr(self, f"_{table}")(conn, row)

    def _inbox_events(self, conn: Connection, event: dict[str, Any]) -> Iterator[str]:
        note = "" if event["verdict"] == Verdict.ACCEPTED else f" [dim]({event['verdict']})[/]"
        at, connection = _clock(event["received_at"]), event["connection"]
        yield f"{at} [blue]{connection:<8}[/] heard    {escape(event['type'])}{note}"

    def _settlements(self, conn: Connection, done: dict[str, Any]) -> Iterator[str]:
        if done["outcome"] == "unchanged":
            return
        first, last = moment_from(done["first_seen_at"]), moment_from(done["settled_at"])
        took = (last - first).total_seconds() * 1000 if first and last else 0.0
        what = self._what(conn, done)
        changes = f", {done['changes']} changes in one" if done["changes"] > 1 else ""
        yield (
            f"{_clock(done['settled_at'])} [blue]{done['connection']:<8}[/] "
            f"[{COLOURS.get(done['outcome'], 'white')}]{done['outcome']:<8}[/] {what} [dim]{took:.0f} ms{changes}[/]"
        )

    def _what(self, conn: Connection, done: dict[str, Any]) -> str:
        if done["external_id"] == WHOLE:
            return f"everything new of kind {done['kind']} ({done['cause']})"
        if done["kind"] in (Kind.PRODUCT, Kind.STOCK):
            return escape(activity.describe_item(conn, done["connection"], done["external_id"]))
        return escape(f"{done['kind']} {done['external_id']}")

    def _drift(self, conn: Connection, row: dict[str, Any]) -> Iterator[str]:
        yield (
            f"{_clock(row['found_at'])} [blue]{row['connection']:<8}[/] [yellow]drift[/]    "
            f"{row['kind']} {escape(row['item'])} {row['change']}, cause: {row['cause']}"
        )

    def _dead_letters(self, conn: Connection, letter: dict[str, Any]) -> Iterator[str]:
        yield (
            f"{_clock(letter['died_at'])} [blue]{letter['connection'] or '-':<8}[/] [red]dead[/]     "
            f"letter {letter['id']}: {escape(letter['error'][:100])} (tallyhook dead show {letter['id']})"
        )

    def _holds(self, conn: Connection, hold: dict[str, Any]) -> Iterator[str]:
        yield (
            f"{_clock(hold['held_at'])} [blue]{hold['connection']:<8}[/] [red]held[/]     "
            f"{hold['kind']}: {escape(hold['reason'])} (tallyhook holds list)"
        )


def _clock(stored: Any) -> str:
    moment: datetime | None = moment_from(stored)
    return "" if moment is None else f"[dim]{moment.astimezone():%H:%M:%S}[/]"
