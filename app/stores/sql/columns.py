"""Column types that mean the same on SQLite and PostgreSQL: UTC moments, exact quantities."""

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from app.domain import quantity

_SQLITE_WIDTH = len("2026-11-22 12:00:00.000000")  # without the offset, which is always UTC's


def moment_text(moment: datetime) -> str:
    """A UTC moment as SQLite keeps it: of fixed width, so that text order is time order; raises ``ValueError`` if naive."""
    if moment.tzinfo is None:
        raise ValueError("only aware datetimes are stored; got a naive one")
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:_SQLITE_WIDTH]  # five times as fast as strftime


def moment_from(stored: Any) -> datetime | None:
    """The aware UTC datetime of a stored moment, from either database."""
    if stored is None:
        return None
    if isinstance(stored, datetime):
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)


def some_moment(stored: Any) -> datetime:
    """``moment_from`` of a column that is never null."""
    return cast(datetime, moment_from(stored))


# Plain driver calls (the hot and bulk paths) bind datetimes and Decimals exactly as the types below do.
sqlite3.register_adapter(datetime, moment_text)
sqlite3.register_adapter(Decimal, str)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime: ``timestamptz`` on PostgreSQL, fixed-width text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, which has no moments; its fixed width sorts by time."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """The fixed-width text on SQLite; PostgreSQL takes the datetime, in UTC."""
        if value is None:
            return None
        return moment_text(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """An aware datetime in UTC, whichever database wrote it."""
        return moment_from(value)


class _AnyNumeric(UserDefinedType[Any]):
    """SQLite's NUMERIC affinity without SQLAlchemy's detour through float when binding."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "NUMERIC"


class Quantity(TypeDecorator[Decimal]):
    """A decimal amount with at most 5 decimals: ``numeric(20,5)``; on SQLite a NUMERIC, exact up to 15 digits."""

    impl = Numeric(20, 5)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC affinity on SQLite, which has no decimals of its own."""
        return dialect.type_descriptor(_AnyNumeric() if dialect.name == "sqlite" else Numeric(20, 5))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Its digits as text on SQLite, so that no float comes between."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """A Decimal without trailing zeros, as ``quantity`` makes it."""
        return None if value is None else quantity(str(value))
