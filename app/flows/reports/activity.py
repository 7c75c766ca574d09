"""What happens now, for somebody who watches: read from what all processes wrote."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from app.domain import ALL_ITEMS, Kind
from app.stores.reports import activity
from app.stores.sql.engine import Database


class Delivered(NamedTuple):
    """A delivery was received."""

    at: datetime
    connection: str
    type: str
    verdict: str


class Settled(NamedTuple):
    """An owed item was settled; ``item`` describes it, ``seconds`` is the time since it became owed."""

    at: datetime
    connection: str
    item: str
    outcome: str
    changes: int
    seconds: float


class Drifted(NamedTuple):
    """A run found a difference."""

    at: datetime
    connection: str
    kind: str
    item: str
    change: str
    cause: str


class Died(NamedTuple):
    """A message became a dead letter."""

    at: datetime
    connection: str | None
    letter_id: int
    error: str


class Held(NamedTuple):
    """A batch waits for a person."""

    at: datetime
    connection: str
    kind: str
    reason: str


Activity = Delivered | Settled | Drifted | Died | Held


class ActivityReader:
    """Remembers what it has read; begins with what happens after its creation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as conn:
            self._since = {table: activity.newest(conn, table) for table in activity.TABLES}

    def read(self) -> Iterator[Activity]:
        """What happened since the last call, except items that were fetched and had not changed."""
        with self._database.read() as conn:
            for table in activity.TABLES:
                for row in activity.since(conn, table, self._since[table]):
                    self._since[table] = row.id
                    if table != "settlements" or row.outcome != "unchanged":
                        yield _activity(conn, table, row)


def _activity(conn: Connection, table: str, row: Row[Any]) -> Activity:
    match table:
        case "inbox_events":
            return Delivered(row.received_at, row.connection, row.type, row.verdict)
        case "settlements":
            seconds = (row.settled_at - row.first_seen_at).total_seconds()
            item = _described(conn, row)
            return Settled(row.settled_at, row.connection, item, row.outcome, row.changes, seconds)
        case "drift":
            return Drifted(row.found_at, row.connection, row.kind, row.item, row.change, row.cause)
        case "dead_letters":
            return Died(row.died_at, row.connection, row.id, row.error)
        case _:
            return Held(row.held_at, row.connection, row.kind, row.reason)


def _described(conn: Connection, row: Row[Any]) -> str:
    if row.external_id == ALL_ITEMS:
        return f"everything new of kind {row.kind} ({row.cause})"
    if row.kind in (Kind.PRODUCT, Kind.STOCK):
        return activity.describe_item(conn, row.connection, row.external_id)
    return f"{row.kind} {row.external_id}"
