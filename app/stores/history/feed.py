"""The feed of changes: every one exactly in the order in which they were committed, to be read on from a cursor.

PostgreSQL gives ids before it commits, so a higher id may be seen before a lower one. The feed therefore goes by
transaction id, and shows a transaction only when no earlier one is still open (``pg_snapshot_xmin``).
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal_column, select, text, tuple_, update

from app.domain import INT64
from app.errors import InvalidRequest
from app.stores import tables
from app.stores.history.rows import PAST, ROWS, SELECTED, AppliedChange
from app.stores.sql.statements import is_sqlite

_RESTORES = tables.core(tables.Restore)
_NEXT: ColumnElement[int] = literal_column("CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)")
_SETTLED: ColumnElement[int] = literal_column("CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")


class Cursor(NamedTuple):
    """A place in the feed, behind one change. ``epoch`` stands for this database since it was last restored from a backup:
    in another one, the same numbers mean other changes."""

    epoch: int
    transaction_id: int
    id: int

    def __str__(self) -> str:
        return "-".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor of a text; raises ``InvalidRequest``."""
        parts = text.split("-")
        if len(parts) != len(cls._fields) or not all(part.isdecimal() and len(part) < 20 for part in parts):
            raise InvalidRequest(
                f"cursor {text[:60]!r} is none of ours; take it from the last answer, or leave it out"
            )
        return cls(*map(int, parts))


def after(
    conn: Connection,
    cursor: Cursor,
    connections: Sequence[str] | None,
    limit: int,
    *,
    kinds: Sequence[str] | None = None,
    until: Cursor | None = None,
) -> tuple[list[AppliedChange], Cursor]:
    """The next changes of these connections and kinds (``None`` for all) behind a cursor, up to ``until``, and the cursor
    behind the last of them.

    Changes that the source recorded before we held the row are no part of it. Raises ``InvalidRequest`` if the database
    was restored from a backup since.
    """
    epoch = _epoch(conn)
    if cursor.epoch != epoch:
        raise InvalidRequest(
            "the database was moved or restored from a backup since that cursor: read all items again, and follow what "
            "changes from now on"
        )
    query = SELECTED.where(*_committed(conn), _place(conn) > tuple_(*_numbers(conn, cursor)))
    if connections is not None:
        query = query.where(ROWS.c.connection.in_(list(connections)))
    if kinds is not None:
        query = query.where(ROWS.c.kind.in_(list(kinds)))
    if until is not None:
        query = query.where(_place(conn) <= tuple_(*_numbers(conn, until)))
    ordered = query.where(ROWS.c.op != PAST).order_by(*_order(conn)).limit(limit)
    changes = [AppliedChange(*row) for row in conn.execute(ordered)]
    if changes:
        cursor = Cursor(epoch, changes[-1].transaction_id, changes[-1].id)
    return changes, cursor


def end(conn: Connection) -> Cursor:
    """The cursor behind the newest change."""
    order = [column.desc() for column in _order(conn)]
    newest = select(ROWS.c.transaction_id, ROWS.c.id).where(*_committed(conn)).order_by(*order).limit(1)
    row = conn.execute(newest).first()
    return Cursor(_epoch(conn), *((row.transaction_id, row.id) if row is not None else (0, 0)))


def begin_of(conn: Connection) -> Cursor:
    """The cursor before the oldest change that is kept."""
    return Cursor(_epoch(conn), 0, 0)


def begin_again(conn: Connection) -> None:
    """Make changes that came with another database visible: their transaction ids may lie ahead of this one's."""
    if not is_sqlite(conn):
        conn.execute(update(ROWS).where(ROWS.c.transaction_id > _NEXT).values(transaction_id=0))


def _committed(conn: Connection) -> list[ColumnElement[bool]]:
    return [] if is_sqlite(conn) else [ROWS.c.transaction_id < _SETTLED]


def _order(conn: Connection) -> list[ColumnElement[int]]:
    return [ROWS.c.id] if is_sqlite(conn) else [ROWS.c.transaction_id, ROWS.c.id]


def _place(conn: Connection) -> ColumnElement[tuple[int, ...]]:
    return tuple_(*_order(conn))


def _numbers(conn: Connection, cursor: Cursor) -> list[int]:
    return [cursor.id] if is_sqlite(conn) else [cursor.transaction_id, cursor.id]


def _epoch(conn: Connection) -> int:
    """Differs between databases, and before and after a backup was restored."""
    restores = int(conn.execute(select(func.coalesce(func.max(_RESTORES.c.id), 0))).scalar_one())
    if is_sqlite(conn):
        return restores
    system = int(conn.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar_one())
    return (system + restores) % INT64
