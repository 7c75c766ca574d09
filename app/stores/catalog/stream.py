"""Reads many rows in lists of a few thousand, never all at once."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.stores.catalog import catalog_sql as sql
from app.stores.sql.engine import Database

_AT_ONCE = 20_000


def streamed(database: Database, statement: str, values: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement in the driver's own syntax; a read transaction stays open meanwhile."""
    with database.read() as conn:
        driver = sql.driver(conn)
        on_server = database.dialect == "postgresql"
        cursor = driver.cursor(name="streamed", binary=True) if on_server else driver.cursor()
        cursor.execute(statement, values)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield rows
        cursor.close()
