"""Settles claimed items up to the change that the worker had seen, never past one that came later."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.owed.claiming import Claim
from app.stores.owed.owing import SKEW
from app.stores.sql.statements import Statement, is_sqlite, key_of


def settle(conn: Connection, claims: Sequence[tuple[Claim, str]], now: datetime) -> list[ItemKey]:
    """Settle claims with their outcomes; returns the items that changed meanwhile and need one more message.

    Each gets a settlement, and its recorded attempts are deleted. An item that changed meanwhile stays owed and due, its
    age counted from the claim. A claim that somebody took over is ignored.
    """
    parameters = [
        {
            **key_of(claim.key),
            "token": claim.token,
            "rev": claim.rev,
            "at": claim.claimed_at,
            "outcome": outcome,
            "now": now,
            "due": now - SKEW,
        }
        for claim, outcome in sorted(claims, key=lambda settled: settled[0].key)
    ]
    if is_sqlite(conn):
        rows = [row for one in parameters for row in _settle_on_sqlite(conn, one)]
    else:
        rows = _SETTLE.run_each(conn, parameters)
    return [ItemKey(connection, Kind(kind), external_id) for connection, kind, external_id in rows]


def _settle_on_sqlite(conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
    """The steps follow one another: the write lock is ours."""
    _RECORD.run(conn, parameters)
    _FORGET.run(conn, parameters)
    return [] if _DELETE.count(conn, parameters) else _KEEP.run(conn, parameters)


def message_key(key: ItemKey) -> str:
    """The key of the failed attempts on an item; ``_MESSAGE`` is the same in SQL."""
    return f"{key.connection}/{key.kind}/{key.external_id}"


_SETTLEMENTS = (
    "settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)"
)
_KEY = "o.connection = :connection AND o.kind = :kind AND o.external_id = :external_id"
_HELD = f"{_KEY} AND o.token = :token"
_MESSAGE = "connection || '/' || kind || '/' || external_id"
_KEPT = """
    rev = o.rev - :rev, token = NULL, lease_until = NULL, attempts = 0, kills = 0, asks = 0,
    next_at = :due, first_seen_at ="""

_RECORD = Statement(
    f"""
    INSERT INTO {_SETTLEMENTS}
    SELECT connection, kind, external_id, cause, :outcome, :rev, attempts, first_seen_at, :now
    FROM owed_items o WHERE {_HELD}
    """
)
_FORGET = Statement(
    f"""
    DELETE FROM attempts WHERE message_key = (SELECT {_MESSAGE} FROM owed_items o WHERE {_HELD} AND o.attempts > 0)
    """
)
_DELETE = Statement(f"DELETE FROM owed_items AS o WHERE {_HELD} AND o.rev = :rev")
_KEEP = Statement(
    f"""
    UPDATE owed_items AS o SET {_KEPT} coalesce(:at, first_seen_at)
    WHERE {_HELD} RETURNING connection, kind, external_id
    """
)
# One round trip. The row is locked first, so that its rev cannot move between being compared and being deleted.
_SETTLE = Statement(
    "",
    postgresql=f"""
    WITH held AS MATERIALIZED (SELECT * FROM owed_items o WHERE {_HELD} FOR UPDATE),
    recorded AS (
        INSERT INTO {_SETTLEMENTS}
        SELECT connection, kind, external_id, cause, :outcome, :rev, attempts, first_seen_at, :now FROM held
    ), forgotten AS (
        DELETE FROM attempts WHERE message_key = (SELECT {_MESSAGE} FROM held WHERE attempts > 0)
    ), done AS (
        DELETE FROM owed_items o USING held WHERE {_KEY} AND held.rev = :rev
    )
    UPDATE owed_items o SET {_KEPT} coalesce(:at::timestamptz, o.first_seen_at)
    FROM held WHERE {_KEY} AND held.rev <> :rev RETURNING o.connection, o.kind, o.external_id
    """,
)
