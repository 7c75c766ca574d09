"""The columns that revisions make. A function here never changes what it makes: released revisions use it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from app.stores.sql.columns import Moment, Quantity

Columns = list[sa.Column[Any]]


def row_id() -> sa.Column[Any]:
    """``id``, a number that the database gives each row."""
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def keys(*names: str) -> Columns:
    """Texts that are, together, the primary key."""
    return _columns(sa.String(), names, primary_key=True)


def words(*names: str, nullable: bool = False, default: str | None = None) -> Columns:
    """Texts of the type that SQLModel gives a ``str``. Rows that are there already get the ``default``."""
    return _columns(sa.String(), names, nullable=nullable, server_default=default)


def texts(*names: str, nullable: bool = False, default: str | None = None) -> Columns:
    """Texts of the type ``Text``: JSON, and what people write."""
    return _columns(sa.Text(), names, nullable=nullable, server_default=default)


def numbers(*names: str, nullable: bool = False, default: str | None = None) -> Columns:
    """Whole numbers of 32 bits."""
    return _columns(sa.Integer(), names, nullable=nullable, server_default=default)


def bigs(*names: str, nullable: bool = False, default: str | None = None) -> Columns:
    """Whole numbers of 64 bits."""
    return _columns(sa.BigInteger(), names, nullable=nullable, server_default=default)


def flags(*names: str, default: Any = None) -> Columns:
    """True or false."""
    return _columns(sa.Boolean(), names, nullable=False, server_default=default)


def moments(*names: str, nullable: bool = False) -> Columns:
    """Aware UTC datetimes."""
    return _columns(Moment(), names, nullable=nullable)


def amounts(*names: str, nullable: bool = False) -> Columns:
    """Exact quantities."""
    return _columns(Quantity(), names, nullable=nullable)


def _columns(kind: TypeEngine[Any], names: Sequence[str], **options: Any) -> Columns:
    return [sa.Column(name, kind, **options) for name in names]


def add(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns to a table that may have rows."""
    for column in columns:
        op.add_column(table, column)


def allow_null(table: str, column: str, kind: TypeEngine[Any]) -> None:
    """Let a column of this type be null from now on."""
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column, existing_type=kind, nullable=True)


def unique_where(name: str, table: str, columns: list[str], where: str) -> None:
    """An index that lets only one of the rows that meet a condition have the same values."""
    op.create_index(name, table, columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
