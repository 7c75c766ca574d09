"""Cached answers to questions that take too long to answer for every caller."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.stores.tables.fields import moment


class CachedAnswer(SQLModel, table=True):
    """The last answer (JSON text) to a question about a connection, when it was found, and how long that took."""

    __tablename__ = "answers"

    connection: str = Field(primary_key=True)
    question: str = Field(primary_key=True)
    answer: str = Field(sa_type=Text)
    found_at: datetime = moment()
    took_ms: int
