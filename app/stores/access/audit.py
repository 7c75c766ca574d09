"""The audit log: who changed what, when, why and from where; append-only, each entry chained to the one before.

The oldest entries may be archived (``stores.access.archives`` has the files): only then does the database let them go.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile
from typing import Any, NamedTuple, TypedDict, Unpack

import msgspec
from sqlalchemy import Connection, delete, insert, select, text

from app.domain import Principal
from app.rules.access.chain import BEGINNING, Entry, link
from app.stores import tables
from app.stores.sql.matching import newest, seen_by
from app.stores.sql.statements import is_sqlite, json_text

_LOG = tables.core(tables.AuditEntry)
_ARCHIVES = tables.core(tables.AuditArchive)
_LOCK = 7_215_093_322  # any number, but not the migrations'
_BATCH_SIZE = 1_000


class ReadableEntry(Entry, frozen=True, kw_only=True):
    """An entry for people: ``before`` and ``after`` are decoded."""

    before: Any
    after: Any


class Archive(NamedTuple):
    """Entries ``first`` to ``last`` are in a file; ``head`` is the hash of the last one."""

    first: int
    last: int
    head: str
    file: str


class Head(NamedTuple):
    """Number and hash of the newest entry; 0 and the chain's beginning when there is none."""

    number: int
    hash: str


class Details(TypedDict, total=False):
    """What an entry tells of a change: ``before`` and ``after`` are JSON-ready. None of it may hold a secret."""

    before: Any
    after: Any
    why: str | None


def record(
    conn: Connection,
    principal: Principal,
    action: str,
    subject: str,
    *,
    now: datetime,
    connection: str | None = None,
    **details: Unpack[Details],
) -> int:
    """Append an entry inside the caller's transaction; returns its number.

    ``action`` is what was done ("letters.replay"), ``subject`` to what ("replay 7"). Call it last: on PostgreSQL, others
    who append wait until this transaction ends.
    """
    lock(conn)
    last = head(conn)
    entry = Entry(
        number=last.number + 1,
        at=now,
        who=principal.name,
        role=str(principal.role),
        origin=principal.origin,
        action=action,
        subject=subject,
        connection=connection,
        before=_json(details.get("before")),
        after=_json(details.get("after")),
        why=details.get("why"),
        previous=last.hash,
    )
    conn.execute(insert(_LOG), {**msgspec.structs.asdict(entry), "hash": link(entry, last.hash)})
    return entry.number


def lock(conn: Connection) -> None:
    """Let nobody else append or archive until this transaction ends."""
    if not is_sqlite(conn):  # SQLite has one writer at a time anyway
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def entries(
    conn: Connection,
    *,
    limit: int = 50,
    before_number: int | None = None,
    action: str | None = None,
    connections: frozenset[str] | None = None,
) -> list[ReadableEntry]:
    """Entries, newest first. ``action`` is an action or how several begin ("letters"); ``connections`` leaves only
    entries about these."""
    query = select(_LOG).where(seen_by(_LOG.c.connection, connections))
    if action is not None:
        query = query.where(_LOG.c.action.startswith(action, autoescape=True))
    return [_readable(row) for row in conn.execute(newest(query, _LOG.c.number, limit, before_number)).mappings()]


def chain(conn: Connection, after: int = 0) -> Iterator[Entry]:
    """Every entry after this number, oldest first; read a thousand at a time."""
    next_ones = select(_LOG).order_by(_LOG.c.number).limit(_BATCH_SIZE)
    while rows := conn.execute(next_ones.where(_LOG.c.number > after)).mappings().all():
        yield from (Entry(**row) for row in rows)
        after = rows[-1]["number"]


def head(conn: Connection) -> Head:
    """The chain's present end."""
    last = conn.execute(select(_LOG.c.number, _LOG.c.hash).order_by(_LOG.c.number.desc()).limit(1)).first()
    return Head(int(last.number), str(last.hash)) if last else Head(0, BEGINNING)


def archives(conn: Connection) -> list[Archive]:
    """The archives, oldest first; each begins where the one before ended."""
    columns = (_ARCHIVES.c.first_number, _ARCHIVES.c.last_number, _ARCHIVES.c.head, _ARCHIVES.c.file)
    return [Archive(*row) for row in conn.execute(select(*columns).order_by(_ARCHIVES.c.first_number))]


def archivable(conn: Connection, after: int, before: datetime, limit: int) -> list[Entry]:
    """The next entries after this number that were made before a moment, oldest first; never the newest of all, because
    the next entry is chained to it."""
    newest = head(conn).number
    old = takewhile(lambda entry: entry.at < before and entry.number != newest, chain(conn, after))
    return list(islice(old, limit))


def add_archive(conn: Connection, archive: Archive, now: datetime) -> None:
    """Let these entries be removed from now on; their file must be on the disk."""
    names = ("first_number", "last_number", "head", "file")
    conn.execute(insert(_ARCHIVES).values(**dict(zip(names, archive, strict=True)), archived_at=now))


def remove_archived(conn: Connection, until: int, limit: int) -> int:
    """Remove at most ``limit`` entries up to an archived number; returns how many."""
    oldest = select(_LOG.c.number).where(_LOG.c.number <= until).order_by(_LOG.c.number).limit(limit)
    free = oldest.with_for_update(skip_locked=True)
    return int(conn.execute(delete(_LOG).where(_LOG.c.number.in_(free))).rowcount)


def _json(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _readable(row: Any) -> ReadableEntry:
    decoded = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in ("before", "after")}
    return ReadableEntry(**{**row, **decoded})
