"""The audit log: who changed what, when, why and from where; append-only, each entry chained to the one before.

The oldest entries may be archived (``stores.access.archives`` has the files): only then does the database let them go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, text
from sqlmodel import SQLModel

from app.domain import Who
from app.rules.access.chain import BEGINNING, link
from app.stores import tables
from app.stores.sql.statements import is_sqlite

_LOG = SQLModel.metadata.tables[str(tables.AuditEntry.__tablename__)]
_ARCHIVES = SQLModel.metadata.tables[str(tables.AuditArchive.__tablename__)]
_LOCK = 7_215_093_322  # any number of our own, beside the migrations'
_AT_ONCE = 1_000


class Archive(NamedTuple):
    """Entries ``first`` to ``last`` are in a file; ``head`` is the hash of the last one."""

    first: int
    last: int
    head: str
    file: str


def record(
    conn: Connection,
    who: Who,
    action: str,
    subject: str,
    *,
    now: datetime,
    connection: str | None = None,
    before: Any = None,
    after: Any = None,
    why: str | None = None,
) -> int:
    """Append an entry inside the caller's transaction; returns its number.

    ``action`` is what was done ("letters.replay"), ``subject`` to what ("replay 7"); ``before`` and ``after`` are
    JSON-ready and must hold no secret. Call it last: on PostgreSQL others who append wait until this transaction ends.
    """
    lock(conn)
    last, previous = head(conn)
    number = last + 1
    entry: dict[str, Any] = {
        **{"number": number, "at": now, "who": who.name, "role": str(who.role), "origin": who.origin},
        **{"action": action, "subject": subject, "connection": connection, "why": why},
        **{"before": _json(before), "after": _json(after)},
    }
    conn.execute(insert(_LOG), {**entry, "previous": previous, "hash": link(entry, previous)})
    return number


def lock(conn: Connection) -> None:
    """Let nobody else append or archive until this transaction ends."""
    if not is_sqlite(conn):  # SQLite's writers take turns anyway
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def entries(
    conn: Connection,
    *,
    limit: int = 50,
    before_number: int | None = None,
    action: str | None = None,
    connections: frozenset[str] | None = None,
) -> list[dict[str, Any]]:
    """Entries, newest first; ``before`` and ``after`` decoded. ``action`` is one, or the beginning of some ("letters");
    ``connections`` leaves only entries about these."""
    query = select(_LOG).order_by(_LOG.c.number.desc()).limit(limit)
    if before_number is not None:
        query = query.where(_LOG.c.number < before_number)
    if action is not None:
        query = query.where(_LOG.c.action.startswith(action, autoescape=True))
    if connections is not None:
        query = query.where(_LOG.c.connection.in_(sorted(connections)))
    return [_decoded(row) for row in conn.execute(query).mappings()]


def chain(conn: Connection, after: int = 0) -> Iterator[dict[str, Any]]:
    """Every entry after a number as stored, oldest first, a thousand at a time."""
    while rows := conn.execute(_after(after)).mappings().all():
        yield from (dict(row) for row in rows)
        after = rows[-1]["number"]


def head(conn: Connection) -> tuple[int, str]:
    """Number and hash of the newest entry; 0 and the chain's beginning when there is none."""
    last = conn.execute(select(_LOG.c.number, _LOG.c.hash).order_by(_LOG.c.number.desc()).limit(1)).first()
    return (int(last.number), str(last.hash)) if last else (0, BEGINNING)


def count(conn: Connection) -> int:
    """How many entries there are."""
    return int(conn.execute(select(func.count()).select_from(_LOG)).scalar_one())


def archives(conn: Connection) -> list[Archive]:
    """The archives there are, oldest first; each begins where the one before ended."""
    columns = (_ARCHIVES.c.first_number, _ARCHIVES.c.last_number, _ARCHIVES.c.head, _ARCHIVES.c.file)
    return [Archive(*row) for row in conn.execute(select(*columns).order_by(_ARCHIVES.c.first_number))]


def archivable(conn: Connection, after: int, before: datetime, limit: int) -> list[dict[str, Any]]:
    """The next entries after a number that were made ``before``, oldest first; never the newest of all, which the next
    entry is chained to."""
    last, _ = head(conn)
    found: list[dict[str, Any]] = []
    for entry in chain(conn, after):
        if entry["at"] >= before or entry["number"] == last or len(found) == limit:
            break
        found.append(entry)
    return found


def add_archive(conn: Connection, archive: Archive, now: datetime) -> None:
    """From now on these entries may be removed; their file must be on the disk."""
    names = ("first_number", "last_number", "head", "file")
    conn.execute(insert(_ARCHIVES).values(**dict(zip(names, archive, strict=True)), archived_at=now))


def remove_archived(conn: Connection, until: int, limit: int) -> int:
    """Remove at most so many entries up to a number that is archived; returns how many."""
    oldest = select(_LOG.c.number).where(_LOG.c.number <= until).order_by(_LOG.c.number).limit(limit)
    free = oldest.with_for_update(skip_locked=True)
    return int(conn.execute(delete(_LOG).where(_LOG.c.number.in_(free))).rowcount)


def _after(number: int) -> Select[Any]:
    return select(_LOG).where(_LOG.c.number > number).order_by(_LOG.c.number).limit(_AT_ONCE)


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _decoded(row: Any) -> dict[str, Any]:
    read = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in ("before", "after")}
    return {**row, **read}
