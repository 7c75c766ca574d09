"""How an item stops being owed: settled up to the change a worker had seen, never past one that came later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.owed.claiming import Claim
from app.stores.owed.owing import SKEW
from app.stores.sql.statements import Statement, is_sqlite, key_of


def settle(conn: Connection, claims: Sequence[tuple[Claim, str]], now: datetime) -> list[ItemKey]:
    """Settle claims with their outcomes; returns the items that changed meanwhile: they need one more wake-up.

    Each gets a settlement, and its recorded attempts are forgotten. An item that changed meanwhile stays owed, due
    now, counting its age from the claim. A claim that somebody took over is ignored.
    """
    in_order = sorted(claims, key=lambda settled: settled[0].key)
    held = [{**_held(claim), "outcome": outcome, "now": now, "due": now - SKEW} for claim, outcome in in_order]
    if is_sqlite(conn):
        rows = [row for one in held for row in _settle_on_sqlite(conn, one)]
    else:
        rows = _SETTLE.run_each(conn, held)
    return [ItemKey(connection, Kind(kind), external_id) for connection, kind, external_id in rows]


def _held(claim: Claim) -> dict[str, Any]:
    return {**key_of(claim.key), "token": claim.token, "rev": claim.rev, "at": claim.claimed_at}


def _settle_on_sqlite(conn: Connection, held: dict[str, Any]) -> list[Any]:
    """The steps simply follow one another: the write lock is ours."""
    _TELL.run(conn, held)
    _FORGET.run(conn, held)
    return [] if _DELETE.count(conn, held) else _KEEP.run(conn, held)


def message_key(key: ItemKey) -> str:
    """What the failed attempts on an item are filed under; ``_MESSAGE`` is the same in SQL."""
    return f"{key.connection}/{key.kind}/{key.external_id}"


_TOLD = "settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)"
_KEY = "o.connection = :connection AND o.kind = :kind AND o.external_id = :external_id"
_HELD = f"{_KEY} AND o.token = :token"
_MESSAGE = "connection || '/' || kind || '/' || external_id"
_KEPT = """
    rev = o.rev - :rev, token = NULL, lease_until = NULL, attempts = 0, kills = 0, asks = 0,
    next_at = :due, first_seen_at ="""

_TELL = Statement(
    f"""
    INSERT INTO {_TOLD}
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
    told AS (
        INSERT INTO {_TOLD}
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
