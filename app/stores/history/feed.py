"""The feed of changes: every one, to be read on from a cursor; of one row, a change with a higher id is the later one.

PostgreSQL gives ids before it commits, so a higher id may be seen before a lower one. The feed therefore goes by
transaction id, and shows a transaction only when no earlier one is still open (``pg_snapshot_xmin``).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal_column, select, text, tuple_, update

from app.domain import INT64
from app.errors import InvalidRequest
from app.stores import tables
from app.stores.history.rows import CREATED, DELETED, LOADED, ROWS, SELECTED, UPDATED, AppliedChange
from app.stores.sql.statements import is_sqlite, upsert
from app.stores.tables import DATABASE_MARK, HISTORY_MARK

_RESTORES, _MARKS = tables.core(tables.Restore), tables.core(tables.Mark)
_SHOWN = (CREATED, UPDATED, DELETED, LOADED)
_READ_ALL = "read all items again, and follow what changes from now on (cursor=now)"
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
        if len(parts) != len(cls._fields) or not all(map(_is_number, parts)):
            raise InvalidRequest(
                f"cursor {text[:60]!r} is none of ours; take it from the last answer, or leave it out"
            )
        return cls(*map(int, parts))


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 20 and int(text) < INT64


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
    behind the last of them; if there are none, behind the newest change of all.

    Changes that the source recorded before we held the row are no part of it. Raises ``InvalidRequest`` for a
    cursor of another database, from before a restored backup, or from before what retention has removed.
    """
    newest = end(conn)  # asked for first: what is committed in between lies behind it
    _check(conn, cursor, newest)
    query = SELECTED.where(*_committed(conn), _place(conn) > tuple_(*_numbers(conn, cursor)))
    if connections is not None:
        query = query.where(ROWS.c.connection.in_(list(connections)))
    if kinds is not None:
        query = query.where(ROWS.c.kind.in_(list(kinds)))
    if until is not None:
        query = query.where(_place(conn) <= tuple_(*_numbers(conn, until)))
    ordered = query.where(ROWS.c.op.in_(_SHOWN)).order_by(*_order(conn)).limit(limit)
    changes = [AppliedChange(*row) for row in conn.execute(ordered)]
    if changes:
        return changes, Cursor(newest.epoch, changes[-1].transaction_id, changes[-1].id)
    return [], max(cursor, newest if until is None else min(newest, until))


def leads_on(conn: Connection, cursor: Cursor) -> bool:
    """Whether ``after`` can read on from a cursor."""
    try:
        _check(conn, cursor, end(conn))
    except InvalidRequest:
        return False
    return True


def _check(conn: Connection, cursor: Cursor, newest: Cursor) -> None:
    """Raise ``InvalidRequest`` for a cursor of another database, or from before what retention has removed."""
    place = _numbers(conn, cursor)
    if cursor.epoch != newest.epoch or place > _numbers(conn, newest):
        raise InvalidRequest(f"the database was moved or restored from a backup since that cursor: {_READ_ALL}")
    if place < _numbers(conn, begin_of(conn)):
        raise InvalidRequest(f"changes behind that cursor are no longer kept: {_READ_ALL}")


def end(conn: Connection) -> Cursor:
    """The cursor behind the newest change."""
    order = [column.desc() for column in _order(conn)]
    newest = select(ROWS.c.transaction_id, ROWS.c.id).where(*_committed(conn)).order_by(*order).limit(1)
    row = conn.execute(newest).first()
    return Cursor(_epoch(conn), *((row.transaction_id, row.id) if row is not None else (0, 0)))


def begin_of(conn: Connection) -> Cursor:
    """The cursor before the oldest change that is kept."""
    row = conn.execute(select(_MARKS.c.lineage, _MARKS.c.number).where(_MARKS.c.name == HISTORY_MARK)).first()
    return Cursor(_epoch(conn), *((int(row.lineage), row.number) if row is not None else (0, 0)))


def note_removed(conn: Connection, ids: Sequence[int], now: datetime) -> None:
    """Note that these rows are about to be removed: cursors before them lead nowhere."""
    newest = conn.execute(
        select(func.max(ROWS.c.transaction_id), func.max(ROWS.c.id)).where(ROWS.c.id.in_(ids))
    ).one()
    before = begin_of(conn)
    place = {"lineage": str(max(newest[0] or 0, before.transaction_id)), "number": max(newest[1] or 0, before.id)}
    upsert(_MARKS).run(conn, {"name": HISTORY_MARK, **place, "at": now})


def begin_again(conn: Connection) -> None:
    """Make changes that came with another database visible: their transaction ids may lie ahead of this one's."""
    if not is_sqlite(conn):
        ahead = conn.execute(update(ROWS).where(ROWS.c.transaction_id > _NEXT).values(transaction_id=0)).rowcount
        if ahead:
            conn.execute(update(_MARKS).where(_MARKS.c.name == HISTORY_MARK).values(lineage="0"))


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
    lineage = conn.execute(select(_MARKS.c.lineage).where(_MARKS.c.name == DATABASE_MARK)).scalar()
    own = restores + (int(lineage[:12], 16) if lineage else 0)
    if is_sqlite(conn):
        return own
    system = int(conn.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar_one())
    return (system + own) % INT64
