"""What is old enough to go: a few hundred rows at a time, so that nobody waits, and any number may remove at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select
from sqlmodel import SQLModel

from app.stores import settled, tables

AT_ONCE = 500
"""Rows per transaction: on SQLite acknowledgements wait for the writer before them."""

LETTERS, EVENTS, SETTLEMENTS = "letters", "events", "settlements"

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]
_EVENTS = SQLModel.metadata.tables[str(tables.InboxEvent.__tablename__)]
_SETTLED = SQLModel.metadata.tables[str(tables.Settlement.__tablename__)]
_AGE = {LETTERS: _LETTERS.c.died_at, EVENTS: _EVENTS.c.received_at, SETTLEMENTS: _SETTLED.c.settled_at}
_TABLES = {LETTERS: _LETTERS, EVENTS: _EVENTS, SETTLEMENTS: _SETTLED}


def expired(conn: Connection, what: str, before: datetime) -> list[int]:
    """Numbers of the next ``letters``, ``events`` or ``settlements`` in which nothing happened since ``before``.

    Not among them: letters that wait for their turn in a replay; settlements that are not summed yet, or that say
    what became of an item with a letter; and each table's newest row, whose number SQLite would give away again.
    """
    table = _TABLES[what]
    if what == SETTLEMENTS:
        before = min(before, settled.summed_until(conn))
    newest = select(func.max(table.c.id)).scalar_subquery()
    query = select(table.c.id).where(*_old(what, before), table.c.id < newest).order_by(_AGE[what]).limit(AT_ONCE)
    return [int(id) for id in conn.execute(query).scalars()]


def latest_events(conn: Connection, connections: Iterable[str]) -> set[int]:
    """Numbers of each connection's last event: it says since when a silence lasts."""
    at = (_EVENTS.c.received_at.desc(), _EVENTS.c.id.desc())
    last = [select(_EVENTS.c.id).where(_EVENTS.c.connection == one).order_by(*at).limit(1) for one in connections]
    return {int(id) for query in last if (id := conn.execute(query).scalar()) is not None}


def remove(conn: Connection, what: str, ids: Sequence[int], before: datetime) -> int:
    """Remove those of these that are still old and that nobody else works on; returns how many."""
    table = _TABLES[what]
    free = select(table.c.id).where(table.c.id.in_(ids), *_old(what, before)).with_for_update(skip_locked=True)
    return int(conn.execute(delete(table).where(table.c.id.in_(free))).rowcount)


def _old(what: str, before: datetime) -> list[ColumnElement[bool]]:
    if what == EVENTS:
        return [_EVENTS.c.received_at < before]
    if what == SETTLEMENTS:
        names = ("connection", "kind", "external_id")
        letter = exists().where(*(_LETTERS.c[name] == _SETTLED.c[name] for name in names))
        return [_SETTLED.c.settled_at < before, ~letter]
    later = (_LETTERS.c[name] for name in ("replayed_at", "discarded_at"))
    calm = and_(*(or_(moment.is_(None), moment < before) for moment in later))
    return [_LETTERS.c.state.in_(("dead", "replayed", "discarded")), _LETTERS.c.died_at < before, calm]
