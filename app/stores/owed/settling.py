"""How an item stops being owed: settled up to the change a worker had seen, never past one that came later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.columns import moment_from, moment_text
from app.stores.owed.claiming import Claim
from app.stores.owed.remembering import SKEW
from app.stores.statements import Statement, is_sqlite, key_arrays


class Noted(NamedTuple):
    """An owed item as a pull found it. ``first_seen_at`` tells it from a later one of the same key and ``rev``."""

    key: ItemKey
    rev: int
    first_seen_at: datetime


_TOLD = "settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)"
_UNLEASED = "o.lease_until IS NULL AND o.rev = c.rev AND o.first_seen_at = c.first_seen_at"
_KEPT = """
    token = NULL, lease_until = NULL, attempts = 0, kills = 0, next_at = :due,
    first_seen_at = coalesce(:claimed_at, o.first_seen_at)
"""


def settle(conn: Connection, claims: Sequence[tuple[Claim, str]], now: datetime) -> list[ItemKey]:
    """Settle claims with their outcomes; returns the items that changed meanwhile: they need one more wake-up.

    Each gets a settlement, and its recorded attempts are forgotten. An item that changed meanwhile stays owed, due
    now, counting its age from the claim. A claim that somebody took over is ignored.
    """
    if not claims:
        return []
    began = min((claim.claimed_at for claim, _ in claims if claim.claimed_at), default=None)
    told = {"now": now, "due": now - SKEW, "claimed_at": began}
    if is_sqlite(conn):
        lines = [(*claim.key, claim.rev, outcome, claim.token) for claim, outcome in claims]
        rows = _on_sqlite(conn, _SETTLE_SQLITE, {**told, "settled": msgspec.json.encode(lines).decode()})
    else:
        arrays = {
            **key_arrays([claim.key for claim, _ in claims]),
            "revs": [claim.rev for claim, _ in claims],
            "outcomes": [outcome for _, outcome in claims],
            "tokens": [claim.token for claim, _ in claims],
        }
        rows = _SETTLE_POSTGRESQL.run(conn, {**told, **arrays})
    return [ItemKey(connection, Kind(kind), external_id) for connection, kind, external_id in rows]


_NOTED = Statement(
    """
    SELECT connection, kind, external_id, rev, first_seen_at FROM owed_items
    WHERE connection = :connection AND kind = :kind ORDER BY external_id
    """
)


def noted(conn: Connection, connection: str, kind: Kind) -> list[Noted]:
    """What is owed of a kind, to be noted before a pull that will cover it."""
    rows = _NOTED.run(conn, {"connection": connection, "kind": kind.value})
    found = ((ItemKey(c, Kind(k), e), rev, moment_from(seen)) for c, k, e, rev, seen in rows)
    return [Noted(key, rev, seen) for key, rev, seen in found if seen is not None]


def settle_noted(conn: Connection, noted: Sequence[Noted], outcome: str, now: datetime) -> int:
    """Settle what a pull covered, unless it changed since or a worker has it; returns how many were settled."""
    if not noted:
        return 0
    told = {"now": now, "outcome": outcome}
    if is_sqlite(conn):
        lines = [(*item.key, item.rev, outcome, moment_text(item.first_seen_at)) for item in noted]
        return len(_on_sqlite(conn, _COVER_SQLITE, {**told, "settled": msgspec.json.encode(lines).decode()}))
    arrays = {
        **key_arrays([item.key for item in noted]),
        "revs": [item.rev for item in noted],
        "seen": [item.first_seen_at for item in noted],
    }
    return len(_COVER_POSTGRESQL.run(conn, {**told, **arrays}))


def _on_sqlite(conn: Connection, statements: Sequence[Statement], parameters: dict[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for statement in statements:
        rows = statement.run(conn, parameters)
    return rows


# --- SQLite: the write lock is ours, so the steps simply follow one another ---


def _asked(sixth: str) -> str:
    """The items asked for, as a relation ``c`` joined with their rows ``o``; CROSS fixes the order of the join."""
    columns = ("connection", "kind", "external_id", "rev", "outcome", sixth)
    fields = ", ".join(f"value ->> {position} AS {name}" for position, name in enumerate(columns))
    same = " AND ".join(f"o.{name} = c.{name}" for name in columns[:3])
    return f"(SELECT {fields} FROM json_each(:settled)) c CROSS JOIN owed_items o WHERE {same}"


_HELD = f"{_asked('token')} AND o.token = c.token"
_COVERED = f"{_asked('first_seen_at')} AND {_UNLEASED}"


def _tell(which: str) -> Statement:
    return Statement(
        f"""
        INSERT INTO {_TOLD} SELECT o.connection, o.kind, o.external_id, o.cause, c.outcome, c.rev, o.attempts,
                                   o.first_seen_at, :now FROM {which}
        """
    )


def _forget(which: str) -> Statement:
    keys = f"SELECT o.connection || '/' || o.kind || '/' || o.external_id FROM {which} AND o.attempts > 0"
    return Statement(f"DELETE FROM attempts WHERE message_key IN ({keys})")


_SETTLE_SQLITE = (
    _tell(_HELD),
    _forget(_HELD),
    Statement(f"DELETE FROM owed_items WHERE rowid IN (SELECT o.rowid FROM {_HELD} AND o.rev = c.rev)"),
    Statement(
        f"""
        UPDATE owed_items AS o SET {_KEPT} WHERE rowid IN (SELECT o.rowid FROM {_HELD})
        RETURNING connection, kind, external_id
        """
    ),
)
_COVER_SQLITE = (
    _tell(_COVERED),
    _forget(_COVERED),
    Statement(f"DELETE FROM owed_items WHERE rowid IN (SELECT o.rowid FROM {_COVERED}) RETURNING external_id"),
)

# --- PostgreSQL: one statement, which first locks the rows in order of their keys ---

_ORDER = 'o.connection COLLATE "C", o.kind COLLATE "C", o.external_id COLLATE "C"'
_SAME = "o.connection = held.connection AND o.kind = held.kind AND o.external_id = held.external_id"
_TELL_AND_FORGET = f"""
    told AS (
        INSERT INTO {_TOLD}
        SELECT connection, kind, external_id, cause, outcome, seen, attempts, first_seen_at, :now FROM held
    ), forgotten AS (
        DELETE FROM attempts WHERE message_key IN (
            SELECT connection || '/' || kind || '/' || external_id FROM held WHERE attempts > 0)
    )
"""
_SETTLE_POSTGRESQL = Statement(
    "",
    postgresql=f"""
    WITH held AS MATERIALIZED (
        SELECT o.*, c.rev AS seen, c.outcome FROM owed_items o
        JOIN unnest(:connections::text[], :kinds::text[], :ids::text[], :revs::bigint[], :outcomes::text[],
                    :tokens::text[]) AS c(connection, kind, external_id, rev, outcome, token)
        ON o.connection = c.connection AND o.kind = c.kind AND o.external_id = c.external_id
        WHERE o.token = c.token ORDER BY {_ORDER} FOR UPDATE OF o
    ), {_TELL_AND_FORGET}, done AS (
        DELETE FROM owed_items o USING held WHERE {_SAME} AND held.rev = held.seen
    )
    UPDATE owed_items o SET {_KEPT.replace(":claimed_at", ":claimed_at::timestamptz")}
    FROM held WHERE {_SAME} AND held.rev <> held.seen RETURNING o.connection, o.kind, o.external_id
    """,
)
_COVER_POSTGRESQL = Statement(
    "",
    postgresql=f"""
    WITH held AS MATERIALIZED (
        SELECT o.*, c.rev AS seen, :outcome::text AS outcome FROM owed_items o
        JOIN unnest(:connections::text[], :kinds::text[], :ids::text[], :revs::bigint[], :seen::timestamptz[])
             AS c(connection, kind, external_id, rev, first_seen_at)
        ON o.connection = c.connection AND o.kind = c.kind AND o.external_id = c.external_id
        WHERE {_UNLEASED} ORDER BY {_ORDER} FOR UPDATE OF o SKIP LOCKED
    ), {_TELL_AND_FORGET}
    DELETE FROM owed_items o USING held WHERE {_SAME} RETURNING o.external_id
    """,
)
