"""Finding dead letters: by filter, by page, in groups by cause or by item; and which of them are moot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, cast, distinct, false, func, or_, select
from sqlalchemy.dialects.postgresql import JSON
from sqlmodel import SQLModel

from app.domain import SKU_PREFIX, Kind, Strategy, Who
from app.rules.filters import Term
from app.stores import tables
from app.stores.reports.settled import VISIBLE
from app.stores.sql.matching import (
    Condition,
    beginning,
    conditions,
    containing,
    equal_to,
    from_on,
    number,
    one_of,
    seen_by,
    up_to,
    yes_or_no,
)
from app.stores.sql.statements import is_sqlite

STATES = ("dead", "queued", "replayed", "discarded")

KEYS = (
    "id",
    "connection",
    "kind",
    "item",
    "cause",
    "state",
    "since",
    "until",
    "moot",
    "error",
    "actor",
    "replay",
)
"""What a filter of letters can speak of. ``item`` is the external id or the SKU, ``cause`` the exception's type or a
fingerprint (each may end in ``*``), ``since`` and ``until`` when it died, ``replay`` a replay's number or name."""

_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]
_SETTLED = SQLModel.metadata.tables[str(tables.Settlement.__tablename__)]
_LISTINGS = SQLModel.metadata.tables[str(tables.ListingRow.__tablename__)]
_REPLAYS = SQLModel.metadata.tables[str(tables.Replay.__tablename__)]
_RUNS = SQLModel.metadata.tables[str(tables.Run.__tablename__)]

Reads = Mapping[str, datetime]
"""By connection, when the latest complete read of everything began."""

_WHOLE_READS = ("{}", '{"deep":true}')  # other options leave things out


def full_reads(conn: Connection) -> dict[str, datetime]:
    """When the latest completed full run of each connection began."""
    whole = (
        _RUNS.c.strategy == Strategy.FULL.value,
        _RUNS.c.status == "completed",
        _RUNS.c.dry.is_(False),
        _RUNS.c.options.in_(_WHOLE_READS),
        _RUNS.c.started_at.is_not(None),
    )
    query = select(_RUNS.c.connection, func.max(_RUNS.c.started_at)).where(*whole).group_by(_RUNS.c.connection)
    return {row[0]: row[1] for row in conn.execute(query)}


def moot(reads: Reads) -> ColumnElement[bool]:
    """A newer version of the item was brought in since: it was settled well, or a full run read it.

    Orders are left to their settlements: a full run reads only the latest ones.
    """
    settled = select(_SETTLED.c.id).where(
        *(_SETTLED.c[name] == _LETTERS.c[name] for name in ("connection", "kind", "external_id")),
        _SETTLED.c.settled_at > _LETTERS.c.died_at,
        _SETTLED.c.outcome.in_(VISIBLE),
    )
    read = [
        and_(_LETTERS.c.connection == connection, _LETTERS.c.kind != Kind.ORDER.value, _LETTERS.c.died_at < began)
        for connection, began in reads.items()
    ]
    return or_(false(), settled.correlate(_LETTERS).exists(), *read)


def where(terms: Sequence[Term], who: Who, *, now: datetime, reads: Reads) -> list[ColumnElement[bool]]:
    """The conditions on ``dead_letters`` that a filter makes, for any statement; only what ``who`` may see."""
    return [seen_by(_LETTERS.c.connection, who.connections), *conditions(terms, _keys(now, reads))]


def _keys(now: datetime, reads: Reads) -> dict[str, Condition]:
    letter = _LETTERS.c
    return {
        "id": number("id", letter.id),
        "connection": equal_to(letter.connection),
        "kind": one_of("kind", letter.kind, list(Kind)),
        "item": _item,
        "cause": lambda value: or_(beginning(letter.error_type)(value), beginning(letter.fingerprint)(value)),
        "state": one_of("state", letter.state, STATES),
        "since": from_on(letter.died_at, now),
        "until": up_to(letter.died_at, now),
        "moot": yes_or_no("moot", moot(reads)),
        "error": containing(letter.error),
        "actor": equal_to(letter.actor),
        "replay": _replay,
    }


def _item(value: str) -> ColumnElement[bool]:
    listed = select(_LISTINGS.c.external_id).where(
        _LISTINGS.c.connection == _LETTERS.c.connection,
        _LISTINGS.c.external_id == _LETTERS.c.external_id,
        beginning(_LISTINGS.c.sku)(value),
    )
    of_a_listing = and_(
        _LETTERS.c.kind.in_((Kind.PRODUCT.value, Kind.STOCK.value)), listed.correlate(_LETTERS).exists()
    )
    named = beginning(_LETTERS.c.external_id)
    return or_(named(value), named(SKU_PREFIX + value), of_a_listing)


def _replay(value: str) -> ColumnElement[bool]:
    named = select(_REPLAYS.c.id).where(_REPLAYS.c.name == value)
    if value.isascii() and value.isdigit() and len(value) <= 18:
        return or_(_LETTERS.c.replay_id == int(value), _LETTERS.c.replay_id.in_(named))
    return _LETTERS.c.replay_id.in_(named)


# --- answers ---

_IN_A_LIST = tuple(c for c in _LETTERS.c if c.name not in ("attempts", "original_args"))
_ITEM = func.coalesce(_LETTERS.c.connection + "/" + _LETTERS.c.kind + "/" + _LETTERS.c.external_id, "")


def page(
    conn: Connection,
    found: Sequence[ColumnElement[bool]],
    reads: Reads,
    *,
    limit: int = 50,
    before_id: int | None = None,
) -> list[dict[str, Any]]:
    """Letters, the latest dead first, with the number of ``tries`` for their texts, and whether they are ``moot``.

    ``before_id`` continues after the last one of the page before.
    """
    stored = _LETTERS.c.attempts if is_sqlite(conn) else cast(_LETTERS.c.attempts, JSON)
    tries = func.json_array_length(stored).label("tries")
    order = (_LETTERS.c.died_at, _LETTERS.c.id)
    query = select(*_IN_A_LIST, tries, moot(reads).label("moot")).where(*found)
    if before_id is not None:
        query = query.where(_before(conn, before_id))
    rows = conn.execute(query.order_by(*(column.desc() for column in order)).limit(limit)).mappings()
    return [{**row, "args": msgspec.json.decode(row["args"]), "moot": bool(row["moot"])} for row in rows]


def _before(conn: Connection, id: int) -> ColumnElement[bool]:
    died_at = conn.execute(select(_LETTERS.c.died_at).where(_LETTERS.c.id == id)).scalar()
    if died_at is None:  # removed meanwhile
        return _LETTERS.c.id < id
    return or_(_LETTERS.c.died_at < died_at, and_(_LETTERS.c.died_at == died_at, _LETTERS.c.id < id))


def is_moot(conn: Connection, id: int, reads: Reads) -> bool:
    """Whether a letter is moot."""
    return bool(conn.execute(select(moot(reads)).where(_LETTERS.c.id == id)).scalar())


def totals(conn: Connection, found: Sequence[ColumnElement[bool]], reads: Reads) -> dict[str, int]:
    """How many ``letters``, ``causes`` and ``items`` there are, and how many letters are ``moot``."""
    numbers = (
        func.count(),
        func.count(distinct(_LETTERS.c.fingerprint)),
        func.count(distinct(case((_ITEM != "", _ITEM)))),
        func.coalesce(func.sum(case((moot(reads), 1), else_=0)), 0),
    )
    row = conn.execute(select(*numbers).where(*found)).one()
    return dict(zip(("letters", "causes", "items", "moot"), map(int, row), strict=True))


def count(conn: Connection, found: Sequence[ColumnElement[bool]]) -> int:
    """How many letters match."""
    return int(conn.execute(select(func.count()).select_from(_LETTERS).where(*found)).scalar_one())


def by_cause(
    conn: Connection, found: Sequence[ColumnElement[bool]], reads: Reads, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Groups by fingerprint, the largest first: ``cause``, its ``connection`` (null for messages about none),
    ``error_type``, ``place``, a sample ``error``, ``letters``, ``items``, ``moot``, ``first`` and ``last``."""
    columns = (
        _LETTERS.c.fingerprint.label("cause"),
        func.max(_LETTERS.c.connection).label("connection"),
        func.max(_LETTERS.c.error_type).label("error_type"),
        func.max(_LETTERS.c.place).label("place"),
        func.max(_LETTERS.c.error).label("error"),
        func.count(distinct(_ITEM)).label("items"),
    )
    return _groups(conn, columns, (_LETTERS.c.fingerprint,), found, reads, limit)


def by_connection_and_cause(
    conn: Connection, found: Sequence[ColumnElement[bool]], reads: Reads, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Groups by connection (``None`` for what is about no item) and fingerprint, the largest first: as ``by_cause``."""
    key = (_LETTERS.c.connection, _LETTERS.c.fingerprint)
    columns = (
        _LETTERS.c.connection,
        _LETTERS.c.fingerprint.label("cause"),
        func.max(_LETTERS.c.error_type).label("error_type"),
        func.max(_LETTERS.c.error).label("error"),
        func.count(distinct(_ITEM)).label("items"),
    )
    return _groups(conn, columns, key, found, reads, limit)


def by_item(
    conn: Connection, found: Sequence[ColumnElement[bool]], reads: Reads, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Groups by item, the largest first: its key, ``causes`` (how many), a sample ``error``, ``letters``, ``moot``,
    ``first`` and ``last``."""
    key = (_LETTERS.c.connection, _LETTERS.c.kind, _LETTERS.c.external_id)
    columns = (
        *key,
        func.count(distinct(_LETTERS.c.fingerprint)).label("causes"),
        func.max(_LETTERS.c.error).label("error"),
    )
    return _groups(conn, columns, key, found, reads, limit)


def _groups(
    conn: Connection,
    columns: Sequence[ColumnElement[Any]],
    key: Sequence[ColumnElement[Any]],
    found: Sequence[ColumnElement[bool]],
    reads: Reads,
    limit: int,
) -> list[dict[str, Any]]:
    letters = func.count().label("letters")
    numbers = (
        letters,
        func.coalesce(func.sum(case((moot(reads), 1), else_=0)), 0).label("moot"),
        func.min(_LETTERS.c.first_failed_at).label("first"),
        func.max(_LETTERS.c.died_at).label("last"),
    )
    query = select(*columns, *numbers).where(*found).group_by(*key).order_by(letters.desc(), *key).limit(limit)
    return [dict(row) for row in conn.execute(query).mappings()]
