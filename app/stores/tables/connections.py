"""How each connection is, and which of its kinds may not be read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import long, moment


class ConnectionRow(SQLModel, table=True):
    """The state of a connection (``kind`` is empty), or of a kind of it that may not be read.

    ``since`` is when the state began, ``seen_at`` when it was last seen to be so. ``next_probe_at`` is when the vendor
    is called again, ``probes`` how often that was in vain. ``credentials`` is the digest of the options that were
    refused, ``paused_by`` the person who paused it.
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
