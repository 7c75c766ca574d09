"""Every delivery as it came: stored once, together with what it makes us owe, before it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select
from sqlmodel import SQLModel

from app.domain import Cause, Change, Delivery, ItemKey, Kind, Verdict
from app.stores import owed, tables
from app.stores.sql.columns import moment_from, moment_text
from app.stores.sql.statements import Statement, is_sqlite, storable

_EVENTS = SQLModel.metadata.tables[str(tables.InboxEvent.__tablename__)]


class Arrival(msgspec.Struct, frozen=True):
    """One verified delivery with everything that came with it."""

    connection: str
    delivery: Delivery
    headers: dict[str, str]
    body: bytes
    received_at: datetime


@dataclass
class Accepted:
    """What became of a batch. ``owed`` are the items that were not owed before: they need a wake-up."""

    new: int
    duplicates: int
    owed: list[ItemKey]


def accept(conn: Connection, arrivals: Sequence[Arrival]) -> Accepted:
    """Store a batch of deliveries and owe what the new ones changed; a delivery seen before changes nothing.

    On PostgreSQL this is one statement, so ``Database.once()`` will do.
    """
    # In the order of their ids: two receivers handed the same deliveries must not wait for each other crosswise.
    distinct = {(arrival.connection, storable(arrival.delivery.event_id)): arrival for arrival in reversed(arrivals)}
    batch = dict(sorted(distinct.items()))
    if not batch:
        return Accepted(0, 0, [])
    new, fresh = (_accept_sqlite if is_sqlite(conn) else _accept_postgresql)(conn, batch)
    return Accepted(new, len(arrivals) - new, fresh)


_Batch = dict[tuple[str, str], Arrival]
_COLUMNS = "inbox_events (connection, event_id, type, received_at, occurred_at, verdict, items, headers, body)"
_encode = msgspec.json.Encoder().encode

# A statement, and a row of an answer, per batch instead of per event: SQLite's driver gives Python's lock away with
# each, and gets it back from a busy event loop only milliseconds later. Bodies travel as one blob: they are bytes.
_INSERT = Statement(
    f"""
    INSERT INTO {_COLUMNS}
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           coalesce(substr(:bodies, value ->> 8, value ->> 9), x'')
    FROM json_each(:rows) WHERE true
    ON CONFLICT (connection, event_id) DO NOTHING
    """
)
_NEWEST = Statement(
    """
    SELECT json_group_array(json_array(connection, event_id))
    FROM (SELECT connection, event_id FROM inbox_events ORDER BY id DESC LIMIT :count)
    """
)


def _accept_sqlite(conn: Connection, batch: _Batch) -> tuple[int, list[ItemKey]]:
    """How many deliveries are new, and the items newly owed."""
    count = _INSERT.count(conn, {**_bodies(batch), "rows": _encode(list(_rows(batch, moment_text))).decode()})
    fresh = list(batch.values()) if count == len(batch) else _newest(conn, batch, count)
    wanted: dict[ItemKey, owed.PendingChanges] = {}
    for arrival in fresh:
        for change in _changes(arrival):
            owed.count_change(wanted, arrival.connection, change, arrival.received_at)
    return count, owed.owe_pending(conn, wanted, Cause.WEBHOOK)


def _newest(conn: Connection, batch: _Batch, count: int) -> list[Arrival]:
    """The deliveries just inserted: ours alone, for we hold the write lock."""
    ((found,),) = _NEWEST.run(conn, {"count": count})
    return [batch[connection, event_id] for connection, event_id in msgspec.json.decode(found)]


_ACCEPT = Statement(
    "",
    postgresql=f"""
    WITH given AS MATERIALIZED (
        SELECT connection, event_id, type, received_at, occurred_at, verdict, items, headers,
               substr(:bodies::bytea, start, size) AS body, changes
        FROM json_to_recordset(:rows::json)
             AS r(connection text, event_id text, type text, received_at timestamptz, occurred_at timestamptz,
                  verdict text, items text, headers text, start int, size int, changes json)
    ), fresh AS (
        INSERT INTO {_COLUMNS}
        SELECT connection, event_id, type, received_at, occurred_at, verdict, items, headers, body FROM given
        ON CONFLICT (connection, event_id) DO NOTHING RETURNING connection, event_id
    ), wanted AS (
        SELECT g.connection, c ->> 0 AS kind, c ->> 1 AS external_id, count(*) AS rev,
               max((c ->> 2)::bigint) AS version, min(g.received_at) AS seen_at
        FROM given g CROSS JOIN json_array_elements(g.changes) AS c
        WHERE (g.connection, g.event_id) IN (SELECT connection, event_id FROM fresh)
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ), rose AS ({owed.OWE_PENDING})
    SELECT (SELECT count(*) FROM fresh), (SELECT json_agg(json_build_array(connection, kind, external_id))
                                          FROM rose WHERE is_new)
    """,
)


_NAMES = (
    "connection",
    "event_id",
    "type",
    "received_at",
    "occurred_at",
    "verdict",
    "items",
    "headers",
    "start",
    "size",
    "changes",
)


def _accept_postgresql(conn: Connection, batch: _Batch) -> tuple[int, list[ItemKey]]:
    """How many deliveries are new, and the items newly owed."""
    rows = [
        dict(zip(_NAMES, (*row, _wanted(one)), strict=True))
        for row, one in zip(_rows(batch, datetime.isoformat), batch.values(), strict=True)
    ]
    told = {"rows": _encode(rows).decode(), "cause": Cause.WEBHOOK.value, "skew": owed.SKEW}
    ((count, fresh),) = _ACCEPT.run(conn, {**_bodies(batch), **told})
    return count, [ItemKey(connection, Kind(kind), external_id) for connection, kind, external_id in fresh or ()]


def _wanted(arrival: Arrival) -> list[tuple[str, str, int]]:
    return [(change.kind, storable(change.external_id), change.version) for change in _changes(arrival)]


def _changes(arrival: Arrival) -> Sequence[Change]:
    return arrival.delivery.changes if arrival.delivery.verdict is Verdict.ACCEPTED else ()


def _rows(batch: _Batch, spelled: Callable[[datetime], str]) -> Iterator[tuple[Any, ...]]:
    """The columns of each; instead of the body where it starts among ``_bodies``, and its length."""
    start = 1  # SQL counts from one
    for (connection, event_id), arrival in batch.items():
        delivery = arrival.delivery
        yield (
            connection,
            event_id,
            storable(delivery.type),
            spelled(arrival.received_at),
            spelled(delivery.occurred_at) if delivery.occurred_at else None,
            delivery.verdict.value,
            [(change.kind, storable(change.external_id)) for change in delivery.changes],
            arrival.headers,
            start,
            len(arrival.body),
        )
        start += len(arrival.body)


def _bodies(batch: _Batch) -> dict[str, bytes]:
    return {"bodies": b"".join([arrival.body for arrival in batch.values()])}


# --- reading ---


def events(
    conn: Connection, *, connection: str | None = None, limit: int = 50, before_id: int | None = None
) -> list[dict[str, Any]]:
    """The latest deliveries, newest first, without headers and body but with the body's ``size`` in bytes.

    ``before_id`` continues after the last one of the page before; ``items`` is a list of ``[kind, external_id]``.
    """
    shown = [column for column in _EVENTS.c if column.name not in ("headers", "body")]
    query = select(*shown, func.length(_EVENTS.c.body).label("size")).order_by(_EVENTS.c.id.desc()).limit(limit)
    if connection is not None:
        query = query.where(_EVENTS.c.connection == connection)
    if before_id is not None:
        query = query.where(_EVENTS.c.id < before_id)
    return [{**row, "items": msgspec.json.decode(row["items"])} for row in conn.execute(query).mappings()]


def get(conn: Connection, id: int) -> dict[str, Any] | None:
    """One delivery whole, ``headers`` as a mapping and ``body`` as bytes."""
    row = conn.execute(select(_EVENTS).where(_EVENTS.c.id == id)).mappings().first()
    if row is None:
        return None
    decoded = {name: msgspec.json.decode(row[name]) for name in ("items", "headers")}
    return {**row, **decoded}


class Latest(NamedTuple):
    """When the newest delivery came, and with which headers."""

    received_at: datetime
    headers: dict[str, str]


def latest(conn: Connection, connection: str) -> Latest | None:
    """The newest delivery of a connection."""
    columns = select(_EVENTS.c.received_at, _EVENTS.c.headers).where(_EVENTS.c.connection == connection)
    row = conn.execute(columns.order_by(_EVENTS.c.received_at.desc()).limit(1)).first()
    return None if row is None else Latest(row.received_at, msgspec.json.decode(row.headers))


def last_received(conn: Connection, connection: str, before: datetime | None = None) -> datetime | None:
    """When the newest delivery of a connection came, of all or of those that came before a moment."""
    newest = select(_EVENTS.c.received_at).where(_EVENTS.c.connection == connection)
    if before is not None:
        newest = newest.where(_EVENTS.c.received_at < before)
    return conn.execute(newest.order_by(_EVENTS.c.received_at.desc()).limit(1)).scalar()


_SEEN = Statement(
    f"""
    SELECT max(seen_at) FROM (
        SELECT first_seen_at AS seen_at FROM owed_items
        WHERE connection = :connection AND kind = :kind AND external_id = :external_id
        UNION ALL
        SELECT first_seen_at FROM settlements
        WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND settled_at >= :since
          AND cause <> '{Cause.RECONCILE}'
    ) AS seen
    """
)


def seen_item(conn: Connection, connection: str, kind: Kind, external_id: str, since: datetime) -> datetime | None:
    """When a change of the item was last noticed, if any is owed still or was settled since then."""
    asked = {"connection": connection, "kind": kind.value, "external_id": external_id, "since": since}
    return moment_from(_SEEN.run(conn, asked)[0][0])
