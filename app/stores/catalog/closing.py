"""Turns rows that a read showed to be gone into tombstones, or zero; items that we never held get a tombstone too.

A tombstone dates from the moment it was concluded: what an earlier read shows may be older than the deletion.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from app.domain import KINDS, SKU_PREFIX, UNKNOWN_WRITER, Kind, Listing, MissingPolicy, Ref, Scope, key_of
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.reads import Key, Read
from app.stores.sql.statements import bound_list

Closings = dict[tuple[Kind, MissingPolicy, datetime | None], list[Key]]
"""Keys to close, by kind, by what absence means, and by when the source deleted them."""


def closing(conn: Connection, connection: str, read: Read, now: datetime) -> Closings:
    """Live rows inside completely read scopes that the read did not show, except rows read at the same moment or later."""
    shown = {(KINDS[type(record)], key_of(record)) for record in read.records}
    closings: Closings = {}
    for (kind, name, absent, changed), values in _by_query(read.covers).items():
        rows = _live_keys(conn, connection, kind, name, values, absent, read.began, now, ties=False)
        gone = [key for key in rows if (kind, key) not in shown and key[0] not in read.failed]
        if gone:
            closings[kind, absent, changed] = sorted({*closings.get((kind, absent, changed), ()), *gone})
    return dict(sorted(closings.items(), key=lambda one: (*one[0][:2], str(one[0][2] or ""))))


def ending(conn: Connection, connection: str, kind: Kind, read: Read, now: datetime) -> list[Key]:
    """Live rows of a kind that a read shows to be gone, by its scopes or by id."""
    closings = closing(conn, connection, read, now)
    keys = {key for (of, _, _), some in closings.items() if of is kind for key in some}
    if ids := [ref.external_id for ref in read.gone if ref.kind is kind]:
        name = sql.shape(kind).keys[0]
        keys.update(_live_keys(conn, connection, kind, name, ids, MissingPolicy.DELETED, read.began, now, ties=True))
    return sorted(keys)


def tombstone(
    conn: Connection,
    connection: str,
    refs: Sequence[Ref],
    *,
    read_at: datetime,
    now: datetime,
    by: str = UNKNOWN_WRITER,
) -> int:
    """Mark as deleted what the source says does not exist; returns how many live rows these were. An item that we hold no
    row of gets a tombstone, so that reads that began before ``now`` cannot bring it back.

    A ref names the first key field: a stock ref stands for every count of its listing. Refs by SKU match nothing,
    because an unknown SKU may also be a renamed product: fetch the product by its id.
    """
    by_kind: dict[Kind, list[str]] = defaultdict(list)
    for ref in refs:
        if not ref.external_id.startswith(SKU_PREFIX):
            by_kind[ref.kind].append(ref.external_id)
    total = 0
    for kind in sorted(by_kind):
        name = sql.shape(kind).keys[0]
        keys = _live_keys(conn, connection, kind, name, by_kind[kind], MissingPolicy.DELETED, read_at, now, ties=True)
        total += len(
            close_rows(
                conn,
                kind,
                MissingPolicy.DELETED,
                connection,
                sorted(keys),
                read_at=read_at,
                now=now,
                by=by,
                ties=True,
            )
        )
        _fence(conn, connection, kind, by_kind[kind], read_at, now, by)
    return total


def fence_items(conn: Connection, connection: str, read: Read, now: datetime, *, living_too: bool) -> None:
    """Fence items that a read covers as a whole and shows no part of: they are gone, with parts that we may never have
    seen. With ``living_too`` fence living items as of when their read began: a part that only an older read shows is gone.
    Items of which a part could not be read are not fenced.
    """
    unsure = {*read.failed.values()}
    if "" in unsure:
        return
    shown = {record.parent_id for record in read.records if isinstance(record, Listing)}
    covered = {scope.value for scope in read.covers if scope.field == "parent_id" and scope.value is not None}
    items = covered - unsure
    _fence(conn, connection, Kind.PRODUCT, sorted(items - shown), read.began, now, read.by)
    if living_too:
        _fence(conn, connection, Kind.PRODUCT, sorted(items & shown), read.began, read.began, read.by)


def _fence(
    conn: Connection, connection: str, kind: Kind, ids: Sequence[str], read_at: datetime, now: datetime, by: str
) -> None:
    if not ids or len(sql.shape(kind).keys) > 1:  # the listing's own tombstone fences its stock
        return
    rows = [sql.fence_values(kind, connection, id, read_at, now, by) for id in sorted(set(ids))]
    sql.driver(conn).cursor().executemany(sql.fence_row(kind, conn.dialect.name), rows)


def close_rows(
    conn: Connection,
    kind: Kind,
    absent: MissingPolicy,
    connection: str,
    keys: Iterable[Key],
    *,
    read_at: datetime,
    now: datetime,
    present: datetime | None = None,
    changed: datetime | None = None,
    by: str = UNKNOWN_WRITER,
    ties: bool = False,
) -> list[Key]:
    """Tombstone or zero these rows, given in order, unless they were read later; returns the keys that changed.

    ``now`` is when the deletion was concluded, ``present`` (if later) when it is written, ``changed`` when the source says
    that it happened: a tombstone's ``modified_at``, else ``now``; ``by`` what brought it.
    """
    values = [sql.close_values(kind, absent, connection, key, read_at, now, present, changed, by) for key in keys]
    rows = sql.close_row(kind, absent, ties=ties).run_each(conn, values) if values else []
    return [tuple(row) for row in rows]


def _by_query(scopes: Sequence[Scope]) -> dict[tuple[Kind, str | None, MissingPolicy, datetime | None], list[str]]:
    """Scopes that differ only in their value, for one query."""
    queries: dict[tuple[Kind, str | None, MissingPolicy, datetime | None], list[str]] = defaultdict(list)
    for scope in scopes:
        values = queries[scope.kind, scope.field, scope.absent, scope.changed]
        if scope.field is not None:
            values.append(str(scope.value))
    return queries


def _live_keys(
    conn: Connection,
    connection: str,
    kind: Kind,
    name: str | None,
    values: list[str],
    absent: MissingPolicy,
    read_at: datetime,
    now: datetime,
    *,
    ties: bool,
) -> list[Key]:
    bound = {
        "connection": connection,
        "began": read_at,
        "horizon": sql.horizon(now),
        "values": bound_list(conn, values),
    }
    return sql.live_keys(kind, name, absent, ties=ties).run(conn, bound)
