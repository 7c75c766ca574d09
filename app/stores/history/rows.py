"""The rows of history: noting that a first load began, and reading an item's changes back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, insert, literal, literal_column, or_, select, tuple_, update

from app.domain import FIRST_LOAD_WRITER, INT64, Kind, micros
from app.errors import InvalidRequest
from app.stores import tables
from app.stores.sql.statements import is_sqlite
from app.stores.tables import CATALOG

CREATED, UPDATED, DELETED = "created", "updated", "deleted"
LOADING, LOADED, SINCE, PAST = "loading", "loaded", "since", "past"
"""The values of ``op`` (``tables.HistoryRow``)."""

HAND = "hand"
"""``written_by`` of a row that somebody changed in the database itself."""

ROWS = tables.core(tables.HistoryRow)
_OWN_TRANSACTION: ColumnElement[int] = literal_column("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")


class AppliedChange(NamedTuple):
    """A row of ``tables.HistoryRow``."""

    id: int
    transaction_id: int
    connection: str
    kind: str
    external_id: str
    location_id: str | None
    state: str | None
    op: str
    changed_at: datetime
    recorded_at: datetime
    written_by: str | None
    quantity_before: Decimal | None
    quantity_after: Decimal | None
    price_before: int | None
    price_after: int | None
    cost_before: int | None
    cost_after: int | None
    currency: str | None
    reorder_point_before: Decimal | None
    reorder_point_after: Decimal | None
    status_before: str | None
    status_after: str | None

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """The tracked values that this change moved, each before and after; of other fields nothing is kept."""
        pairs = {
            "quantity": (self.quantity_before, self.quantity_after),
            "price": (self.price_before, self.price_after),
            "cost": (self.cost_before, self.cost_after),
            "reorder_point": (self.reorder_point_before, self.reorder_point_after),
            "status": (self.status_before, self.status_after),
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


SELECTED = select(*(ROWS.c[name] for name in AppliedChange._fields))


def begin_load(conn: Connection, connection: str, kind: Kind, now: datetime) -> bool:
    """Note that a complete read of a kind is about to be written. ``True`` if it is the first load: the rows that it creates
    get no row of history. If rows came before it some other way, their history is known from now on at least."""
    last = _last_note(conn, connection, kind)
    table = CATALOG[kind]
    is_empty = (
        conn.execute(select(table.c.connection).where(table.c.connection == connection).limit(1)).first() is None
    )
    if last is None:
        _note(conn, connection, kind, LOADING if is_empty else SINCE, now)
    elif last.op == LOADING and is_empty:  # an attempt that wrote nothing
        conn.execute(update(ROWS).where(ROWS.c.id == last.id).values(changed_at=now, recorded_at=now))
    return is_empty and (last is None or last.op == LOADING)


def end_load(conn: Connection, connection: str, kind: Kind, now: datetime) -> None:
    """Note that a first load has ended, if one had begun: who follows the changes must now read all rows of the kind."""
    last = _last_note(conn, connection, kind)
    if last is not None and last.op == LOADING:
        _note(conn, connection, kind, LOADED, now)


def _last_note(conn: Connection, connection: str, kind: Kind) -> Any:
    notes = (ROWS.c.connection == connection, ROWS.c.kind == kind, ROWS.c.external_id == "", ROWS.c.op != PAST)
    return conn.execute(select(ROWS.c.id, ROWS.c.op).where(*notes).order_by(ROWS.c.id.desc()).limit(1)).first()


def _note(conn: Connection, connection: str, kind: Kind, op: str, now: datetime) -> None:
    row = {"connection": connection, "kind": kind.value, "external_id": "", "op": op}
    place = {} if is_sqlite(conn) else {"transaction_id": _OWN_TRANSACTION}  # else it stood before every cursor
    conn.execute(insert(ROWS).values(**row, **place, changed_at=now, recorded_at=now, written_by=FIRST_LOAD_WRITER))


def forget(conn: Connection, before: datetime) -> None:
    """Note that rows older than a moment are removed: history is known from then on only."""
    rows = update(ROWS).where(ROWS.c.op.in_([LOADING, SINCE]), ROWS.c.external_id == "", ROWS.c.changed_at < before)
    conn.execute(rows.values(changed_at=before))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IS_PAST = case((ROWS.c.op == PAST, 1), else_=0)
_PAST_AT = case((ROWS.c.op == PAST, ROWS.c.changed_at))
NEWEST_FIRST = (_IS_PAST, _PAST_AT.desc(), ROWS.c.id.desc())
OLDEST_FIRST = (_IS_PAST.desc(), _PAST_AT, ROWS.c.id)
"""The order in which the changes of one row came about: first those of the past by their times, then ours as they were
written. Their times may run backwards, but newer wins."""


class Place(NamedTuple):
    """A change's place in an item's history; ``past_at`` only for one of the past."""

    id: int
    past_at: datetime | None


def place_text(row: AppliedChange) -> str:
    """A row's place as a text for ``place_of``."""
    return f"{row.id}-{micros(row.changed_at)}" if row.op == PAST else f"{row.id}"


def place_of(text: str) -> Place:
    """The place of a text; raises ``InvalidRequest``."""
    id, joint, moment = text.partition("-")
    numbers = [id, moment] if joint else [id]
    if not all(number.isdecimal() and len(number) < 20 and int(number) < INT64 for number in numbers):
        raise InvalidRequest(f'{text[:60]!r} is no place in a history; take it from "next" of the page before')
    try:
        return Place(int(id), _EPOCH + timedelta(microseconds=int(moment)) if joint else None)
    except OverflowError:
        raise InvalidRequest(f"{text[:60]!r} is no place in a history: there is no such moment") from None


def of_item(
    conn: Connection, connection: str, external_ids: Sequence[str], *, before: Place | None = None, limit: int
) -> list[AppliedChange]:
    """The changes of products and counts with these ids, newest first; with ``before`` only those older than that row."""
    query = SELECTED.where(
        ROWS.c.connection == connection,
        ROWS.c.external_id.in_(list(external_ids)),
        ROWS.c.kind.in_([Kind.PRODUCT, Kind.STOCK]),
    )
    if before is not None:
        query = query.where(_older(before))
    return [AppliedChange(*row) for row in conn.execute(query.order_by(*NEWEST_FIRST).limit(limit))]


def _older(place: Place) -> ColumnElement[bool]:
    is_past = ROWS.c.op == PAST
    if place.past_at is None:
        return or_(is_past, ROWS.c.id < place.id)
    older = tuple_(ROWS.c.changed_at, ROWS.c.id) < tuple_(literal(place.past_at, ROWS.c.changed_at.type), place.id)
    return is_past & older
