"""Work and its outcomes: inbox, owed items, settlements and their sums, attempts, dead letters."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, big, long, moment


class InboxEvent(SQLModel, table=True):
    """One delivery as received, never changed afterwards; owed items and settlements have its outcome.

    ``verdict`` is one of ``domain.Verdict``. ``items`` is JSON text: a list of ``[kind, external_id]``.
    """

    __tablename__ = "inbox_events"
    __table_args__ = (
        UniqueConstraint("connection", "event_id"),
        Index("ix_inbox_received", "received_at", "connection", "verdict"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    event_id: str
    type: str
    received_at: datetime = moment()
    occurred_at: datetime | None = moment(default=None)
    verdict: str
    items: str = Field(sa_type=Text)
    headers: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)


class OwedItem(SQLModel, table=True):
    """An item with changes not yet settled: the dirty set. The row is deleted when the item is settled.

    ``rev`` counts the changes seen; a worker notes it before it fetches and settles only up to it. ``token`` and
    ``lease_until`` belong to the worker that has it; ``kills`` counts leases that ran out. ``next_at`` is when it may be
    tried next, ``hinted_at`` when a message was last sent for it. ``asks`` counts how often the source did not show
    ``version``, the newest one that a hint named.
    """

    __tablename__ = "owed_items"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    rev: int = big(1)
    version: int = big()
    cause: str
    first_seen_at: datetime = moment()
    next_at: datetime = moment()
    hinted_at: datetime | None = moment(default=None)
    attempts: int = 0
    kills: int = 0
    asks: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    token: str | None = None
    lease_until: datetime | None = moment(default=None)


class Settlement(SQLModel, table=True):
    """The outcome of an item's changes: one row each time an owed item was settled.

    ``outcome`` is ``applied``, ``unchanged``, ``gone``, ``held`` or ``dead``; ``changes`` is how many changes it covered,
    ``first_seen_at`` to ``settled_at`` how long they waited.
    """

    __tablename__ = "settlements"
    __table_args__ = (
        Index("ix_settlements_item", "connection", "kind", "external_id", "settled_at"),
        Index("ix_settlements_at", "settled_at"),
        Index("ix_settlements_outcome", "outcome", "settled_at"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    connection: str
    kind: str
    external_id: str
    cause: str
    outcome: str
    changes: int = big(1)
    attempts: int = 0
    first_seen_at: datetime = moment()
    settled_at: datetime = moment()


class SettledSlot(SQLModel, table=True):
    """Sums of ten minutes of settlements (``stores.reports.settled``), so that a week is summed from few rows.

    ``items`` counts settlements of items, ``looks`` those of a whole kind. ``changes``, ``in_five`` and ``in_sixty``
    (settled within so many seconds of being first seen) and ``waited_ms`` (the sum) are about items only.
    """

    __tablename__ = "settled_slots"

    slot: datetime = moment(primary_key=True)
    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    outcome: str = Field(primary_key=True)
    items: int = big()
    looks: int = big()
    changes: int = big()
    in_five: int = big()
    in_sixty: int = big()
    waited_ms: int = big()


class CallSlot(SQLModel, table=True):
    """How many calls a connection made to its vendor in an hour for one purpose (``rules.calls.calling``)."""

    __tablename__ = "call_slots"

    slot: datetime = moment(primary_key=True)
    connection: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    calls: int = big()


class Attempt(SQLModel, table=True):
    """One failed try of a message, kept until the message succeeds or becomes a dead letter.

    ``exchange`` is its HTTP exchange without secrets, as JSON text (``sources.exchanges``).
    """

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_message", "message_key"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    message_key: str
    number: int
    at: datetime = moment()
    worker: str
    error_type: str
    error: str = Field(sa_type=Text)
    traceback: str = Field(sa_type=Text)
    exchange: str | None = long()


class DeadLetter(SQLModel, table=True):
    """A message that will not be retried by itself.

    ``state`` is ``dead`` (waits for a person), ``queued`` (part of a replay that has not come to it yet), ``replayed``
    or ``discarded``. ``args`` is the message's arguments as JSON text, ``original_args`` what they were before a person
    edited them. ``attempts`` is a JSON list of every attempt (number, at, worker, error_type, error, traceback,
    exchange). ``fingerprint`` names what went wrong: the exception's type and a digest of that, of the message with
    its numbers and names taken out, and of the ``place`` it was raised at (``rules.letters.fingerprint``).
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("ix_dead_state", "state", "died_at"),
        Index("ix_dead_item", "connection", "kind", "external_id"),
        Index("ix_dead_fingerprint", "fingerprint", "state"),
        Index("ix_dead_replay", "replay_id"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    message_id: str = Field(unique=True)
    actor: str
    queue: str
    args: str = Field(sa_type=Text)
    original_args: str | None = long()
    connection: str | None = None
    kind: str | None = None
    external_id: str | None = None
    cause: str | None = None
    error_type: str
    error: str = Field(sa_type=Text)
    fingerprint: str = ""
    place: str = ""
    attempts: str = Field(sa_type=Text)
    first_failed_at: datetime = moment()
    died_at: datetime = moment()
    state: str = "dead"
    replays: int = 0
    replayed_at: datetime | None = moment(default=None)
    replay_id: int | None = Field(default=None, sa_type=BigInteger)
    discarded_at: datetime | None = moment(default=None)
    discarded_by: str | None = None
    discard_reason: str | None = long()
