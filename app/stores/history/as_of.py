"""Stock as of a moment, worked out from the counts held now and the changes before and after that moment."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from app.domain import Kind
from app.stores.history.rows import LOADING, NEWEST_FIRST, OLDEST_FIRST, PAST, ROWS, SINCE
from app.stores.tables import CATALOG

_STOCK = CATALOG[Kind.STOCK]


class CountThen(NamedTuple):
    """A count as it was at a moment; ``quantity`` is ``None`` where there was none. ``since`` is when it became so, and
    ``None`` if that was before our history begins."""

    location_id: str
    state: str
    quantity: Decimal | None
    since: datetime | None


def known_since(conn: Connection, connection: str, listing_id: str | None = None) -> datetime | None:
    """When the history of counts begins: with the first load, or with the upgrade that introduced it; for a listing whose
    past the source has recorded, with the oldest row of that. ``None`` if there is none yet."""
    is_note = ROWS.c.op.in_([LOADING, SINCE]) & (ROWS.c.external_id == "")
    is_past = (ROWS.c.op == PAST) & (ROWS.c.external_id == listing_id)
    begins = is_note if listing_id is None else or_(is_note, is_past)
    ours = (ROWS.c.connection == connection, ROWS.c.kind == Kind.STOCK)
    names = [""] if listing_id is None else ["", listing_id]
    query = select(func.min(ROWS.c.changed_at)).where(*ours, ROWS.c.external_id.in_(names), begins)
    return conn.execute(query).scalar()


def stock_as_of(conn: Connection, connection: str, listing_id: str, moment: datetime) -> list[CountThen]:
    """Every count that a listing has or had, as it was at that moment, by location and state.

    Of the changes up to the moment, the one that was written last tells. If there is none, the first one after it tells
    what was before; if there is neither, the count has not changed since our history began (``known_since``), or the source
    never recorded an earlier moment.
    """
    is_ours = and_(ROWS.c.connection == connection, ROWS.c.external_id == listing_id, ROWS.c.kind == Kind.STOCK)
    now = {
        (place, state): CountThen(place, state, quantity, None)
        for place, state, quantity in _now(conn, connection, listing_id)
    }
    later = _nearest(conn, is_ours & (ROWS.c.changed_at > moment), last=False)
    earlier = _nearest(conn, is_ours & (ROWS.c.changed_at <= moment), last=True)
    return [counts for _, counts in sorted((now | later | earlier).items())]


def _now(conn: Connection, connection: str, listing_id: str) -> list[tuple[str, str, Decimal]]:
    columns = _STOCK.c
    query = select(columns.location_id, columns.state, columns.quantity)
    held = query.where(columns.connection == connection, columns.listing_id == listing_id, ~columns.deleted)
    return [tuple(row) for row in conn.execute(held)]


def _nearest(conn: Connection, wanted: ColumnElement[bool], *, last: bool) -> dict[tuple[str, str], CountThen]:
    """The last change of each count and what it led to, or the first one and what was before it."""
    columns = ROWS.c
    order = NEWEST_FIRST if last else OLDEST_FIRST
    place = func.row_number().over(partition_by=(columns.location_id, columns.state), order_by=order)
    quantity = columns.quantity_after if last else columns.quantity_before
    ranked = select(
        columns.location_id, columns.state, quantity.label("quantity"), columns.changed_at, place.label("place")
    ).where(wanted)
    nearest = ranked.subquery()
    rows = conn.execute(select(nearest).where(nearest.c.place == 1))
    return {
        (row.location_id, row.state): CountThen(
            row.location_id, row.state, row.quantity, row.changed_at if last else None
        )
        for row in rows
    }
