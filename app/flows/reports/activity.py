"""What happens now, for somebody who watches: read from what all processes wrote."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from app.domain import ALL_ITEMS, Kind, Verdict
from app.stores.reports import activity
from app.stores.sql.engine import Database


class Happened(NamedTuple):
    """Something that happened. ``what`` is ``heard`` (a delivery), the outcome of an owed item, ``drift``, ``dead`` or
    ``held``; ``text`` says it for people, ``note`` adds details."""

    at: datetime
    connection: str | None
    what: str
    text: str
    note: str = ""


class ActivityReader:
    """Remembers what it has read; begins with what happens after its creation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as conn:
            self._since = {table: activity.newest(conn, table) for table in activity.TABLES}

    def read(self) -> Iterator[Happened]:
        """What happened since the last call, but for items that were looked at and unchanged."""
        with self._database.read() as conn:
            for table in activity.TABLES:
                for row in activity.since(conn, table, self._since[table]):
                    self._since[table] = row.id
                    if table != "settlements" or row.outcome != "unchanged":
                        yield _happened(conn, table, row)


def _happened(conn: Connection, table: str, row: Row[Any]) -> Happened:
    match table:
        case "inbox_events":
            note = "" if row.verdict == Verdict.ACCEPTED else f"({row.verdict})"
            return Happened(row.received_at, row.connection, "heard", row.type, note)
        case "settlements":
            ms = (row.settled_at - row.first_seen_at).total_seconds() * 1000
            note = f"{ms:.0f} ms" + (f", {row.changes} changes in one" if row.changes > 1 else "")
            return Happened(row.settled_at, row.connection, row.outcome, _described(conn, row), note)
        case "drift":
            text = f"{row.kind} {row.item} {row.change}, cause: {row.cause}"
            return Happened(row.found_at, row.connection, "drift", text)
        case "dead_letters":
            text = f"letter {row.id}: {row.error[:100]} (tallyhook dead show {row.id})"
            return Happened(row.died_at, row.connection, "dead", text)
        case _:
            text = f"{row.kind}: {row.reason} (tallyhook holds list)"
            return Happened(row.held_at, row.connection, "held", text)


def _described(conn: Connection, row: Row[Any]) -> str:
    if row.external_id == ALL_ITEMS:
        return f"everything new of kind {row.kind} ({row.cause})"
    if row.kind in (Kind.PRODUCT, Kind.STOCK):
        return activity.describe_item(conn, row.connection, row.external_id)
    return f"{row.kind} {row.external_id}"
