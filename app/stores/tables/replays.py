"""Replays: items that a person wants tried again, step by step."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, big, long, moment


class Replay(SQLModel, table=True):
    """One replay, named after the incident that it follows.

    ``of`` is ``letters`` or ``events``, and ``filter`` selects among them. ``status`` is ``idle`` (waits for a worker),
    ``running``, ``completed``, ``stopped`` (by itself at the first new failure, for this ``reason``) or ``aborted`` (by a
    person). ``rate`` is items per second, 0 for no limit. ``canary`` sends 1 item, then 10, then the rest, each after the
    ones before succeeded. ``token`` and ``lease_until`` belong to the worker that drives it.
    """

    __tablename__ = "replays"
    __table_args__ = (Index("ix_replays_status", "status"),)

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    name: str
    of: str
    filter: str = Field(sa_type=Text)
    status: str
    rate: int
    canary: bool
    reason: str | None = long()
    letters: int
    items: int
    asked_by: str
    asked_at: datetime = moment()
    started_at: datetime | None = moment(default=None)
    finished_at: datetime | None = moment(default=None)
    hinted_at: datetime | None = moment(default=None)
    token: str | None = None
    lease_until: datetime | None = moment(default=None)


class ReplayItem(SQLModel, table=True):
    """One item of a replay, however many letters or events name it; or one letter that is about no item.

    ``state`` is ``waiting``, ``sending`` (the message of a letter without item), ``sent`` (owed again), ``done`` (settled
    since), ``failed`` (tried since with this ``error``), ``skipped`` (cannot be tried because of ``error``) or ``left`` (the
    replay ended before its turn). ``mark`` is the newest settlement when it was sent: its own settlement has a higher
    number, even if clocks disagree. ``letter_id`` is 0 for an item. A letter without item has empty texts for its key.
    """

    __tablename__ = "replay_items"
    __table_args__ = (
        UniqueConstraint("replay_id", "connection", "kind", "external_id", "letter_id"),
        Index("ix_replay_items_state", "replay_id", "state", "id"),
    )

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    replay_id: int = Field(sa_type=BigInteger)
    connection: str
    kind: str
    external_id: str
    letter_id: int = Field(default=0, sa_type=BigInteger)
    state: str
    mark: int = big()
    sent_at: datetime | None = moment(default=None)
    ended_at: datetime | None = moment(default=None)
    error: str | None = long()
