"""Answers that took too long to find to be found anew for everyone who asks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import moment


class CachedAnswer(SQLModel, table=True):
    """The last answer to a question about a connection: JSON text, and when it was found in how many milliseconds."""

    __tablename__ = "answers"

    connection: str = Field(primary_key=True)
    question: str = Field(primary_key=True)
    answer: str = Field(sa_type=Text)
    found_at: datetime = moment()
    took_ms: int
