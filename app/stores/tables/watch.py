"""Outages and alerts, of which people are notified, and answers that take too long to compute for every caller."""

from datetime import datetime

from sqlalchemy import Index, Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, long, moment, one_where


class Outage(SQLModel, table=True):
    """A time in which no deliveries of a connection came, though some should have.

    ``reason`` is ``silence`` (``expected`` events did not come) or ``downtime`` (we did not run). ``state`` is ``open``,
    ``filled`` (from the source's ledger: ``missed`` events, of which ``replayed`` are settled), ``covered`` (by a delta
    pull, because there is no ledger; ``note`` says why) or ``quiet`` (nothing had happened).
    """

    __tablename__ = "gaps"
    __table_args__ = (
        Index("ix_gaps_connection", "connection", "began_at"),
        one_where("ix_gaps_open", "connection", where="state = 'open'"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    reason: str
    state: str
    began_at: datetime = moment()
    ended_at: datetime | None = moment(default=None)
    expected: int = 0
    missed: int = 0
    replayed: int = 0
    note: str | None = long()
    found_at: datetime = moment()
    tried_at: datetime | None = moment(default=None)
    closed_at: datetime | None = moment(default=None)


class Alert(SQLModel, table=True):
    """Something a person should know. At most one with a ``key`` is open at a time.

    ``severity`` is ``info``, ``warning`` or ``critical``. It was mailed at ``told_at``; until ``claimed_until`` one process
    is about to mail it.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        one_where("ix_alerts_open", "key", where="closed_at IS NULL"),
        Index("ix_alerts_told", "told_at"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    key: str
    connection: str | None = None
    severity: str
    title: str
    detail: str = Field(sa_type=Text)
    opened_at: datetime = moment()
    closed_at: datetime | None = moment(default=None)
    told_at: datetime | None = moment(default=None)
    claimed_until: datetime | None = moment(default=None)


class CachedAnswer(SQLModel, table=True):
    """The last answer (JSON text) to a question about a connection, when it was found, and how long that took."""

    __tablename__ = "answers"

    connection: str = Field(primary_key=True)
    question: str = Field(primary_key=True)
    answer: str = Field(sa_type=Text)
    found_at: datetime = moment()
    took_ms: int
