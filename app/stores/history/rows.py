"""The rows of history: noting that a first load began, and reading an item's changes back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, literal_column, select, tuple_, update

from app.domain import FIRST_LOAD_WRITER, Kind, micros
from app.errors import InvalidRequest
from app.stores import tables
from app.stores.sql.statements import is_sqlite

CREATED, UPDATED, DELETED, LOADING, LOADED, PAST = "created", "updated", "deleted", "loading", "loaded", "past"
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


def begin_load(conn: Connection, connection: str, kind: Kind, now: datetime) -> None:
    """Note that the first load of a kind begins: the rows that it creates get no row of history."""
    _note(conn, connection, kind, LOADING, now)


def end_load(conn: Connection, connection: str, kind: Kind, now: datetime) -> None:
    """Note that a first load has ended, if one had begun: who follows the changes must now read all rows of the kind."""
    notes = (ROWS.c.connection == connection, ROWS.c.kind == kind, ROWS.c.external_id == "")
    last = conn.execute(select(ROWS.c.op).where(*notes).order_by(ROWS.c.id.desc()).limit(1)).scalar()
    if last == LOADING:
        _note(conn, connection, kind, LOADED, now)


def _note(conn: Connection, connection: str, kind: Kind, op: str, now: datetime) -> None:
    row = {"connection": connection, "kind": kind.value, "external_id": "", "op": op}
    place = {} if is_sqlite(conn) else {"transaction_id": _OWN_TRANSACTION}  # else it stood before every cursor
    conn.execute(insert(ROWS).values(**row, **place, changed_at=now, recorded_at=now, written_by=FIRST_LOAD_WRITER))


def forget(conn: Connection, before: datetime) -> None:
    """Note that rows older than a moment are removed: history is known from then on only."""
    rows = update(ROWS).where(ROWS.c.op == LOADING, ROWS.c.external_id == "", ROWS.c.changed_at < before)
    conn.execute(rows.values(changed_at=before))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[datetime, int]
"""``changed_at`` and ``id`` of a row: its place in an item's history."""


def place_text(row: AppliedChange) -> str:
    """A row's place as a text for ``place_of``."""
    return f"{micros(row.changed_at)}-{row.id}"


def place_of(text: str) -> Place:
    """The place of a text; raises ``InvalidRequest``."""
    moment, _, id = text.partition("-")
    if not (moment.isdecimal() and id.isdecimal() and len(text) < 40):
        raise InvalidRequest(f'{text[:60]!r} is no place in a history; take it from "next" of the page before')
    try:
        return _EPOCH + timedelta(microseconds=int(moment)), int(id)
    except OverflowError:
        raise InvalidRequest(f"{text[:60]!r} is no place in a history: there is no such moment") from None


def of_item(
    conn: Connection, connection: str, external_ids: Sequence[str], *, before: Place | None = None, limit: int
) -> list[AppliedChange]:
    """The changes of products and counts with these ids, newest first; with ``before`` only those older than that row."""
    place = tuple_(ROWS.c.changed_at, ROWS.c.id)
    query = SELECTED.where(
        ROWS.c.connection == connection,
        ROWS.c.external_id.in_(list(external_ids)),
        ROWS.c.kind.in_([Kind.PRODUCT, Kind.STOCK]),
    )
    if before is not None:
        query = query.where(place < tuple_(*before))
    ordered = query.order_by(ROWS.c.changed_at.desc(), ROWS.c.id.desc()).limit(limit)
    return [AppliedChange(*row) for row in conn.execute(ordered)]
