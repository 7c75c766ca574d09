"""Other programs to which the feed of changes is sent."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import AUTO_ID, long, moment


class Subscriber(SQLModel, table=True):
    """A program that the feed of changes is sent to, and how far it has come.

    ``secret`` is encrypted (``rules.access.encryption``). ``connections`` and ``kinds`` are JSON lists, NULL for all.
    ``cursor`` is the place in the feed behind what it has accepted. The batch that is being delivered ends at ``batch_end``
    and keeps its ``batch_id`` until it is accepted. Until ``lease_until`` one process delivers. Since ``failing_since`` it
    has refused ``attempts`` times or did not answer; the next attempt is at ``next_at``.
    """

    __tablename__ = "subscribers"

    id: int | None = Field(default=None, sa_type=AUTO_ID, primary_key=True)
    name: str
    url: str = Field(sa_type=Text)
    secret: str = Field(sa_type=Text)
    connections: str | None = long()
    kinds: str | None = long()
    enabled: bool = True
    cursor: str
    created_at: datetime = moment()
    created_by: str
    last_success_at: datetime | None = moment(default=None)
    failing_since: datetime | None = moment(default=None)
    next_at: datetime | None = moment(default=None)
    lease_until: datetime | None = moment(default=None)
    attempts: int = 0
    last_error: str | None = long()
    batch_id: str | None = None
    batch_end: str | None = None
