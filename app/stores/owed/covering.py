"""Settles the many owed items that one pull covered: noted before it, settled after it unless they changed meanwhile."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import ItemKey, Kind
from app.stores.owed.settling import message_key
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, bound_list


class Noted(NamedTuple):
    """An owed item as a pull found it. ``first_seen_at`` distinguishes it from a later one of the same key and ``rev``;
    ``version`` is the newest one that a hint named."""

    key: ItemKey
    rev: int
    first_seen_at: datetime
    version: int = 0


_NOTED = Statement(
    """
    SELECT external_id, rev, first_seen_at, version FROM owed_items
    WHERE connection = :connection AND kind = :kind ORDER BY external_id
    """
)


def noted(conn: Connection, connection: str, kind: Kind) -> list[Noted]:
    """The owed items of a kind; to be noted before a pull that will cover them."""
    rows = _NOTED.run(conn, {"connection": connection, "kind": kind.value})
    return [Noted(ItemKey(connection, kind, id), rev, some_moment(seen), version) for id, rev, seen, version in rows]


def settle_noted(conn: Connection, noted: Sequence[Noted], outcome: str, now: datetime) -> int:
    """Settle what a pull covered, unless it changed since or a worker has it; returns how many items were settled.

    On SQLite settle a few hundred per transaction: receivers wait meanwhile.
    """
    by_kind: dict[tuple[str, Kind], dict[str, Noted]] = defaultdict(dict)
    for item in noted:
        by_kind[item.key.connection, item.key.kind][item.key.external_id] = item
    return sum(_cover(conn, *of, items, outcome, now) for of, items in sorted(by_kind.items()))


def _cover(
    conn: Connection, connection: str, kind: Kind, items: dict[str, Noted], outcome: str, now: datetime
) -> int:
    of = {"connection": connection, "kind": kind.value}
    rows = _UNLEASED.run(conn, {**of, "ids": bound_list(conn, list(items))})
    same = [(items[id], attempts) for id, rev, seen, attempts in rows if (rev, some_moment(seen)) == items[id][1:3]]
    ids = bound_list(conn, [item.key.external_id for item, _ in same])
    _RECORD.run(conn, {**of, "outcome": outcome, "now": now, "ids": ids})
    _FORGET.run(conn, {"ids": bound_list(conn, [message_key(item.key) for item, attempts in same if attempts])})
    return _DELETE.count(conn, {**of, "ids": ids})


_THOSE = "connection = :connection AND kind = :kind AND external_id AMONG :ids"
_UNLEASED = Statement(
    f"""
    SELECT external_id, rev, first_seen_at, attempts FROM owed_items WHERE {_THOSE} AND lease_until IS NULL
    FOR UPDATE SKIP LOCKED
    """
)
_RECORD = Statement(
    f"""
    INSERT INTO settlements
           (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)
    SELECT connection, kind, external_id, cause, :outcome, rev, attempts, first_seen_at, :now
    FROM owed_items WHERE {_THOSE}
    """
)
_FORGET = Statement("DELETE FROM attempts WHERE message_key AMONG :ids")
_DELETE = Statement(f"DELETE FROM owed_items WHERE {_THOSE}")
