"""Evidence of why rows were wrong, and daily figures of how true the copy was."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, big, long, moment


class FullRead(SQLModel, table=True):
    """The last complete and accepted read of a kind: when it began and ended, and with which mapping.

    ``shape`` names the fields that its rows were hashed with. ``mapping`` is the fingerprint of the code that made its
    records, first used at ``mapping_at``; the mapping before it was last used at ``mapping_after``, null for the first.
    ``checked_at`` is when the last checksum pass over the kind began, ``wrote_at`` when such a read last wrote a row.
    """

    __tablename__ = "full_reads"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    run_id: int = Field(sa_type=BigInteger)
    began_at: datetime = moment()
    ended_at: datetime = moment()
    shape: str
    mapping: str
    mapping_at: datetime = moment()
    mapping_after: datetime | None = moment(default=None)
    checked_at: datetime | None = moment(default=None)
    wrote_at: datetime | None = moment(default=None)


class Refusal(SQLModel, table=True):
    """A refused delivery: when, why, and the items that it claimed to be about (never trusted, only compared).

    ``items`` is JSON text as in ``InboxEvent``; ``count`` is how many deliveries were refused at this moment, of which
    only this one was read.
    """

    __tablename__ = "refusals"
    __table_args__ = (Index("ix_refusals_at", "connection", "at"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    at: datetime = moment()
    reason: str
    items: str = Field(default="[]", sa_type=Text)
    count: int = big(1)


DATABASE_MARK = "database"
HISTORY_MARK = "history"


class Mark(SQLModel, table=True):
    """Numbers that only rise. ``DATABASE_MARK`` says how far this database has come: it rises with every heartbeat, and a
    process that has seen a higher number of the same ``lineage`` knows that a backup was restored. ``HISTORY_MARK`` is the
    newest row of history that retention has removed: ``number`` is its id, ``lineage`` its transaction.
    """

    __tablename__ = "marks"

    name: str = Field(primary_key=True)
    lineage: str
    number: int = big()
    at: datetime = moment()


class Restore(SQLModel, table=True):
    """A backup that was restored while we ran: the state of ``back_to`` replaced that of ``lost_at``, the last moment that
    a process had seen; found at ``found_at``."""

    __tablename__ = "restores"

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    back_to: datetime = moment()
    lost_at: datetime = moment()
    found_at: datetime = moment()


class Removal(SQLModel, table=True):
    """A live row of our tables that somebody else deleted; a trigger notes it."""

    __tablename__ = "removals"
    __table_args__ = (Index("ix_removals_item", "connection", "kind", "item"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    kind: str
    item: str
    at: datetime = moment()


class AgreementDay(SQLModel, table=True):
    """How true the copy of a kind was on a day (UTC), by the last complete read of that day.

    ``rows`` is the union of the rows that live at the source and here. ``equal`` of them were equal after the write,
    ``differed`` of these before it. If the read was held or not complete, ``equal`` is null and ``unknown`` says why.
    """

    __tablename__ = "agreement_days"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    equal: int | None = Field(default=None, sa_type=BigInteger)
    differed: int = big()
    rows: int = big()
    run_id: int = Field(sa_type=BigInteger)
    at: datetime = moment()
    unknown: str | None = long()


class SpotCheck(SQLModel, table=True):
    """A random row that was compared between complete reads (``item`` is its key joined by "/"), and whether it was
    ``equal`` at the source and here."""

    __tablename__ = "spot_checks"
    __table_args__ = (Index("ix_spot_checks_at", "connection", "kind", "at"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    kind: str
    item: str
    at: datetime = moment()
    equal: bool


class SpotCheckTurn(SQLModel, table=True):
    """When random rows of a kind are compared next."""

    __tablename__ = "spot_check_turns"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    next_at: datetime = moment()


class UsualDay(SQLModel, table=True):
    """The changes of a kind by the accepted reads of a day (UTC): ``changes`` is JSON ``{change: rows}``, for the guard."""

    __tablename__ = "usual_days"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    changes: str = Field(sa_type=Text)


class TrickledChange(SQLModel, table=True):
    """A product whose implausible change was accepted because few came at once; ``before`` is its ``OldListing``
    (``rules.guard.traits``) as JSON text."""

    __tablename__ = "trickled_changes"
    __table_args__ = (Index("ix_trickled_changes_at", "connection", "at"),)

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    before: str = Field(sa_type=Text)
    at: datetime = moment()


class Slice(SQLModel, table=True):
    """The last slice of older rows that a nightly run compared: this round, which takes ``nights`` nights, has compared all
    rows that the source last changed before ``upto``."""

    __tablename__ = "slices"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    upto: datetime = moment()
    compared: int = Field(sa_type=BigInteger)
    nights: int = Field(sa_type=BigInteger)
    ended_at: datetime = moment()
