"""The owed items as a whole: those that lack a message, how many wait, and deferring those that a pull will cover."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import ALL_ITEMS, ItemKey, Kind
from app.stores.owed.claiming import BY_KEY, MAY_COME_ALONG, NEVER
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement, bound_list, key_of

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Earlier than anything that was ever seen."""

_DUE = "next_at <= :now AND (lease_until IS NULL OR lease_until <= :now)"
_NOT_ENQUEUED = "(hinted_at IS NULL OR hinted_at <= :before)"
_AWAKE = "connection || '/' || kind NOT AMONG :resting"
_OVERDUE_SQL = f"""
    SELECT connection, kind, external_id, {MAY_COME_ALONG} FROM owed_items
    WHERE {_DUE} AND {_NOT_ENQUEUED} AND {{awake}} ORDER BY next_at, external_id LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_OVERDUE_AWAKE = Statement(_OVERDUE_SQL.format(awake=_AWAKE))
# Most often no kind rests, and then comparing the kind of each of 100,000 items is wasted.
_OVERDUE = Statement(_OVERDUE_SQL.format(awake="true"))
_MARK_ENQUEUED = Statement(f"UPDATE owed_items SET hinted_at = :now WHERE {BY_KEY}")


class Overdue(NamedTuple):
    """An item that needs a message; ``alone`` if it must not share one, because it failed or crashed workers."""

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
    """Due items nobody works on that have no message, or whose last one was sent over ``requeue_after`` seconds ago.

    At most ``limit``, longest due first; they count as enqueued now, so that two sweeps do not send the same. Items of
    ``resting`` connections and kinds, which may not be asked now, are left out. ``blameless`` is as for ``claim``.
    """
    before = now - timedelta(seconds=requeue_after)
    values = {"now": now, "before": before, "limit": limit, "blameless": blameless}
    if resting:
        rows = _OVERDUE_AWAKE.run(conn, {**values, "resting": _names(conn, resting)})
    else:
        rows = _OVERDUE.run(conn, values)
    items = [Overdue(ItemKey(one, Kind(kind), id), not together) for one, kind, id, together in rows]
    _MARK_ENQUEUED.run_many(conn, [{**key_of(item.key), "now": now} for item in items])
    return items


_COUNT_DUE = Statement(f"SELECT count(*) FROM owed_items WHERE {_DUE}")
_COUNT_AWAKE = Statement(f"SELECT count(*) FROM owed_items WHERE {_DUE} AND {_AWAKE}")


def due(conn: Connection, now: datetime, *, resting: Collection[tuple[str, Kind]] = ()) -> int:
    """How many items are due that nobody works on, enqueued or not; without those of ``resting`` kinds."""
    if not resting:
        return int(_COUNT_DUE.run(conn, {"now": now})[0][0])
    return int(_COUNT_AWAKE.run(conn, {"now": now, "resting": _names(conn, resting)})[0][0])


def _names(conn: Connection, resting: Collection[tuple[str, Kind]]) -> Any:
    return bound_list(conn, sorted(f"{connection}/{kind}" for connection, kind in resting))


_BACKLOG = Statement(
    """
    SELECT connection, kind, count(*), min(first_seen_at) FROM owed_items
    GROUP BY connection, kind ORDER BY connection, kind
    """
)


class Backlog(NamedTuple):
    """How many items of a kind are owed, and since when the oldest is."""

    connection: str
    kind: Kind
    items: int
    oldest: datetime


def backlog(conn: Connection, connection: str | None = None) -> list[Backlog]:
    """What is owed (by this connection), per connection and kind."""
    rows = _BACKLOG.run(conn, {})
    return [
        Backlog(slug, Kind(kind), items, some_moment(seen))
        for slug, kind, items, seen in rows
        if connection in (None, slug)
    ]


_WAITING = f"""
    connection = :connection AND kind = :kind AND external_id <> '{ALL_ITEMS}'
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
    """Defer the items of a kind because a pull will cover them: all but ``ALL_ITEMS`` and those being worked on.

    With ``due``, items that are due later stay as they are; with ``since``, items first seen earlier. Returns how many
    were deferred.
    """
    values = {"connection": connection, "kind": kind.value, "until": until, "due": due or until, "since": since}
    return _DEFER.count(conn, values)


_NEWER = Statement(
    f"""
    SELECT count(*) FROM owed_items
    WHERE connection = :connection AND kind = :kind AND external_id <> '{ALL_ITEMS}' AND first_seen_at >= :since
    """
)


def newer(conn: Connection, connection: str, kind: Kind, since: datetime) -> int:
    """How many owed items of a kind were first seen since then."""
    return int(_NEWER.run(conn, {"connection": connection, "kind": kind.value, "since": since})[0][0])


_IS_OWED = Statement(f"SELECT 1 FROM owed_items WHERE {BY_KEY}")
_HAS_FAILED = Statement(f"SELECT 1 FROM owed_items WHERE {BY_KEY} AND attempts > 0")
_IS_LEASED = Statement(f"SELECT 1 FROM owed_items WHERE {BY_KEY} AND token IS NOT NULL")
_COUNT = Statement(
    "SELECT count(*) FROM owed_items WHERE CAST(:connection AS TEXT) IS NULL OR connection = :connection"
)


def has_failed(conn: Connection, key: ItemKey) -> bool:
    """Whether the item is owed and was tried in vain."""
    return bool(_HAS_FAILED.run(conn, key_of(key)))


def is_leased(conn: Connection, key: ItemKey) -> bool:
    """Whether a worker has the item, or crashed with it."""
    return bool(_IS_LEASED.run(conn, key_of(key)))


def is_owed(conn: Connection, key: ItemKey) -> bool:
    """Whether the item has changes not yet settled."""
    return bool(_IS_OWED.run(conn, key_of(key)))


def count(conn: Connection, connection: str | None = None) -> int:
    """How many items are owed."""
    return int(_COUNT.run(conn, {"connection": connection})[0][0])
