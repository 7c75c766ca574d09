"""Finds dead letters by filter, page by page or in groups, and tells which of them are superseded."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    MappingResult,
    Text,
    and_,
    case,
    cast,
    distinct,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSON

from app.domain import SKU_PREFIX, Kind, Principal, Strategy
from app.rules.filters import Term
from app.stores import tables
from app.stores.letters.rows import CauseGroup, ItemGroup, LetterRow, ListedLetter, Totals
from app.stores.reports.settled import VISIBLE
from app.stores.sql.matching import (
    Condition,
    beginning,
    conditions,
    containing,
    equal_to,
    from_on,
    number,
    older,
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
"""The keys of a filter of letters. ``item`` is the external id or the SKU, ``cause`` the exception's type or a fingerprint
(each may end in ``*``), ``since`` and ``until`` limit the time of death, ``replay`` is a replay's number or name, and
``moot`` tells whether the letter is superseded."""

_LETTERS = tables.core(tables.DeadLetter)
_SETTLED = tables.core(tables.Settlement)
_LISTINGS = tables.CATALOG[Kind.PRODUCT]
_REPLAYS = tables.core(tables.Replay)
_RUNS = tables.core(tables.Run)

Conditions = Sequence[ColumnElement[bool]]
"""Conditions on ``dead_letters``, all of which must hold."""

FullReads = Mapping[str, datetime]
"""When the latest complete read of each connection began."""

_WHOLE_READS = ("{}", '{"deep":true}')  # other options leave things out


def full_reads(conn: Connection) -> FullReads:
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


def superseded(reads: FullReads) -> ColumnElement[bool]:
    """A newer version of the item was applied since: it was settled with a good outcome, or a full run read it.

    For orders only settlements count: a full run reads only the latest ones.
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


def where(terms: Sequence[Term], principal: Principal, *, now: datetime, reads: FullReads) -> Conditions:
    """The conditions of a filter, for any statement; ``principal`` limits them to what that person may see."""
    return [seen_by(_LETTERS.c.connection, principal.connections), *conditions(terms, _keys(now, reads))]


def _keys(now: datetime, reads: FullReads) -> dict[str, Condition]:
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
        "moot": yes_or_no("moot", superseded(reads)),
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

_COLUMNS = [_LETTERS.c[name] for name in LetterRow.__struct_fields__]
_ITEM = func.coalesce(_LETTERS.c.connection + "/" + _LETTERS.c.kind + "/" + _LETTERS.c.external_id, "")


def page(
    conn: Connection, where: Conditions, reads: FullReads, *, limit: int = 50, before_id: int | None = None
) -> list[ListedLetter]:
    """Letters, the latest dead first; ``before_id`` continues after the last one of the previous page."""
    attempts = _LETTERS.c.attempts if is_sqlite(conn) else cast(_LETTERS.c.attempts, JSON)
    tries = func.json_array_length(attempts).label("tries")
    order = (_LETTERS.c.died_at, _LETTERS.c.id)
    query = select(*_COLUMNS, tries, superseded(reads).label("moot")).where(*where)
    if before_id is not None:
        query = query.where(older(conn, *order, before_id))
    rows = conn.execute(query.order_by(*(column.desc() for column in order)).limit(limit)).mappings()
    return [
        ListedLetter(**{**row, "args": msgspec.json.decode(row["args"]), "moot": bool(row["moot"])}) for row in rows
    ]


def is_superseded(conn: Connection, id: int, reads: FullReads) -> bool:
    """Whether a newer version of a letter's item was applied since it died."""
    return bool(conn.execute(select(superseded(reads)).where(_LETTERS.c.id == id)).scalar())


def totals(conn: Connection, where: Conditions, reads: FullReads) -> Totals:
    """What matches, in numbers."""
    numbers = (
        func.count(),
        func.count(distinct(_LETTERS.c.fingerprint)),
        func.count(distinct(case((_ITEM != "", _ITEM)))),
        _superseded_letters(reads),
    )
    return Totals(*map(int, conn.execute(select(*numbers).where(*where)).one()))


def count(conn: Connection, where: Conditions) -> int:
    """How many letters match."""
    return int(conn.execute(select(func.count()).select_from(_LETTERS).where(*where)).scalar_one())


def of_failed_run(actor: str) -> ColumnElement[bool]:
    """The condition that a letter is of a message of this actor about a run that has failed."""
    args = literal("[") + cast(_RUNS.c.id, Text) + literal("]")
    return and_(_LETTERS.c.actor == actor, exists().where(_RUNS.c.status == "failed", _LETTERS.c.args == args))


def by_cause(conn: Connection, where: Conditions, reads: FullReads, *, limit: int = 50) -> list[CauseGroup]:
    """Groups by fingerprint, the largest first. A fingerprint belongs to one connection, or to none."""
    columns = (
        _LETTERS.c.fingerprint.label("cause"),
        func.max(_LETTERS.c.connection).label("connection"),
        func.max(_LETTERS.c.error_type).label("error_type"),
        func.max(_LETTERS.c.place).label("place"),
        func.max(_LETTERS.c.error).label("error"),
        func.count(distinct(_ITEM)).label("items"),
    )
    return [CauseGroup(**row) for row in _groups(conn, columns, (_LETTERS.c.fingerprint,), where, reads, limit)]


def by_item(conn: Connection, where: Conditions, reads: FullReads, *, limit: int = 50) -> list[ItemGroup]:
    """Groups by item, the largest first."""
    key = (_LETTERS.c.connection, _LETTERS.c.kind, _LETTERS.c.external_id)
    columns = (
        *key,
        func.count(distinct(_LETTERS.c.fingerprint)).label("causes"),
        func.max(_LETTERS.c.error).label("error"),
    )
    return [ItemGroup(**row) for row in _groups(conn, columns, key, where, reads, limit)]


def _groups(
    conn: Connection,
    columns: Sequence[ColumnElement[Any]],
    key: Sequence[ColumnElement[Any]],
    where: Conditions,
    reads: FullReads,
    limit: int,
) -> MappingResult:
    letters = func.count().label("letters")
    numbers = (
        letters,
        _superseded_letters(reads).label("moot"),
        func.min(_LETTERS.c.first_failed_at).label("first"),
        func.max(_LETTERS.c.died_at).label("last"),
    )
    query = select(*columns, *numbers).where(*where).group_by(*key).order_by(letters.desc(), *key).limit(limit)
    return conn.execute(query).mappings()


def _superseded_letters(reads: FullReads) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((superseded(reads), 1), else_=0)), 0)
