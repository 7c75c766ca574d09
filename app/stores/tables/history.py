"""What changed in the merchant's own data, one row per applied change, written by triggers (migration 0029)."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, amount, big, moment


class HistoryRow(SQLModel, table=True):
    """One change of one catalog row, written in the same commit as the change itself.

    ``op`` is ``created``, ``updated`` or ``deleted``. Others stand for no single change of ours: ``loading`` and ``loaded``
    (a first load of the kind began, or ended: the rows that it creates have no row here), ``since`` (the history of what was
    held already begins here) and ``past`` (the source's own record of a change that was made before we held the row;
    without an item: how far that record has been read). The values before and after are those of a product (``price``,
    ``cost``, ``reorder_point``, ``status``) or of a count (``quantity``); the others stay null. A value is null where
    nothing is known, such as after a deletion. Prices and costs are minor units of ``currency``; ``status`` is ``active``,
    ``inactive`` or ``archived``.

    ``changed_at`` is when it changed at the source, as exactly as the source tells (else when the read of it began),
    ``recorded_at`` when it was written here, ``written_by`` what brought it (``SyncColumns.written_by``).
    ``transaction_id`` is PostgreSQL's own, and 0 on SQLite: readers of the feed need it, because ids are not given in the
    order of commits.
    """

    __tablename__ = "history"
    __table_args__ = (
        Index("ix_history_item", "connection", "external_id", "id"),
        Index("ix_history_feed", "transaction_id", "id"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    transaction_id: int = big()
    connection: str
    kind: str
    external_id: str
    location_id: str | None = None
    state: str | None = None
    op: str
    changed_at: datetime = moment()
    recorded_at: datetime = moment()
    written_by: str | None = None
    quantity_before: Decimal | None = amount()
    quantity_after: Decimal | None = amount()
    price_before: int | None = Field(default=None, sa_type=BigInteger)
    price_after: int | None = Field(default=None, sa_type=BigInteger)
    cost_before: int | None = Field(default=None, sa_type=BigInteger)
    cost_after: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    reorder_point_before: Decimal | None = amount()
    reorder_point_after: Decimal | None = amount()
    status_before: str | None = None
    status_after: str | None = None
