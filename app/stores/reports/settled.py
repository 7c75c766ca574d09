"""Sums of settlements by ten minutes, so that a week of millions is read from a few thousand rows.

A slot is summed when no settlement of it can come any more; younger settlements are summed when somebody asks. So the
figures do not depend on whether slots are summed, only the time to find them does.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import ALL_ITEMS, ItemKey
from app.stores.sql.columns import moment_from, some_moment
from app.stores.sql.engine import Database
from app.stores.sql.statements import Statement, key_of

SLOT = timedelta(minutes=10)

LATE = timedelta(minutes=2)
"""How long after its ``settled_at`` a settlement becomes visible at the latest: commits take time, clocks differ."""

VISIBLE = ("applied", "unchanged", "gone")
"""The outcomes after which our rows are as the source has them."""

_CHUNK = timedelta(hours=6)
_NUMBERS = ("items", "looks", "changes", "in_five", "in_sixty", "waited_ms")


class Settled(NamedTuple):
    """The sums of a connection's settlements of one kind and outcome; see ``tables.SettledSlot``."""

    connection: str
    kind: str
    outcome: str
    items: int
    looks: int
    changes: int
    in_five: int
    in_sixty: int
    waited_ms: int


# Materialized: SQLite would compute ``ms`` again for each figure, which takes twice as long.
_SETTLED = f"""
    settled AS MATERIALIZED (
        SELECT {{slot}} AS slot, connection, kind, outcome, changes, external_id <> '{ALL_ITEMS}' AS item, {{ms}} AS ms
        FROM settlements WHERE settled_at >= :since AND settled_at < :until
    )
"""
_SUMS = """
    count(*) FILTER (WHERE item) AS items, count(*) FILTER (WHERE NOT item) AS looks,
    coalesce(sum(changes) FILTER (WHERE item), 0) AS changes, count(*) FILTER (WHERE item AND ms <= 5000) AS in_five,
    count(*) FILTER (WHERE item AND ms <= 60000) AS in_sixty, coalesce(sum(ms) FILTER (WHERE item), 0) AS waited_ms
"""
_ON_SQLITE = {
    "slot": "substr(settled_at, 1, 15) || '0:00.000000'",
    "ms": "CAST(round((julianday(settled_at) - julianday(first_seen_at)) * 86400000) AS INTEGER)",
}
_ON_POSTGRESQL = {
    "slot": "to_timestamp(floor(extract(epoch FROM settled_at) / 600) * 600)",
    "ms": "CAST(round(extract(epoch FROM settled_at - first_seen_at) * 1000) AS bigint)",
}


def _both(sql: str) -> Statement:
    """A statement in each database's dialect of times."""
    return Statement(sql.format(**_ON_SQLITE), postgresql=sql.format(**_ON_POSTGRESQL))


_SLOTS = _both(
    f"""
    WITH {_SETTLED} SELECT slot, connection, kind, outcome, {_SUMS} FROM settled GROUP BY slot, connection, kind, outcome
    """
)
_INSERT = Statement(
    """
    INSERT INTO settled_slots (slot, connection, kind, outcome, items, looks, changes, in_five, in_sixty, waited_ms)
    VALUES (:slot, :connection, :kind, :outcome, :items, :looks, :changes, :in_five, :in_sixty, :waited_ms)
    ON CONFLICT DO NOTHING
    """
)
_LAST = Statement("SELECT max(slot) FROM settled_slots")
_NEXT = Statement("SELECT min(settled_at) FROM settlements WHERE settled_at >= :since")
_TOTALS = _both(
    f"""
    WITH {_SETTLED}
    SELECT connection, kind, outcome, {", ".join(f"CAST(sum({name}) AS bigint)" for name in _NUMBERS)}
    FROM (
        SELECT connection, kind, outcome, {", ".join(_NUMBERS)} FROM settled_slots
        WHERE slot >= :start AND slot < :since
        UNION ALL SELECT connection, kind, outcome, {_SUMS} FROM settled GROUP BY connection, kind, outcome
    ) AS sums
    GROUP BY connection, kind, outcome ORDER BY connection, kind, outcome
    """
)


def sum_slots(database: Database, now: datetime) -> int:
    """Sum the next hours' complete slots; returns how many rows that made, 0 if all are summed.

    It sums a few hours at a time, in a short transaction, so that after an upgrade nobody waits while a year is summed.
    Any number of processes may do it at once: for a complete slot, all get the same sums.
    """
    closed = slot_of(now - LATE)
    with database.read() as conn:
        start = _start(conn, closed)
        rows = [] if start is None else _slots(conn, start, min(start + _CHUNK, closed))
    if rows:
        with database.begin() as conn:
            _INSERT.run_many(conn, rows)
    return len(rows)


def totals(conn: Connection, since: datetime, now: datetime) -> list[Settled]:
    """What was settled since the beginning of a moment's slot, by connection, kind and outcome."""
    start = slot_of(since)
    live = max(start, summed_until(conn))
    # Bounded by what was summed before: a slot that is summed meanwhile must not count twice.
    rows = _TOTALS.run(conn, {"start": start, "since": live, "until": now + LATE})
    return [Settled(*row) for row in rows]


_OF_ITEM = Statement(
    """
    SELECT cause, outcome, changes, attempts, first_seen_at, settled_at FROM settlements
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id
    ORDER BY settled_at DESC, id DESC LIMIT :limit
    """
)


class ItemSettlement(msgspec.Struct, frozen=True):
    """One outcome of an item's changes."""

    cause: str
    outcome: str
    changes: int
    attempts: int
    first_seen_at: datetime
    settled_at: datetime


def latest(conn: Connection, key: ItemKey, limit: int) -> list[ItemSettlement]:
    """The latest settlements of an item, newest first."""
    rows = _OF_ITEM.run(conn, {**key_of(key), "limit": limit})
    return [ItemSettlement(*row[:4], *map(some_moment, row[4:])) for row in rows]


def slot_of(moment: datetime) -> datetime:
    """The beginning of the slot of a moment."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def summed_until(conn: Connection) -> datetime:
    """Everything that was settled before this moment is summed."""
    last = moment_from(_LAST.run(conn, {})[0][0])
    return datetime(1970, 1, 1, tzinfo=UTC) if last is None else last + SLOT


def _start(conn: Connection, closed: datetime) -> datetime | None:
    """The first slot with settlements that is not summed yet, if it is complete."""
    first = moment_from(_NEXT.run(conn, {"since": summed_until(conn)})[0][0])
    return slot_of(first) if first is not None and first < closed else None


def _slots(conn: Connection, since: datetime, until: datetime) -> list[dict[str, Any]]:
    rows = _SLOTS.run(conn, {"since": since, "until": until})
    return [{"slot": moment_from(slot), **Settled(*sums)._asdict()} for slot, *sums in rows]
