"""The health of each connection, and the kinds that it may not read."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import long, moment


class ConnectionRow(SQLModel, table=True):
    """The state of a connection (``kind`` is empty), or of a kind that it may not read.

    The state began at ``since`` and was last observed at ``seen_at``. The vendor is called again at ``next_probe_at``,
    after ``probes`` calls in vain. ``credentials`` is the digest of the options that were refused, ``paused_by`` the
    person who paused the connection.
    """

    __tablename__ = "connection_states"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    state: str
    since: datetime = moment()
    seen_at: datetime = moment()
    reason: str | None = long()
    next_probe_at: datetime | None = moment(default=None)
    probes: int = 0
    paused_by: str | None = Field(default=None, sa_type=Text)
    credentials: str = ""
