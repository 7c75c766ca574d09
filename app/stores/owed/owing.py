"""Owes items: those that changed, and those that a person wants tried again now."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import Cause, Change, ItemKey, Kind
from app.stores.owed.claiming import BY_KEY
from app.stores.sql.columns import moment_text
from app.stores.sql.statements import Statement, is_sqlite, json_text, key_arrays, key_of, storable

SKEW = timedelta(seconds=5)
"""How far the clocks of two machines may differ: an item that is due at once is due by the slower clock, too."""


class PendingChanges(NamedTuple):
    """Changes of one item that are not owed yet: how many, the newest version hint, and when the first was seen."""

    changes: int
    version: int
    seen_at: datetime


def owe(conn: Connection, connection: str, changes: Sequence[Change], cause: Cause, now: datetime) -> list[ItemKey]:
    """Owe the items of ``changes``; returns those that were not owed before and need a message.

    An item that is owed already keeps its cause, its age and the time of its next try; its ``rev`` rises.
    """
    pending: dict[ItemKey, PendingChanges] = {}
    for change in changes:
        count_change(pending, connection, change, now)
    return owe_pending(conn, pending, cause)


def count_change(pending: dict[ItemKey, PendingChanges], connection: str, change: Change, seen_at: datetime) -> None:
    """Count one more change of an item in ``pending``."""
    key = ItemKey(connection, change.kind, storable(change.external_id))
    before = pending.get(key)
    if before is None:
        pending[key] = PendingChanges(1, change.version, seen_at)
    else:
        newest = max(before.version, change.version)
        pending[key] = PendingChanges(before.changes + 1, newest, min(before.seen_at, seen_at))


_COLUMNS = "(connection, kind, external_id, rev, version, cause, first_seen_at, next_at, attempts, kills, asks)"
_CONFLICT = """
    ON CONFLICT (connection, kind, external_id) DO UPDATE
    SET rev = owed_items.rev + excluded.rev,
        version = CASE WHEN excluded.version > owed_items.version THEN excluded.version ELSE owed_items.version END,
        asks = CASE WHEN excluded.version > owed_items.version THEN 0 ELSE owed_items.asks END
"""
_UPSERT_SQLITE = Statement(
    f"""
    INSERT INTO owed_items {_COLUMNS}
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, :cause, value ->> 5, value ->> 6, 0, 0, 0
    FROM json_each(:wanted) WHERE true
    {_CONFLICT}
    """
)
# A row that was there had a rev of at least one, so only a new row can have just what we gave it. The answer is one
# row: SQLite's driver hands Python's lock to and fro for each.
_NEW_SQLITE = Statement(
    """
    SELECT json_group_array(w.key) FROM json_each(:wanted) w CROSS JOIN owed_items o
    WHERE o.connection = w.value ->> 0 AND o.kind = w.value ->> 1 AND o.external_id = w.value ->> 2
          AND o.rev = w.value ->> 3
    """
)
# ``wanted`` has the first six columns. Sorted as Python would, so that everyone locks in the same order.
OWE_PENDING = f"""
    INSERT INTO owed_items {_COLUMNS}
    SELECT connection, kind, external_id, rev, version, :cause, seen_at, seen_at - :skew::interval, 0, 0, 0 FROM wanted
    ORDER BY connection COLLATE "C", kind COLLATE "C", external_id COLLATE "C"
    {_CONFLICT}
    RETURNING connection, kind, external_id, xmax = 0 AS is_new
"""
_UPSERT_POSTGRESQL = Statement(
    "",
    postgresql=f"""
    WITH wanted AS (
        SELECT * FROM unnest(:connections::text[], :kinds::text[], :ids::text[], :changes::bigint[],
                             :versions::bigint[], :seen::timestamptz[])
                      AS w(connection, kind, external_id, rev, version, seen_at)
    ), rose AS ({OWE_PENDING})
    SELECT connection, kind, external_id FROM rose WHERE is_new
    """,
)


def owe_pending(conn: Connection, pending: dict[ItemKey, PendingChanges], cause: Cause) -> list[ItemKey]:
    """Owe all counted changes in one statement; returns the items that were not owed before."""
    if not pending:
        return []
    rows = sorted(pending.items())
    return _owe_sqlite(conn, rows, cause) if is_sqlite(conn) else _owe_postgresql(conn, rows, cause)


def _owe_sqlite(conn: Connection, rows: list[tuple[ItemKey, PendingChanges]], cause: Cause) -> list[ItemKey]:
    lines = [(*k, w.changes, w.version, moment_text(w.seen_at), moment_text(w.seen_at - SKEW)) for k, w in rows]
    wanted = json_text(lines)
    _UPSERT_SQLITE.run(conn, {"wanted": wanted, "cause": cause.value})
    ((new,),) = _NEW_SQLITE.run(conn, {"wanted": wanted})
    return [rows[place][0] for place in sorted(msgspec.json.decode(new))]


def _owe_postgresql(conn: Connection, rows: list[tuple[ItemKey, PendingChanges]], cause: Cause) -> list[ItemKey]:
    values = {
        **key_arrays([key for key, _ in rows]),
        "changes": [changes.changes for _, changes in rows],
        "versions": [changes.version for _, changes in rows],
        "seen": [changes.seen_at for _, changes in rows],
        "cause": cause.value,
        "skew": SKEW,
    }
    return [ItemKey(connection, Kind(kind), id) for connection, kind, id in _UPSERT_POSTGRESQL.run(conn, values)]


_REVIVE_SET = "next_at = :due, hinted_at = NULL, cause = :cause, attempts = 0, kills = 0, asks = 0"
_REVIVE = Statement(f"UPDATE owed_items SET {_REVIVE_SET} WHERE {BY_KEY}")


def revive(conn: Connection, key: ItemKey, cause: Cause, now: datetime) -> None:
    """Owe an item because somebody wants it tried now: due, with that cause, its failures forgotten."""
    owe(conn, key.connection, [Change(key.kind, key.external_id)], cause, now)
    _REVIVE.run(conn, {**key_of(key), "due": now - SKEW, "cause": cause.value})


_REVIVE_ALL = Statement(
    f"""
    UPDATE owed_items SET {_REVIVE_SET}
    WHERE (connection, kind, external_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:keys))
    """,
    postgresql=f"""
    UPDATE owed_items SET {_REVIVE_SET}
    FROM unnest(:connections::text[], :kinds::text[], :ids::text[]) AS k(c, k, i)
    WHERE connection = k.c AND kind = k.k AND external_id = k.i
    """,
)


def revive_all(conn: Connection, keys: Sequence[ItemKey], cause: Cause, now: datetime) -> None:
    """``revive`` for many items, of any connections, in two statements."""
    owe_pending(conn, {key: PendingChanges(1, 0, now) for key in keys}, cause)
    bound = {"keys": json_text(keys)} if is_sqlite(conn) else key_arrays(keys)
    _REVIVE_ALL.run(conn, {**bound, "due": now - SKEW, "cause": cause.value})
