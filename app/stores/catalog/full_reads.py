"""The last complete and accepted read of each kind: when our copy was known to be right, and which mapping made it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores import tables
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.checksums import shape_of
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class FullRead(NamedTuple):
    """A row of ``tables.FullRead``."""

    run_id: int
    began_at: datetime
    ended_at: datetime
    shape: str
    mapping: str
    mapping_at: datetime
    mapping_after: datetime | None
    checked_at: datetime | None
    wrote_at: datetime | None


_READS = tables.core(tables.FullRead)
_PUT = Statement(
    """
    INSERT INTO full_reads (connection, kind, run_id, began_at, ended_at, shape, mapping, mapping_at, mapping_after,
                            checked_at, wrote_at)
    VALUES (:connection, :kind, :run_id, :began_at, :now, :shape, :mapping, :began_at, NULL, :checked_at, :wrote_at)
    ON CONFLICT (connection, kind) DO UPDATE
    SET run_id = excluded.run_id, began_at = excluded.began_at, ended_at = excluded.ended_at,
        shape = excluded.shape, mapping = excluded.mapping,
        checked_at = coalesce(excluded.checked_at, full_reads.checked_at),
        wrote_at = coalesce(excluded.wrote_at, full_reads.wrote_at),
        mapping_at = CASE WHEN full_reads.mapping = excluded.mapping THEN full_reads.mapping_at
                          ELSE excluded.mapping_at END,
        mapping_after = CASE WHEN full_reads.mapping = excluded.mapping THEN full_reads.mapping_after
                             ELSE full_reads.ended_at END
    """
)


def get(conn: Connection, connection: str, kind: Kind) -> FullRead | None:
    """The last complete read of a kind, ``None`` before the first."""
    query = select(*(_READS.c[name] for name in FullRead._fields))
    row = conn.execute(query.where(_READS.c.connection == connection, _READS.c.kind == kind)).first()
    return None if row is None else FullRead(*row)


def put(
    conn: Connection,
    connection: str,
    kind: Kind,
    *,
    run_id: int,
    began_at: datetime,
    mapping: str,
    now: datetime,
    checked_at: datetime | None = None,
    wrote: bool = False,
) -> None:
    """Note that a complete read was written: our rows are right as of ``began_at``. ``checked_at`` is when its checksum
    pass began, if it had one; ``wrote`` says that it wrote rows."""
    _PUT.run(
        conn,
        {
            "connection": connection,
            "kind": kind.value,
            "run_id": run_id,
            "began_at": began_at,
            "shape": shape_of(kind),
            "mapping": mapping,
            "now": now,
            "checked_at": checked_at,
            "wrote_at": now if wrote else None,
        },
    )


def last_written(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """The latest ``written_at`` of the kind's rows."""
    newest = Statement(f"SELECT max(written_at) FROM {sql.shape(kind).table} WHERE connection = :connection")
    return moment_from(newest.run(conn, {"connection": connection})[0][0])
