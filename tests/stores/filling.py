"""A row in every table, whatever tables there are."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, insert, inspect, select

from app.stores.sql.columns import Moment, Quantity
from app.stores.sql.engine import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def values_for(table: Table) -> dict[str, Any]:
    """A value for every column but the numbered id."""
    return {column.name: _value(column) for column in table.columns if column.name != "id"}


def _value(column: Column[Any]) -> Any:
    if column.name == "lines":
        return "[]"
    if isinstance(column.type, Moment):
        return NOW
    if isinstance(column.type, Quantity):
        return Decimal("1.5")
    return {int: 1, bool: True, datetime: NOW, Decimal: Decimal("1.5"), bytes: b"x"}.get(column.type.python_type, "x")


def fill(conn: Connection) -> None:
    """One row in every table as it is in the database now."""
    schema = MetaData()
    schema.reflect(conn)
    for table in schema.sorted_tables:
        if table.name != "alembic_version":
            conn.execute(insert(table), values_for(table))


def rows_of_every_table(database: Database) -> dict[str, list[Any]]:
    """All rows by table, the schema's revision included."""
    with database.read() as conn:
        schema = MetaData()
        schema.reflect(conn)
        return {name: list(conn.execute(select(schema.tables[name]))) for name in inspect(conn).get_table_names()}
