"""The owed items as a whole: what was forgotten by the queue, how much waits, and putting a backlog off."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import WHOLE, ItemKey, Kind
from app.stores.owed.claiming import MAY_COME_ALONG, NEVER
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement, bound_list, key_of

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything that we can have seen."""

_DUE = "next_at <= :now AND (lease_until IS NULL OR lease_until <= :now)"
_UNHINTED = "(hinted_at IS NULL OR hinted_at <= :before)"
_AWAKE = "connection || '/' || kind"
_RESTING_SQLITE = f"{_AWAKE} NOT IN (SELECT value FROM json_each(:resting))"
_RESTING_POSTGRESQL = f"{_AWAKE} <> ALL(:resting::text[])"
_OVERDUE_SQL = f"""
    SELECT connection, kind, external_id, {MAY_COME_ALONG} FROM owed_items
    WHERE {_DUE} AND {_UNHINTED} AND {{resting}} ORDER BY next_at, external_id LIMIT :limit
"""
_OVERDUE_AWAKE = Statement(
    _OVERDUE_SQL.format(resting=_RESTING_SQLITE),
    postgresql=f"{_OVERDUE_SQL.format(resting=_RESTING_POSTGRESQL)} FOR UPDATE SKIP LOCKED",
)
# Most often nobody rests, and looking at the kind of each of 100,000 items would be for nothing.
_OVERDUE = Statement(
    _OVERDUE_SQL.format(resting="true"), postgresql=f"{_OVERDUE_SQL.format(resting='true')} FOR UPDATE SKIP LOCKED"
)
_HINT = Statement(
    """
    UPDATE owed_items SET hinted_at = :now
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id
    """
)


class Overdue(NamedTuple):
    """An item that needs a message; ``alone`` if it must not share one, because it failed or took workers down."""

    key: ItemKey
    alone: bool


def overdue(
    conn: Connection,
    *,
    now: datetime,
    requeue_after: float,
    limit: int,
    resting: Collection[tuple[str, Kind]] = (),
    blameless: datetime = NEVER,
) -> list[Overdue]:
    """Due items nobody works on that lack a hint, or had their last one over ``requeue_after`` seconds ago.

    At most ``limit``, longest due first; they count as hinted now, so that two sweeps do not send the same. Those of
    ``resting`` connections and kinds, which may not be asked now, are left out. ``blameless`` as in ``claim``.
    """
    before = now - timedelta(seconds=requeue_after)
    asked = {"now": now, "before": before, "limit": limit, "blameless": blameless}
    if resting:
        rows = _OVERDUE_AWAKE.run(conn, {**asked, "resting": _spelled(conn, resting)})
    else:
        rows = _OVERDUE.run(conn, asked)
    found = [Overdue(ItemKey(one, Kind(kind), id), not together) for one, kind, id, together in rows]
    _HINT.run_many(conn, [{**key_of(item.key), "now": now} for item in found])
    return found


_COUNT_DUE = Statement(f"SELECT count(*) FROM owed_items WHERE {_DUE}")
_COUNT_AWAKE = Statement(
    f"SELECT count(*) FROM owed_items WHERE {_DUE} AND {_RESTING_SQLITE}",
    postgresql=f"SELECT count(*) FROM owed_items WHERE {_DUE} AND {_RESTING_POSTGRESQL}",
)


def due(conn: Connection, now: datetime, *, resting: Collection[tuple[str, Kind]] = ()) -> int:
    """How many items are due that nobody works on, hinted or not; those of ``resting`` kinds left out."""
    if not resting:
        return int(_COUNT_DUE.run(conn, {"now": now})[0][0])
    return int(_COUNT_AWAKE.run(conn, {"now": now, "resting": _spelled(conn, resting)})[0][0])


def _spelled(conn: Connection, resting: Collection[tuple[str, Kind]]) -> Any:
    return bound_list(conn, sorted(f"{connection}/{kind}" for connection, kind in resting))


_BACKLOG = Statement(
    """
    SELECT connection, kind, count(*), min(first_seen_at) FROM owed_items
    GROUP BY connection, kind ORDER BY connection, kind
    """
)


def backlog(conn: Connection) -> list[tuple[str, Kind, int, datetime]]:
    """Per connection and kind: how many items are owed, and since when the oldest."""
    rows = (
        (connection, kind, owed, moment_from(oldest)) for connection, kind, owed, oldest in _BACKLOG.run(conn, {})
    )
    return [(connection, Kind(kind), owed, oldest) for connection, kind, owed, oldest in rows if oldest is not None]


_WAITING = f"""
    connection = :connection AND kind = :kind AND external_id <> '{WHOLE}'
    AND lease_until IS NULL AND next_at <= :due AND next_at < :until AND first_seen_at >= :since
"""
_DEFER = Statement(
    f"UPDATE owed_items SET next_at = :until, hinted_at = NULL WHERE {_WAITING}",
    postgresql=f"""
    WITH waiting AS MATERIALIZED (SELECT external_id FROM owed_items WHERE {_WAITING} FOR UPDATE SKIP LOCKED)
    UPDATE owed_items SET next_at = :until, hinted_at = NULL
    WHERE connection = :connection AND kind = :kind AND external_id = ANY(ARRAY(SELECT external_id FROM waiting))
    """,
)


def defer(
    conn: Connection,
    connection: str,
    kind: Kind,
    until: datetime,
    *,
    due: datetime | None = None,
    since: datetime = EVER,
) -> int:
    """Put the items of a kind off because a pull will cover them; all but ``WHOLE`` and those being worked on.

    ``due`` leaves alone what is put off already, ``since`` what was first seen earlier. Returns how many it put off.
    """
    asked = {"connection": connection, "kind": kind.value, "until": until, "due": due or until, "since": since}
    return _DEFER.count(conn, asked)


_NEWER = Statement(
    f"""
    SELECT count(*) FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id <> '{WHOLE}' AND first_seen_at >= :since
    """
)


def newer(conn: Connection, connection: str, kind: Kind, since: datetime) -> int:
    """How many items of a kind are owed that were first seen since then."""
    return int(_NEWER.run(conn, {"connection": connection, "kind": kind.value, "since": since})[0][0])


_IS_OWED = Statement(
    "SELECT 1 FROM owed_items WHERE connection = :connection AND kind = :kind AND external_id = :external_id"
)
_COUNT = Statement(
    "SELECT count(*) FROM owed_items WHERE CAST(:connection AS TEXT) IS NULL OR connection = :connection"
)


_HAS_FAILED = Statement(
    """
    SELECT 1 FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND attempts > 0
    """
)


def has_failed(conn: Connection, key: ItemKey) -> bool:
    """Whether the item is owed and its last try failed."""
    return bool(_HAS_FAILED.run(conn, key_of(key)))


_IS_LEASED = Statement(
    """
    SELECT 1 FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND token IS NOT NULL
    """
)


def is_leased(conn: Connection, key: ItemKey) -> bool:
    """Whether somebody works on the item, or died over it."""
    return bool(_IS_LEASED.run(conn, key_of(key)))


def is_owed(conn: Connection, key: ItemKey) -> bool:
    """Whether the item has changes not yet settled."""
    return bool(_IS_OWED.run(conn, key_of(key)))


def count(conn: Connection, connection: str | None = None) -> int:
    """How many items are owed."""
    return int(_COUNT.run(conn, {"connection": connection})[0][0])
