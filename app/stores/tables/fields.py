"""The kinds of column that tables are declared with, and a table as SQLAlchemy Core sees it."""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, Table, Text, text
from sqlmodel import Field

from app.stores.sql.columns import Moment, Quantity

AUTO_ID = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers only INTEGER keys by itself


def moment(**options: Any) -> Any:
    """An aware UTC datetime."""
    return Field(sa_type=Moment, **options)


def big(default: int = 0) -> Any:
    """A 64-bit whole number."""
    return Field(default=default, sa_type=BigInteger)


def amount() -> Any:
    """An exact quantity that may be unknown."""
    return Field(default=None, sa_type=Quantity)


def long() -> Any:
    """Text of any length that may be missing."""
    return Field(default=None, sa_type=Text)


def one_where(name: str, *columns: str, where: str) -> Index:
    """An index that lets only one of the rows that meet a condition have the same values."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


def core(model: Any) -> Table:
    """The table of a SQLModel class, for SQLAlchemy Core."""
    table: Table = model.metadata.tables[str(model.__tablename__)]
    return table
