"""The last complete and believed read of each kind: when our copy was known to be right, and which mapping made it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.checksums import shape_of
from app.stores.sql.columns import moment_from, some_moment
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


_GET = Statement(
    """
    SELECT run_id, began_at, ended_at, shape, mapping, mapping_at, mapping_after, checked_at, wrote_at
    FROM full_reads
    WHERE connection = :connection AND kind = :kind
    """
)
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
    rows = _GET.run(conn, {"connection": connection, "kind": kind.value})
    if not rows:
        return None
    run_id, began, ended, shape, mapping, since, after, checked, wrote = rows[0]
    return FullRead(
        run_id,
        some_moment(began),
        some_moment(ended),
        shape,
        mapping,
        some_moment(since),
        moment_from(after),
        moment_from(checked),
        moment_from(wrote),
    )


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
    (newest,) = conn.exec_driver_sql(_LAST[conn.dialect.name].format(sql.shape(kind).table), (connection,)).one()
    return moment_from(newest)


_LAST = {
    "sqlite": "SELECT max(written_at) FROM {} WHERE connection = ?",
    "postgresql": "SELECT max(written_at) FROM {} WHERE connection = %s",
}
