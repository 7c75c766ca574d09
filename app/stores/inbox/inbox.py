"""Every delivery as it was received: stored once, together with the items that it makes us owe, before it is
acknowledged."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from app.domain import Cause, Change, Delivery, ItemKey, Kind, Verdict
from app.domain.decoding import decode
from app.stores import owed, tables
from app.stores.inbox.rows import StoredDelivery
from app.stores.sql.columns import moment_text
from app.stores.sql.statements import Statement, is_sqlite, storable

_EVENTS = tables.core(tables.InboxEvent)
_READ = [_EVENTS.c[name] for name in StoredDelivery.__struct_fields__]


class Arrival(msgspec.Struct, frozen=True):
    """One verified delivery with everything that came with it."""

    connection: str
    delivery: Delivery
    headers: dict[str, str]
    body: bytes
    received_at: datetime


@dataclass
class Accepted:
    """The result of a batch. ``owed`` are the items that were not owed before: they must be enqueued."""

    new: int
    duplicates: int
    owed: list[ItemKey]


def accept(conn: Connection, arrivals: Sequence[Arrival]) -> Accepted:
    """Store a batch of deliveries and owe the items that the new ones name; a delivery seen before changes nothing.

    On PostgreSQL this is one statement, so ``Database.once()`` is enough.
    """
    # Sorted by id: two receivers of the same deliveries must not deadlock.
    distinct = {(arrival.connection, storable(arrival.delivery.event_id)): arrival for arrival in reversed(arrivals)}
    batch = dict(sorted(distinct.items()))
    if not batch:
        return Accepted(0, 0, [])
    new, fresh = (_accept_sqlite if is_sqlite(conn) else _accept_postgresql)(conn, batch)
    return Accepted(new, len(arrivals) - new, fresh)


_Batch = dict[tuple[str, str], Arrival]


class _Columns(NamedTuple):
    """The columns of a new delivery, with the position of its body in ``_bodies`` and its length in place of the body."""

    connection: str
    event_id: str
    type: str
    received_at: str
    occurred_at: str | None
    verdict: str
    items: list[tuple[str, str]]
    headers: dict[str, str]
    start: int
    size: int


_COLUMNS = "inbox_events (connection, event_id, type, received_at, occurred_at, verdict, items, headers, body)"
_encode = msgspec.json.Encoder().encode

# One statement and one result row per batch instead of per event: SQLite's driver releases Python's lock with each, and
# gets it back from a busy event loop only milliseconds later. The bodies are one blob, because JSON cannot hold bytes.
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
    """The deliveries just inserted. They are all ours, because we hold the write lock."""
    ((ids,),) = _NEWEST.run(conn, {"count": count})
    return [batch[connection, event_id] for connection, event_id in msgspec.json.decode(ids)]


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


def _accept_postgresql(conn: Connection, batch: _Batch) -> tuple[int, list[ItemKey]]:
    """How many deliveries are new, and the items newly owed."""
    rows = [
        {**row._asdict(), "changes": _wanted(arrival)}
        for row, arrival in zip(_rows(batch, datetime.isoformat), batch.values(), strict=True)
    ]
    params = {"rows": _encode(rows).decode(), "cause": Cause.WEBHOOK.value, "skew": owed.SKEW}
    ((count, fresh),) = _ACCEPT.run(conn, {**_bodies(batch), **params})
    return count, [ItemKey(connection, Kind(kind), external_id) for connection, kind, external_id in fresh or ()]


def _wanted(arrival: Arrival) -> list[tuple[str, str, int]]:
    return [(change.kind, storable(change.external_id), change.version) for change in _changes(arrival)]


def _changes(arrival: Arrival) -> Sequence[Change]:
    return arrival.delivery.changes if arrival.delivery.verdict is Verdict.ACCEPTED else ()


def _rows(batch: _Batch, spelled: Callable[[datetime], str]) -> Iterator[_Columns]:
    start = 1  # SQL counts from one
    for (connection, event_id), arrival in batch.items():
        delivery = arrival.delivery
        yield _Columns(
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


def get(conn: Connection, id: int) -> StoredDelivery | None:
    """One delivery."""
    row = conn.execute(select(*_READ).where(_EVENTS.c.id == id)).mappings().first()
    if row is None:
        return None
    items = decode(row["items"], list[tuple[str, str]])
    return StoredDelivery(**{**row, "items": items, "headers": msgspec.json.decode(row["headers"])})


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
